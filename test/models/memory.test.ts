// time limit: 240 s
// alone
/** What a training step of Inception-BN at 224x224, batch 32, takes: all counted, and equal to the device's own total. */
import * as assert from 'uvu/assert';
import type { Device } from '../../src/device/types.ts';
import { compile, device, grad, softmaxCrossEntropy, wrap } from '../../src/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { sgd } from '../../src/optim/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const batch = 32;
const webgpu = await openWebgpu();

for (const [name, target, reason] of [['cpu', await device('cpu'), undefined], ['webgpu', webgpu.device, webgpu.reason]] as const) {
  const test = suiteUnless(reason, name);
  test(`a step of Inception-BN at batch ${batch} takes at most 1.4 GB on ${name}, as the device counts it`, async () => {
    const on: Device = target;
    const before = on.counters.bytesAllocated;
    const network = internals(inceptionBN({ classes: 2 })).fc1_output;
    const { all, trainable } = createVariables(network, initialize(network, { data: [batch, 3, 224, 224] }, { seed: 1 }));
    const optimizer = sgd(trainable, { momentum: 0.9, device: on });
    const step = compile((images: Tensor, labels: Tensor, rate: Tensor | number) => {
      const logits = network.apply(all, images.cast('float32'), { training: true }) as Tensor;
      const loss = softmaxCrossEntropy(logits, labels).losses.mean();
      optimizer.update(grad(loss, trainable), rate);
      return loss;
    }, { device: on });
    const images = wrap(new Uint8Array(batch * 224 * 224 * 3), [batch, 224, 224, 3], 'uint8');
    const memory = await step.prepare(images, wrap(new Int32Array(batch), [batch], 'int32'), 0.01);
    const sum = memory.planned + memory.own + memory.variables;
    const allocated = on.counters.bytesAllocated - before;
    assert.ok(Math.abs(sum - allocated) <= 0.02 * allocated, `${sum} bytes planned, ${allocated} on the device`);
    assert.ok(allocated <= 1.4e9, `${allocated} bytes`);
    assert.ok(memory.naive > 2 * memory.planned, `${memory.naive} bytes without sharing, ${memory.planned} with it`);
    step.dispose();
  });
  test.after(() => target.dispose());
  test.run();
}
