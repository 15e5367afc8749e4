/** Smooth random fields over the retina, for pigment, choroid and nerve fibres. */
import { PhiloxStream } from '../../random/philox.ts';
import type { NoiseField } from './types.ts';

/** A lattice of uniform values in [-1, 1] that repeats every `cells * pitch` mm; `cells` must be a power of two. */
export function noiseField(random: PhiloxStream, cells: number, pitch: number): NoiseField {
  const values = new Float32Array(cells * cells);
  for (let i = 0; i < values.length; i++) values[i] = random.uint32() / 2 ** 31 - 1;
  return { cells, pitch, values };
}

/** The field at (x, y) mm: the four neighbours on the lattice, blended by the cubic 3t^2 - 2t^3. */
export function sampleNoise(field: NoiseField, x: number, y: number): number {
  const u = x / field.pitch + 4096;
  const v = y / field.pitch + 4096;
  const iu = u | 0;
  const iv = v | 0;
  let fu = u - iu;
  let fv = v - iv;
  fu = fu * fu * (3 - 2 * fu);
  fv = fv * fv * (3 - 2 * fv);
  const mask = field.cells - 1;
  const row0 = (iv & mask) * field.cells;
  const row1 = ((iv + 1) & mask) * field.cells;
  const col0 = iu & mask;
  const col1 = (iu + 1) & mask;
  const values = field.values;
  const a = values[row0 + col0];
  const b = values[row1 + col0];
  const top = a + (values[row0 + col1] - a) * fu;
  const bottom = b + (values[row1 + col1] - b) * fu;
  return top + (bottom - top) * fv;
}
