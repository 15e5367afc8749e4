import type { HostTensor } from '../../graph/op.ts';
import { rowsAndChannels } from './shapes.ts';

/** Mean and biased variance of every channel over all rows, in two passes. */
export function statistics(x: HostTensor): { mean: Float64Array; variance: Float64Array } {
  const [rows, channels] = rowsAndChannels(x.shape);
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  x.data.forEach((v, i) => {
    mean[i % channels] += v / rows;
  });
  x.data.forEach((v, i) => {
    variance[i % channels] += (v - mean[i % channels]) ** 2 / rows;
  });
  return { mean, variance };
}
