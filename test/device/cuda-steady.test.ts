/**
 * After the first step of a training Program a step is one CUDA graph, launched: nothing is made, captured, compiled or allocated again, whatever
 * the learning rate, in float32 and in mixed precision. Kernels do nothing here (test/support/cuda/fake_libcuda.c): what is seen is what is called.
 */
import * as assert from 'uvu/assert';
import { cuda } from '../../src/device/cuda/index.ts';
import { compile, grad, softmaxCrossEntropy, tensor } from '../../src/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { LossScale, sgd } from '../../src/optim/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { buildFakes } from '../support/cuda/fake.ts';
import { suiteUnless } from '../support/webgpu.ts';

const fakes = await buildFakes();
const { driver } = fakes as Exclude<typeof fakes, { reason: string }>;
const test = suiteUnless(fakes.reason, 'steady state on cuda');

const batch = 4;
const side = 32;
const rates = [0.1, 0.05, 0.05, 0.01, 0.003];

/** What a step may call: it writes its arguments, launches, and reads its loss. The queue's events come and go; none is left over. */
const steadily = new Set([
  'cuCtxSetCurrent', 'cuGraphLaunch', 'cuMemcpyHtoDAsync_v2', 'cuMemcpyDtoHAsync_v2', 'cuMemcpyDtoDAsync_v2', 'cuEventRecord', 'cuEventQuery',
  'cuEventCreate', 'cuEventDestroy_v2',
]);

for (const mixed of [false, true]) {
  test(`a training step is one graph from the second on, whatever its learning rate, ${mixed ? 'in mixed precision' : 'in float32'}`, async () => {
    driver.reset();
    let compiled = 0;
    const device = await cuda({
      libcuda: driver.path, tuning: 'off', compile: (kernel) => (compiled++, new TextEncoder().encode(`module of ${kernel}\0`)),
    });
    const net = internals(inceptionBNSmall({ classes: 2, width: 0.125 })).fc1_output;
    const { all, trainable, states } = createVariables(net, initialize(net, { data: [batch, 3, side, side] }, { seed: 3 }));
    const optimizer = sgd(trainable, { momentum: 0.9 });
    const scale = mixed ? new LossScale() : undefined;
    const step = compile((x: Tensor, y: Tensor, rate: number) => {
      const loss = softmaxCrossEntropy(net.apply(all, x, { training: true }) as Tensor, y).losses.mean();
      optimizer.update(grad(scale === undefined ? loss : scale.scaled(loss), trainable), rate, scale);
      return loss;
    }, { device, mixed });
    const run = async (i: number): Promise<string[]> => {
      const before = driver.calls().length;
      const x = tensor(new Float32Array(batch * side * side * 3).fill(i), [batch, side, side, 3]);
      const loss = await step(x, tensor(Int32Array.from({ length: batch }, (_, k) => k % 2)), rates[i]);
      await loss.data();
      return driver.calls().slice(before);
    };
    const launched = (from: number): string[] =>
      driver.launches().slice(from).map(({ kernel, grid, block, args }) => `${kernel} ${grid.join()} ${block} ${args.toString('hex')}`);
    const first = await run(0);
    assert.ok(['cuMemAllocAsync', 'cuGraphInstantiateWithFlags', 'cuModuleLoadData'].every((call) => first.includes(call)), [...new Set(first)].join(' '));
    const once = launched(0);
    assert.ok(once.length > 50, String(once.length));
    const [live, kernels, { compilations, bytesAllocated }] = [driver.live(), compiled, { ...device.counters }];
    for (let i = 1; i < rates.length; i++) {
      const from = driver.launches().length;
      const calls = await run(i);
      assert.is(calls.filter((call) => call === 'cuGraphLaunch').length, 1);
      assert.equal([...new Set(calls)].filter((call) => !steadily.has(call)), []);
      // The very same launches: the rate comes through memory.
      assert.equal(launched(from), once);
      assert.equal(driver.live(), live);
      assert.equal([compiled, device.counters.compilations, device.counters.bytesAllocated], [kernels, compilations, bytesAllocated]);
    }
    assert.is(step.programs.length, 1);
    step.dispose();
    for (const v of [...trainable, ...states]) v.dispose();
    device.dispose();
    assert.ok(Object.values(driver.live()).every((held) => held === 0), JSON.stringify(driver.live()));
  });
}

test.run();
