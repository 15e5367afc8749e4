/** Horizontal bars as SVG text, in the manner of `lineChart`. */
import { colors, escapeXml, ticks } from './chart.ts';

export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly color?: string;
  /** Written at the bar's end; default the value. */
  readonly text?: string;
}

export interface BarChartOptions {
  readonly title: string;
  /** What the bars' lengths are, with the unit. */
  readonly x: string;
  readonly bars: readonly Bar[];
  /** Said below the title. */
  readonly notice?: string;
  /** Said below the axis, a line each. */
  readonly notes?: readonly string[];
}

/** Of the bars at least; names and labels have the room that they need beside them. */
const barWidth = 256;
const leastWidth = 560;
const rowHeight = 26;
const top = 52;
const bottom = 46;
const letter = 7;
const lineHeight = 15;

/** The chart as an `<svg>` element, bars from the top down in the order given; values that are no numbers have no bar. */
export function barChart({ title, x, bars, notice, notes = [] }: BarChartOptions): string {
  const room = (texts: readonly string[]): number => 16 + letter * Math.max(...texts.map((text) => text.length), 4);
  const labelOf = ({ value, text }: Bar): string => text ?? String(value);
  const [left, right] = [room(bars.map((b) => b.name)), room(bars.map(labelOf))];
  const width = Math.ceil(Math.max(leastWidth, left + barWidth + right, ...[notice ?? '', ...notes].map((text) => 28 + 5.8 * text.length)));
  const height = top + rowHeight * bars.length + bottom + lineHeight * notes.length;
  const most = Math.max(...bars.map((b) => b.value).filter(Number.isFinite), 1e-12);
  const px = (value: number): number => left + (value / most) * (width - left - right);
  const floor = top + rowHeight * bars.length;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" `
      + `font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escapeXml(title)}">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="14" y="20" font-size="14" font-weight="600">${escapeXml(title)}</text>`,
  ];
  if (notice) parts.push(`<text x="14" y="37" font-size="11" fill="#666">${escapeXml(notice)}</text>`);
  for (const v of ticks(0, most)) {
    parts.push(`<line x1="${px(v).toFixed(1)}" x2="${px(v).toFixed(1)}" y1="${top - 4}" y2="${floor}" stroke="#e4e4e4"/>`,
      `<text x="${px(v).toFixed(1)}" y="${floor + 16}" text-anchor="middle">${v}</text>`);
  }
  parts.push(`<text x="${(left + width - right) / 2}" y="${floor + 34}" text-anchor="middle">${escapeXml(x)}</text>`);
  notes.forEach((note, i) => parts.push(`<text x="14" y="${floor + bottom + 4 + i * lineHeight}" font-size="11" fill="#666">${escapeXml(note)}</text>`));
  bars.forEach((bar, i) => {
    const { name, value, color = colors.blue } = bar;
    const y = top + i * rowHeight;
    parts.push(`<text x="${left - 8}" y="${y + 14}" text-anchor="end">${escapeXml(name)}</text>`);
    if (!Number.isFinite(value)) return;
    parts.push(`<rect x="${left}" y="${y + 2}" width="${(px(value) - left).toFixed(1)}" height="${rowHeight - 8}" fill="${color}"/>`,
      `<text x="${(px(value) + 5).toFixed(1)}" y="${y + 14}">${escapeXml(labelOf(bar))}</text>`);
  });
  parts.push(`<path d="M${left} ${top - 4}V${floor}" stroke="#444"/>`, '</svg>');
  return parts.join('\n');
}
