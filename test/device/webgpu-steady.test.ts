/** After the first step of a training Program nothing is made on the GPU any more: no buffer, texture, bind group or pipeline. */
import * as assert from 'uvu/assert';
import { globals } from 'webgpu';
import { compile, grad, softmaxCrossEntropy, tensor } from '../../src/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { sgd } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

/** How often each of GPUDevice's functions that make something was called; command encoders, made for each run, apart. */
const made = new Map<string, number>();
const { prototype } = (globals as unknown as { GPUDevice: { prototype: Record<string, (...args: unknown[]) => unknown> } }).GPUDevice;
for (const name of Object.getOwnPropertyNames(prototype).filter((n) => n.startsWith('create') && n !== 'createCommandEncoder')) {
  const own = prototype[name];
  prototype[name] = function counted(...args) {
    made.set(name, (made.get(name) ?? 0) + 1);
    return own.apply(this, args);
  };
}

const batch = 4;
const side = 32;

// Suites are declared after everything that is awaited: uvu starts on its own.
const opened = {
  software: await openWebgpu({ adapter: 'llvmpipe', kernels: 'software' }),
  hardware: await openWebgpu({ adapter: 'llvmpipe', kernels: 'hardware' }),
};
for (const kernels of ['software', 'hardware'] as const) {
  const { device, reason } = opened[kernels];
  const test = suiteUnless(reason, `steady state, ${kernels} kernels`);

  test(`a training step makes nothing but commands from the second on, with ${kernels} kernels`, async () => {
    const net = internals(inceptionBNSmall({ classes: 2, width: 0.125 })).fc1_output;
    const { all, trainable } = createVariables(net, initialize(net, { data: [batch, 3, side, side] }, { seed: 3 }));
    const optimizer = sgd(trainable, { momentum: 0.9 });
    const step = compile((x: Tensor, y: Tensor, rate: number) => {
      const loss = softmaxCrossEntropy(net.apply(all, x, { training: true }) as Tensor, y).losses.mean();
      optimizer.update(grad(loss, trainable), rate);
      return loss;
    }, { device });
    const noise = new PhiloxStream(3, 'steady');
    const run = async (rate: number): Promise<number> => {
      const x = tensor(Float32Array.from({ length: batch * side * side * 3 }, () => noise.normal()), [batch, side, side, 3]);
      const loss = await step(x, tensor(Int32Array.from({ length: batch }, (_, i) => i % 2)), rate);
      return loss.item();
    };
    made.clear();
    const first = await run(0.1);
    for (const name of ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', ...(kernels === 'software' ? ['createTexture'] : [])]) {
      assert.ok((made.get(name) ?? 0) > 0, `the first step did without ${name}: ${JSON.stringify([...made])}`);
    }
    made.clear();
    const losses = [await run(0.1), await run(0.05), await run(0.05)];
    assert.equal([...made], []);
    assert.ok([first, ...losses].every((l) => Number.isFinite(l) && l > 0) && new Set([first, ...losses]).size === 4, 'the steps compute');
    step.dispose();
  });
  test.after(() => device.dispose());
  test.run();
}
