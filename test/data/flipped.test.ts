/** Mirror images beside the images, as `bench/transfer.ts` trains on them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { flipped, flips } from '../../bench/support/flipped.ts';
import { memoryDataset } from '../../src/data/index.ts';
import { device } from '../../src/index.ts';
import { activation, addHead, convolution, cutAt, parseHead, variable } from '../../src/nn/index.ts';
import { FeatureSource, createNetwork } from '../../src/train/index.ts';

const [height, width, channels] = [3, 5, 3];
const size = height * width * channels;
const count = 4;
const bytes = Uint8Array.from({ length: count * size }, (_, i) => (i * 37) % 251);
const data = memoryDataset({
  name: 'eyes', shape: [height, width, channels], bytes, labels: [0, 1, 1, 0], patients: ['a', 'a', 'b', 'c'], ids: ['a/L', 'a/R', 'b', 'c'],
  simulated: true,
});
const both = flipped(data);

function read(index: number, of = both): number[] {
  const target = new Uint8Array(size);
  of.readInto(index, target);
  return [...target];
}

test('sample 2 i + k is image i as it is or mirrored, with its label and its patient', () => {
  assert.equal(flips, [false, true]);
  assert.is(both.length, 2 * count);
  assert.equal([...both.labels], [0, 0, 1, 1, 1, 1, 0, 0]);
  assert.equal(both.patients, ['a', 'a', 'a', 'a', 'b', 'b', 'c', 'c']);
  assert.is(new Set(both.ids).size, 2 * count);
  assert.equal([both.classes, both.shape, both.simulated], [data.classes, data.shape, true]);
  for (let i = 0; i < count; i++) {
    assert.equal(read(2 * i), [...bytes.subarray(i * size, (i + 1) * size)], `image ${i}`);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * channels;
        const across = i * size + (y * width + width - 1 - x) * channels;
        assert.equal(read(2 * i + 1).slice(at, at + channels), [...bytes.subarray(across, across + channels)], `image ${i} at ${y}, ${x}`);
      }
    }
  }
});

test('mirrored twice it is the image; a place in a batch is kept to', () => {
  const twice = flipped(both);
  for (let i = 0; i < count; i++) {
    const mirrored = 2 * i + 1;
    assert.equal(read(2 * mirrored + 1, twice), read(2 * i), `image ${i}`);
    const batch = new Uint8Array(3 * size).fill(7);
    both.readInto(mirrored, batch, size);
    assert.equal([...batch.subarray(size, 2 * size)], read(mirrored));
    assert.ok([...batch.subarray(0, size), ...batch.subarray(2 * size)].every((b) => b === 7));
  }
});

test('features of a mirror image are those of the image mirrored', async () => {
  const cpu = await device('cpu', { threads: 2 });
  try {
    const filtered = convolution(variable('data'), { kernel: [1, 1], numFilter: 2, name: 'conv' });
    const trunk = activation(filtered, { actType: 'relu', name: 'relu' });
    const whole = addHead(trunk, parseHead('2'), { data: [1, channels, height, width] });
    const network = createNetwork(whole, both, { seed: 1 });
    const part = { trunk: cutAt(whole, 'relu'), rest: whole };
    const source = new FeatureSource({
      network, part, device: cpu, batch: 4, loader: { workers: 0 },
      normalization: { mean: [100, 110, 120], deviation: [60, 60, 60], window: 0 },
    });
    const features = await source.dataset(both, Array.from({ length: both.length }, (_, i) => i));
    assert.equal(features.features, [height, width, 2]);
    const rowOf = (i: number): Float32Array => {
      const row = new Uint8Array(features.shape[2]);
      features.readInto(i, row);
      return new Float32Array(row.buffer);
    };
    // A 1 x 1 convolution sees one pixel: its features are mirrored as the image is.
    for (let i = 0; i < count; i++) {
      const [straight, mirrored] = [rowOf(2 * i), rowOf(2 * i + 1)];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const [at, across] = [(y * width + x) * 2, (y * width + width - 1 - x) * 2];
          assert.equal([...mirrored.subarray(at, at + 2)], [...straight.subarray(across, across + 2)], `image ${i} at ${y}, ${x}`);
        }
      }
      assert.ok(straight.some((v, k) => v !== mirrored[k]), 'the two differ');
    }
    source.dispose();
    network.dispose();
  } finally {
    cpu.dispose();
  }
});

test.run();
