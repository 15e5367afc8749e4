/** Values of fixtures, from a seed. */
import type { HostArray } from '../../src/nn/host-array.ts';
import type { PhiloxStream } from '../../src/random/philox.ts';

export function drawn(stream: PhiloxStream, shape: readonly number[], least: number, most: number): HostArray {
  const data = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => stream.uniform(least, most));
  return { shape, dtype: 'float32', data };
}
