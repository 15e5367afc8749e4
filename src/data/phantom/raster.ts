/** Shapes to pixels by area: a shape smaller than a pixel darkens that pixel by the part of it that it covers. */
import type { Blob, Optical, VesselSegment } from './types.ts';

/** A square picture of `size` pixels over `pitch * size` mm, its middle at the origin. */
export interface Grid {
  size: number;
  /** Millimetres a pixel. */
  pitch: number;
}

/** Planes of red, green and blue, `size * size` each. */
export type Planes = readonly [Float32Array, Float32Array, Float32Array];

/** A rectangle of pixels with the cover of each, 0 to 1. */
export interface Cover {
  x: number;
  y: number;
  width: number;
  height: number;
  values: Float32Array;
}

/** How much of each pixel a blob covers, by a lattice of points within the pixel: the more, the smaller the blob. */
export function coverOf(blob: Blob, grid: Grid): Cover {
  const { size, pitch } = grid;
  const half = size / 2;
  let wave = 0;
  for (const [amplitude] of blob.waves) wave += Math.abs(amplitude);
  const reach = Math.max(blob.rx, blob.ry) * (1 + wave);
  const x0 = Math.max(0, Math.floor((blob.x - reach) / pitch + half));
  const y0 = Math.max(0, Math.floor((blob.y - reach) / pitch + half));
  const x1 = Math.min(size - 1, Math.floor((blob.x + reach) / pitch + half));
  const y1 = Math.min(size - 1, Math.floor((blob.y + reach) / pitch + half));
  const width = Math.max(0, x1 - x0 + 1);
  const height = Math.max(0, y1 - y0 + 1);
  const values = new Float32Array(width * height);
  const radius = Math.min(blob.rx, blob.ry) / pitch;
  const points = radius < 0.6 ? 12 : radius < 1.5 ? 6 : radius < 4 ? 4 : radius < 10 ? 2 : 1;
  const cos = Math.cos(blob.angle);
  const sin = Math.sin(blob.angle);
  // The edge lies half inside and half outside the outline, so softness leaves the area as it is.
  const inner = 1 - blob.soft / 2;
  const outer = 1 + blob.soft / 2;
  const sure = inner * (1 - wave);
  const never = outer * (1 + wave);
  const weight = 1 / (points * points);
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let sj = 0; sj < points; sj++) {
        const dy = (y0 + j - half + (sj + 0.5) / points) * pitch - blob.y;
        for (let si = 0; si < points; si++) {
          const dx = (x0 + i - half + (si + 0.5) / points) * pitch - blob.x;
          const u = (cos * dx + sin * dy) / blob.rx;
          const v = (cos * dy - sin * dx) / blob.ry;
          const rho = Math.sqrt(u * u + v * v);
          if (rho >= never) continue;
          if (rho <= sure) {
            sum += 1;
            continue;
          }
          let bound = 1;
          if (wave > 0) {
            const angle = Math.atan2(v, u);
            for (let k = 0; k < blob.waves.length; k++) {
              bound += blob.waves[k][0] * Math.cos(angle * (k + 2) + blob.waves[k][1]);
            }
          }
          const t = (rho / Math.max(bound, 0.2) - inner) / (outer - inner || 1e-6);
          sum += t <= 0 ? 1 : t >= 1 ? 0 : 1 - t * t * (3 - 2 * t);
        }
      }
      values[j * width + i] = sum * weight;
    }
  }
  return { x: x0, y: y0, width, height, values };
}

/** Lays a spot on the planes by its cover. */
export function applyCover(planes: Planes, size: number, cover: Cover, optical: Optical): void {
  for (let c = 0; c < 3; c++) {
    const plane = planes[c];
    const target = optical.rgb[c];
    const keep = 1 - Math.exp(-target);
    for (let j = 0; j < cover.height; j++) {
      let to = (cover.y + j) * size + cover.x;
      let from = j * cover.width;
      for (let i = 0; i < cover.width; i++, to++, from++) {
        const a = cover.values[from] * optical.opacity;
        if (a === 0) continue;
        if (optical.mode === 'paint') plane[to] += (target - plane[to]) * a;
        else plane[to] *= 1 - a * keep;
      }
    }
  }
}

/**
 * Adds the cover of vessel segments to `plane` by the maximum, so that joints do not darken twice.
 *
 * @param scale part of the diameter to draw: 1 for the blood column, less for the light reflex on it
 * @param thin vessels thinner than this, mm, are fainter: they hold less blood
 * @param capillaries what is left of the contrast in the thinnest, of which 1 is a third
 */
export function drawVessels(
  plane: Float32Array,
  segments: readonly VesselSegment[],
  kind: VesselSegment['kind'],
  grid: Grid,
  scale: number,
  thin: number,
  capillaries: number,
): void {
  const { size, pitch } = grid;
  const half = size / 2;
  const perMm = 1 / pitch;
  for (const s of segments) {
    if (s.kind !== kind) continue;
    const ax = s.x0 * perMm + half - 0.5;
    const ay = s.y0 * perMm + half - 0.5;
    const bx = s.x1 * perMm + half - 0.5;
    const by = s.y1 * perMm + half - 0.5;
    const r0 = s.d0 * 0.5 * scale * perMm;
    const r1 = s.d1 * 0.5 * scale * perMm;
    const reach = Math.max(r0, r1) + 0.5;
    const x0 = Math.max(0, Math.ceil(Math.min(ax, bx) - reach));
    const x1 = Math.min(size - 1, Math.floor(Math.max(ax, bx) + reach));
    const y0 = Math.max(0, Math.ceil(Math.min(ay, by) - reach));
    const y1 = Math.min(size - 1, Math.floor(Math.max(ay, by) + reach));
    const dx = bx - ax;
    const dy = by - ay;
    const inverse = 1 / (dx * dx + dy * dy + 1e-12);
    const part = Math.min(1, s.d0 / thin);
    const depth = part + 0.35 * capillaries * (1 - part);
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        let t = ((x - ax) * dx + (y - ay) * dy) * inverse;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        const ex = x - ax - t * dx;
        const ey = y - ay - t * dy;
        const q = Math.sqrt(ex * ex + ey * ey);
        const r = r0 + (r1 - r0) * t;
        const high = q + 0.5 < r ? q + 0.5 : r;
        const low = q - 0.5 > -r ? q - 0.5 : -r;
        const cover = (high - low) * depth;
        const at = y * size + x;
        if (cover > plane[at]) plane[at] = cover;
      }
    }
  }
}
