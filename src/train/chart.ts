/** Line charts as SVG text: all that a report needs of a charting library, none of which draws without a DOM in a few kB. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly color: string;
  readonly dashed?: boolean;
}

export interface ChartOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  /** Default: what the points span, and 0 of y. */
  readonly xRange?: readonly [number, number];
  readonly yRange?: readonly [number, number];
  /** x counts something, and each point was measured: whole numbers at the axis, a mark at each point. */
  readonly counted?: boolean;
  /** Said in the picture itself, below the title. */
  readonly notice?: string;
}

const size = { width: 460, height: 340, left: 56, right: 14, top: 44, bottom: 74 };

/** Okabe and Ito's palette, which the colour-blind can tell apart. */
export const colors = { blue: '#0072b2', orange: '#d55e00', green: '#009e73', grey: '#888888' } as const;

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** Round values that divide a range into some five steps: 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number, about = 5): number[] {
  const raw = (high - low) / about;
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((m) => m * power >= raw) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** The chart as an `<svg>` element. Points that are no numbers are left out. */
export function lineChart({ title, x, y, series, xRange, yRange, counted = false, notice }: ChartOptions): string {
  const all = series.flatMap(({ points }) => points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)));
  const span = (values: number[], withZero: boolean): [number, number] => {
    const low = Math.min(...values, ...(withZero ? [0] : []));
    const high = Math.max(...values, low);
    return all.length === 0 ? [0, 1] : high > low ? [low, high] : [low - 0.5, high + 0.5];
  };
  const [x0, x1] = xRange ?? span(all.map((p) => p[0]), false);
  const [y0, y1] = yRange ?? span(all.map((p) => p[1]), true);
  const { width, height, left, right, top, bottom } = size;
  const px = (v: number): string => (left + (v - x0) / (x1 - x0) * (width - left - right)).toFixed(1);
  const py = (v: number): string => (height - bottom - (v - y0) / (y1 - y0) * (height - top - bottom)).toFixed(1);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" `
      + `font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeXml(title)}">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${left}" y="18" font-size="14" font-weight="600">${escapeXml(title)}</text>`,
  ];
  if (notice) parts.push(`<text x="${left}" y="34" font-size="11" fill="#666">${escapeXml(notice)}</text>`);
  for (const v of ticks(y0, y1)) {
    parts.push(`<line x1="${left}" x2="${width - right}" y1="${py(v)}" y2="${py(v)}" stroke="#e4e4e4"/>`,
      `<text x="${left - 6}" y="${py(v)}" text-anchor="end" dominant-baseline="middle">${v}</text>`);
  }
  for (const v of ticks(x0, x1).filter((tick) => !counted || Number.isInteger(tick))) {
    parts.push(`<text x="${px(v)}" y="${height - bottom + 16}" text-anchor="middle">${v}</text>`);
  }
  const middle = (top + height - bottom) / 2;
  parts.push(
    `<path d="M${left} ${top}V${height - bottom}H${width - right}" fill="none" stroke="#444"/>`,
    `<text x="${(left + width - right) / 2}" y="${height - bottom + 34}" text-anchor="middle">${escapeXml(x)}</text>`,
    `<text x="14" y="${middle}" text-anchor="middle" transform="rotate(-90 14 ${middle})">${escapeXml(y)}</text>`,
  );
  series.forEach(({ name, points, color, dashed }, i) => {
    const usable = points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
    const dash = dashed ? ' stroke-dasharray="5 4"' : '';
    if (usable.length === 1 || counted) {
      for (const [a, b] of usable) parts.push(`<circle cx="${px(a)}" cy="${py(b)}" r="3" fill="${color}"/>`);
    }
    if (usable.length > 1) {
      parts.push(`<path d="M${usable.map(([a, b]) => `${px(a)} ${py(b)}`).join('L')}" fill="none" stroke="${color}" `
        + `stroke-width="2" stroke-linejoin="round"${dash}/>`);
    }
    const column = left + (i % 3) * 132;
    const row = height - 20 + Math.floor(i / 3) * 14;
    parts.push(`<line x1="${column}" x2="${column + 20}" y1="${row - 4}" y2="${row - 4}" stroke="${color}" stroke-width="2"${dash}/>`,
      `<text x="${column + 25}" y="${row}">${escapeXml(name)}</text>`);
  });
  parts.push('</svg>');
  return parts.join('\n');
}
