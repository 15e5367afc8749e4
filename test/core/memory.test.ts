// time limit: 300 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { compile, grad, tensor, variable } from '../../src/fovea.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { collectGarbage } from '../support/gc.ts';

const cpu = await device('cpu', { threads: 1 });
setDefaultDevice(cpu);

async function heapUsed(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().heapUsed;
}

const x = tensor([[1, 2, 3], [4, 5, 6]]);
const w = variable(new Float32Array(6).fill(0.1), [3, 2], { name: 'w' });
const b = variable(0, [2], { name: 'b' });

function loss(input: Tensor): Tensor {
  return input.matmul(w.read()).add(b).square().mean();
}

test('the second and later calls of a compiled step allocate nothing and compile nothing', async () => {
  const step = compile((input: Tensor, rate: number) => {
    const value = loss(input);
    const [gw, gb] = grad(value, [w, b]);
    w.assign(w.read().sub(gw.mul(rate)));
    b.assign(b.read().sub(gb.mul(rate)));
    return value;
  });
  await step(x, 0.01);
  const { allocations, compilations, bytesAllocated, runs } = { ...cpu.counters };
  for (let i = 0; i < 50; i++) await (await step(x, 0.01 / (i + 1))).item();
  assert.is(cpu.counters.allocations, allocations);
  assert.is(cpu.counters.compilations, compilations);
  assert.is(cpu.counters.bytesAllocated, bytesAllocated);
  assert.is(cpu.counters.runs, runs + 50);
  step.dispose();
});

test('10,000 compiled steps leave device bytes and heap flat', async () => {
  const step = compile((input: Tensor, rate: number) => {
    const value = loss(input);
    const [gw] = grad(value, [w]);
    w.assign(w.read().sub(gw.mul(rate)));
    return value;
  });
  for (let i = 0; i < 500; i++) await step(x, 1e-4);
  const heap = await heapUsed();
  const { bytesAllocated } = cpu.counters;
  for (let i = 0; i < 10_000; i++) await step(x, 1e-4);
  assert.is(cpu.counters.bytesAllocated, bytesAllocated);
  const grown = (await heapUsed()) - heap;
  assert.ok(grown < 2e6, `the heap grew by ${grown} bytes`);
  step.dispose();
});

test('100,000 uncompiled steps leave device bytes and heap flat', async () => {
  const v = variable([1, 2, 3], [3], { name: 'v' });
  const once = async (i: number): Promise<void> => {
    v.assign(v.read().mul(0.999).add(i * 1e-9));
    await v.data();
  };
  for (let i = 0; i < 1000; i++) await once(i);
  const heap = await heapUsed();
  const { bytesAllocated, compilations } = { ...cpu.counters };
  for (let i = 0; i < 100_000; i++) await once(i);
  assert.is(cpu.counters.bytesAllocated, bytesAllocated);
  assert.is(cpu.counters.compilations, compilations);
  const grown = (await heapUsed()) - heap;
  assert.ok(grown < 4e6, `the heap grew by ${grown} bytes`);
});

test.after(() => cpu.dispose());
test.run();
