/** Small data and networks on which training can be watched. */
import { memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import type { FitOptions } from '../../src/train/fit-types.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';

/**
 * Noise with a bright spot somewhere in every image of class 1: two images a patient, of one class.
 */
export function spots(patients: number, side = 16, seed = 1): Dataset {
  const stream = new PhiloxStream(seed, 'test/spots');
  const count = 2 * patients;
  const bytes = new Uint8Array(count * side * side * 3);
  const labels = Int32Array.from({ length: count }, (_, i) => (i >> 1) % 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = 60 + stream.int(80);
  labels.forEach((label, i) => {
    if (label === 0) return;
    const [y, x] = [1 + stream.int(side - 4), 1 + stream.int(side - 4)];
    for (let dy = 0; dy < 3; dy++) {
      for (let dx = 0; dx < 3; dx++) bytes.fill(240, ((i * side + y + dy) * side + x + dx) * 3, ((i * side + y + dy) * side + x + dx + 1) * 3);
    }
  });
  return memoryDataset({
    name: 'spots', shape: [side, side, 3], bytes, labels, patients: Array.from(labels, (_, i) => `p${i >> 1}`),
    ids: Array.from(labels, (_, i) => `image ${i}`),
  });
}

export function range(begin: number, end: number): Int32Array {
  return Int32Array.from({ length: end - begin }, (_, i) => begin + i);
}

/** Options with which a narrow network learns `spots(32)` in a few epochs; the last 16 images are for validation. */
export function spotsFit(data: Dataset, more: Partial<FitOptions> = {}): FitOptions {
  return {
    symbol: inceptionBNSmall({ classes: 2, width: 0.125 }), data, train: range(0, data.length - 16),
    validation: range(data.length - 16, data.length), epochs: 2, batch: 8, learningRate: 0.05, augment: 'flips', seed: 3,
    loader: { workers: 0 }, bootstrap: { resamples: 50 }, device: 'cpu', ...more,
  };
}
