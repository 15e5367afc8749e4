// time limit: 300 s
// one Node is enough
/**
 * A training step of a narrow Inception-BN by CUDA's kernels in software, held to the float64 reference as DESIGN's rule for networks has it, with
 * ReLU op by op too, each fed what the device computed; in mixed precision (bfloat16) op by op, and by its loss.
 */
import * as assert from 'uvu/assert';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import { assertAgree, trainingStep } from '../support/inception-step.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(await cudaHostAbsent(), "a step of a narrow Inception-BN by CUDA's kernels in software");
const width = 0.125;

for (const activation of ['relu', 'softrelu'] as const) {
  test(`a step with ${activation} agrees with the reference`, async () => {
    const device = await openCudaHost();
    const got = await trainingStep(device, { activation, width, check: activation === 'relu' });
    device.dispose();
    console.log(`${activation}: ${assertAgree(got, await trainingStep(undefined, { activation, width }), activation)}`);
  });
}

test('a step in mixed precision: each op agrees with the reference, and the loss', async () => {
  // The small one, which normalizes over 7x7 pixels and more: over 2x2 rounding to 8 bits grows to a tenth of the loss, in PyTorch too.
  const small = { activation: 'relu', network: inceptionBNSmall, width, batch: 8, side: 28 } as const;
  const device = await openCudaHost();
  assert.is(device.half, 'bfloat16');
  const results = await trainingStep(device, { ...small, mixed: true, check: true });
  device.dispose();
  // The loss alone: a ReLU that bfloat16 flips at zero changes gradients by more than any rounding.
  const [got, want] = [results, await trainingStep(undefined, small)].map((r) => r.get('loss')![0]);
  console.log(`loss ${got}, in float64 ${want}`);
  assert.ok(Math.abs(got - want) <= 2 ** -7 * Math.abs(want), `loss ${got}, in float64 ${want}`);
});

test.run();
