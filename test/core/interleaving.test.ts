/** What callers may do while an evaluation or a call is under way, and what happens when handles are collected or memory runs out. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { GraphError, OutOfMemoryError } from '../../src/errors.ts';
import { compile, packVariables, tensor, variable } from '../../src/fovea.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { rejects } from '../support/errors.ts';
import { collectGarbage } from '../support/gc.ts';
import { planningDevice } from '../support/planning-device.ts';

const cpu = await device('cpu', { threads: 1 });
setDefaultDevice(cpu);

async function microtasks(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await Promise.resolve();
}

test('a handle amid a graph keeps its value when the variable under it moves on, whatever has been collected', async () => {
  const w = variable([1], [1]);
  const middle = w.read().mul(2);
  w.assign(middle.add(1));
  await collectGarbage();
  assert.is((await w.data())[0], 3);
  assert.is((await middle.data())[0], 2);

  const doubled = w.read().mul(2);
  const y = doubled.add(1);
  w.assign(0);
  await collectGarbage();
  assert.is((await y.data())[0], 7);
  w.assign(9);
  await w.data();
  assert.is((await doubled.data())[0], 6);
});

test('data() of a variable gives the version of the call', async () => {
  const w = variable([1], [1]);
  const asked = w.data();
  w.assign(5);
  assert.equal([(await asked)[0], (await w.data())[0]], [1, 5]);
  const [a, b] = [variable([1, 1], [2]), variable([2], [1])];
  packVariables([a, b]);
  const part = a.data();
  a.assign(7);
  assert.equal([[...(await part)], [...(await a.data())], [...(await b.data())]], [[1, 1], [7, 7], [2]]);
});

test('an assignment made during an evaluation is not lost', async () => {
  for (let n = 0; n < 24; n++) {
    const w = variable([1], [1]);
    w.assign(w.read().add(1));
    const first = w.data();
    await microtasks(n);
    w.assign(w.read().add(10));
    assert.is((await first)[0], 2, `after ${n} turns`);
    assert.is((await w.data())[0], 12, `after ${n} turns`);
  }
});

test('assignments and readings made during a compiled call see the version before it or after it', async () => {
  const w = variable([0], [1]);
  const step = compile(() => w.assign(w.read().add(1)));
  await step();
  for (let n = 0; n < 24; n++) {
    await w.set(Float32Array.of(1));
    const call = step();
    await microtasks(n);
    const reading = w.read();
    w.assign(w.read().add(10));
    await call;
    assert.is((await w.data())[0], 12, `after ${n} turns`);
    await step();
    const [seen] = await reading.data();
    assert.ok(seen === 1 || seen === 2, `${seen} after ${n} turns`);
  }
});

test('calls that nobody awaits run one after another, each with its own result', async () => {
  const w = variable([1], [1]);
  const step = compile((k: number | Tensor) => {
    w.assign(w.read().mul(2).add(k as Tensor));
    return w.read();
  });
  const results = await Promise.all([step(1), step(0), step(1)]);
  assert.equal(await Promise.all(results.map((r) => r.item())), [3, 6, 13]);
});

test('a function disposed of while its call waits refuses the call, and leaves no memory behind', async () => {
  const before = cpu.counters.bytesAllocated;
  const f = compile((x: Tensor) => x.mul(2), { name: 'brief' });
  const call = f(tensor([1]));
  f.dispose();
  await rejects(() => call, GraphError, /"brief" was disposed/);
  const g = compile((x: Tensor) => x.mul(2), { name: 'built' });
  const building = g.prepare(tensor([1]));
  await microtasks(3);
  g.dispose();
  await building.catch(() => undefined);
  const h = compile((x: Tensor) => x.mul(2), { name: 'read late' });
  const result = await h(tensor([1]));
  h.dispose();
  await rejects(() => result.data(), GraphError, /"read late" was disposed/);
  assert.is(cpu.counters.bytesAllocated, before);
});

test('a Program too large says which node, where and what would fit, and leaves the device as it was', async () => {
  const f = compile((x: Tensor, y: Tensor) => {
    const wide = x.reshape([-1, 1024, 1]).add(y);
    const all = [2, 3, 4, 5, 6].map((k) => wide.mul(k).exp());
    return all.reduce((sum, v) => sum.matmul(v).add(v.sum(0, { keepDims: true })), wide).sum();
  });
  const batch = (n: number): Tensor => tensor(new Float32Array(n * 1024), [n, 1024]);
  const y = tensor(new Float32Array(1024));
  const first = await (await f(batch(1), y)).item();
  const before = cpu.counters.bytesAllocated;
  let said = '';
  await f(batch(512), y).catch((error: OutOfMemoryError) => (said = error.message));
  const largest = Number(/Program takes \d+ bytes.*\[512,1024\] (\d+) of 512/.exec(said)?.[1]);
  await rejects(() => f.prepare(batch(largest + 1), y), OutOfMemoryError, new RegExp(`${largest} of ${largest + 1}`));
  await rejects(() => f(batch(2048), y), OutOfMemoryError,
    /#\d+ \(called at .*interleaving\.test\.ts:\d+.*shape \[2048,1024,1024\].*(\d+) of 2048/);
  assert.is(cpu.counters.bytesAllocated, before);
  assert.is(await (await f(batch(1), y)).item(), first);
  assert.is(cpu.counters.bytesAllocated, before);
  await f.prepare(batch(largest), y);
  f.dispose();
});

test('where free memory is not known, a failed allocation says what was asked for, and no batch that would fit', async () => {
  const full = planningDevice();
  const room = 64 * 2 ** 20;
  const tight: Device = {
    ...full, name: 'tight', memory: { ...full.memory, maxBuffer: 16 * 2 ** 20 },
    allocate: (bytes, label) => {
      if (full.counters.bytesAllocated + bytes > room) throw new OutOfMemoryError(`no room for ${label}`);
      return full.allocate(bytes, label);
    },
  };
  const f = compile((x: Tensor) => [1, 2, 3, 4, 5, 6, 7].map((k) => x.mul(k).exp()).reduce((sum, v) => sum.matmul(v), x).sum(),
    { device: tight });
  const batch = (n: number): Tensor => tensor(new Float32Array(n * 2 ** 18), [n, 512, 512]);
  await rejects(() => f.prepare(batch(16)), OutOfMemoryError,
    /no room for .*; the Program takes \d+ bytes; how large a batch would fit is not known, since WebGPU does not tell/);
  assert.is(full.counters.bytesAllocated, 0);
  // What is over a binding is known, and said with what is not.
  await rejects(() => f.prepare(batch(32)), OutOfMemoryError,
    /33554432 bytes, is over the 16777216 that tight can bind; .* 16 of 32 along the first axis fit/);
  await f.prepare(batch(2));
  f.dispose();
});

test.after(() => cpu.dispose());
test.run();
