// time limit: 240 s
/** Recomputation lowers the peak of memory and changes no bit. */
import * as assert from 'uvu/assert';
import type { Device } from '../../src/device/types.ts';
import { batchNorm, compile, concat, device, grad, maxPool2d, softmaxCrossEntropy, tensor, variable, wrap } from '../../src/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { sgd } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const [batch, side] = [4, 64];
const webgpu = await openWebgpu();

interface Trained {
  readonly losses: readonly number[];
  readonly parameters: readonly number[];
  readonly planned: number;
  readonly bound: number;
  readonly launches: number;
}

/** Five steps of a narrow Inception-BN on noise. */
async function train(on: Device, recompute: boolean): Promise<Trained> {
  const network = internals(inceptionBN({ classes: 2, width: 0.25 })).fc1_output;
  const { all, trainable } = createVariables(network, initialize(network, { data: [batch, 3, side, side] }, { seed: 1 }));
  const optimizer = sgd(trainable, { momentum: 0.9, device: on });
  const step = compile((images: Tensor, labels: Tensor) => {
    const logits = network.apply(all, images.cast('float32').div(255), { training: true }) as Tensor;
    const loss = softmaxCrossEntropy(logits, labels).losses.mean();
    optimizer.update(grad(loss, trainable), 0.05);
    return loss;
  }, { device: on, recompute });
  const stream = new PhiloxStream(1);
  const losses: number[] = [];
  for (let i = 0; i < 5; i++) {
    const pixels = Uint8Array.from({ length: batch * side * side * 3 }, () => stream.int(256));
    const labels = Int32Array.from({ length: batch }, () => stream.int(2));
    losses.push(await (await step(wrap(pixels, [batch, side, side, 3], 'uint8'), wrap(labels, [batch], 'int32'))).item());
  }
  const [{ memory: { planned, bound }, launchCount: launches }] = step.programs;
  const parameters: number[] = [];
  for (const v of trainable) parameters.push(...await v.data() as Float32Array);
  step.dispose();
  return { losses, parameters, planned, bound, launches };
}

for (const [name, target, reason] of [['cpu', await device('cpu'), undefined], ['webgpu', webgpu.device, webgpu.reason]] as const) {
  const test = suiteUnless(reason, name);
  test(`five steps with and without recomputation are equal bit for bit on ${name}`, async () => {
    const kept = await train(target, false);
    const again = await train(target, true);
    assert.equal(again.losses, kept.losses);
    assert.ok(new Set(kept.losses).size === 5 && kept.losses.every(Number.isFinite), kept.losses.join(' '));
    assert.ok(again.parameters.every((v, i) => Object.is(v, kept.parameters[i])), 'parameters differ');
    assert.ok(again.launches > kept.launches, 'nothing is computed twice');
    console.log(`${name}: ${again.planned} bytes with, ${kept.planned} without recomputation; alive at the worst step ${again.bound} and ${kept.bound}`);
    // No packing of what is kept otherwise could do with so little. test/models/memory.test.ts has the limits of the whole network, in bytes.
    assert.ok(again.planned < kept.bound, `${again.planned} bytes with, ${kept.bound} alive at the worst step without recomputation`);
  });
  test(`batch norm without a convolution before it is computed again from its statistics on ${name}`, async () => {
    const gamma = variable(Float32Array.from({ length: 8 }, (_, i) => 0.5 + i / 8), [8]);
    const beta = variable(Float32Array.from({ length: 8 }, (_, i) => i / 8 - 0.4), [8]);
    const run = async (recompute: boolean): Promise<{ data: number[]; planned: number; launches: number }> => {
      const f = compile((x: Tensor) => {
        let y = x;
        for (let i = 0; i < 4; i++) {
          const both = concat([batchNorm(y, gamma, beta).y.relu(), y.mul(0.5)]);
          y = maxPool2d(both.slice([0, 0, 0, 4], [4, 16, 16, 8]), { size: 3, stride: 1, padding: 1 }).square();
        }
        return grad(y.mean(), [gamma, beta]);
      }, { device: target, recompute });
      const stream = new PhiloxStream(2);
      const x = tensor(Float32Array.from({ length: 4 * 16 * 16 * 8 }, () => stream.uniform()), [4, 16, 16, 8]);
      const data: number[] = [];
      for (const t of await f(x)) data.push(...await t.data() as Float32Array);
      const [{ memory: { planned }, launchCount: launches }] = f.programs;
      f.dispose();
      return { data, planned, launches };
    };
    const kept = await run(false);
    const again = await run(true);
    assert.equal(again.data, kept.data);
    assert.ok(again.data.some((v) => v !== 0));
    assert.ok(again.launches > kept.launches && again.planned < kept.planned, `${again.planned} of ${kept.planned} bytes`);
  });
  test.after(() => target.dispose());
  test.run();
}
