/** What is said where a batch does not fit on the CUDA device, with a driver whose memory is as small as it is told: the largest that does. */
import * as assert from 'uvu/assert';
import { cuda } from '../../src/device/cuda/index.ts';
import type { CudaDeviceInfo } from '../../src/device/cuda/index.ts';
import { OutOfMemoryError } from '../../src/errors.ts';
import { compile, tensor } from '../../src/fovea.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { fit } from '../../src/train/index.ts';
import { buildFakes } from '../support/cuda/fake.ts';
import { rejects } from '../support/errors.ts';
import { spots, spotsFit } from '../support/training.ts';
import { suiteUnless } from '../support/webgpu.ts';

const fakes = await buildFakes();
const { driver } = fakes as Exclude<typeof fakes, { reason: string }>;
const test = suiteUnless(fakes.reason, 'CUDA out of memory');

const MiB = 2 ** 20;

/** With a device that finds so much memory; at its end nothing of it is left. */
async function within(bytes: number, work: (device: CudaDeviceInfo) => Promise<void>): Promise<void> {
  driver.reset();
  driver.set('total', bytes);
  const device = await cuda({ libcuda: driver.path, compile: (kernel) => new TextEncoder().encode(`module of ${kernel}\0`), tuning: 'off' });
  try {
    await work(device);
  } finally {
    device.dispose();
  }
  assert.is(driver.live().memory, 0);
}

/** Each image takes some megabytes, of which several live at a time. */
const stepOn = (device: CudaDeviceInfo) => compile((x: Tensor) =>
  [1, 2, 3].map((k) => x.mul(k).exp()).reduce((sum, v) => sum.matmul(v).add(v.sum(0, { keepDims: true })), x).sum(), { device });
const batch = (n: number): Tensor => tensor(new Float32Array(n * 2 ** 16), [n, 256, 256]);

const saidOf = (preparing: Promise<unknown>): Promise<string> => preparing.then(() => '', (error: Error) => {
  assert.instance(error, OutOfMemoryError);
  return error.message;
});

test('what does not fit is refused before anything is allocated, with the largest batch that does, which does', () => within(32 * MiB, async (device) => {
  const f = stepOn(device);
  const said = await saidOf(f.prepare(batch(64)));
  assert.match(said, /^cuda:0 \(Fake GPU 0\): the Program takes \d+ bytes, of which 0 are allocated; \d+ are free for the rest; of the input/);
  const [, largest] = /\[64,256,256\] (\d+) of 64 along/.exec(said)!;
  assert.not(driver.calls().includes('cuMemAllocAsync'));
  const n = Number(largest);
  assert.ok(n > 1 && n < 64, said);
  assert.match(await saidOf(f.prepare(batch(n + 1))), `${n} of ${n + 1} along the first axis fit`);
  assert.is(await saidOf(f.prepare(batch(n))), '');
  f.dispose();
}));

test('where others have taken memory since, the allocation that fails says what there is, and the batch is one that fits now', () =>
  within(256 * MiB, async (device) => {
    const f = stepOn(device);
    driver.set('total', 24 * MiB);
    const said = await saidOf(f.prepare(batch(40)));
    assert.match(said, /cannot allocate \d+ bytes for .*: \d+ of 25165824 bytes are free, \d+ are in use here; cuMemAllocAsync failed/);
    const n = Number(/ (\d+) of 40 along the first axis fit/.exec(said)![1]);
    assert.ok(n > 1 && n < 40, said);
    assert.is(device.counters.bytesAllocated, 0);
    assert.match(await saidOf(f.prepare(batch(n + 1))), ` ${n} of ${n + 1} along`);
    assert.is(await saidOf(f.prepare(batch(n))), '');
    // And when they have given it back, it is there.
    driver.set('total', 256 * MiB);
    assert.is(await saidOf(f.prepare(batch(40))), '');
    f.dispose();
  }));

test('an allocation that fails although there is room is said to be one, and no batch is made up', () => within(256 * MiB, async (device) => {
  const f = stepOn(device);
  driver.fail('cuMemAllocAsync', 1, 2);
  // The second attempt, without what the pool kept, succeeds.
  assert.is(await saidOf(f.prepare(batch(4))), '');
  const g = stepOn(device);
  driver.fail('cuMemsetD8Async', 1, 2);
  assert.match(await saidOf(g.prepare(batch(8))),
    /cuMemsetD8Async failed .*; how large a batch would fit is not known, since by what cuda:0 \(Fake GPU 0\) says is free this one would$/);
  f.dispose();
  g.dispose();
}));

test('training is refused before it starts, with the largest batch that fits', () => within(4 * MiB, async (device) => {
  const attempt = (size: number): Promise<string> => saidOf(fit(spotsFit(spots(32), { device, epochs: 1, batch: size })));
  const said = await attempt(48);
  assert.match(said, /^a batch of 48 takes \d+ MB, which do not fit on cuda:0 \(Fake GPU 0\); the largest batch that fits is \d+, without recomputation$/);
  const n = Number(/fits is (\d+)/.exec(said)![1]);
  assert.ok(n >= 1 && n < 48, said);
  assert.match(await attempt(n + 1), `fits is ${n},`);
  assert.is(device.counters.bytesAllocated, 0);
}));

test('a device that finds no memory at all cannot be opened, and says so', async () => {
  driver.reset();
  driver.fail('cuDevicePrimaryCtxRetain', 1, 2);
  await rejects(() => cuda({ libcuda: driver.path, compile: () => new Uint8Array(1) }), OutOfMemoryError,
    /no CUDA device can be opened: .*others may have its memory/);
});
test.run();
