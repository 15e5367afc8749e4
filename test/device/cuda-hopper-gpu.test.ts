/** Hopper's rung on a GPU that has it: shapes of several tiles and runs, which test/device/cuda-rungs.test.ts computes in software. */
import * as assert from 'uvu/assert';
import { cuda } from '../../src/device/cuda/index.ts';
import type { Device } from '../../src/device/types.ts';
import { DeviceError, MissingPackageError } from '../../src/errors.ts';
import { getOp } from '../../src/fovea.ts';
import { checkForward } from '../../src/testing/check-op.ts';
import { halvesOf, large } from '../support/cuda/hopper-samples.ts';
import { suiteUnless } from '../support/webgpu.ts';

let device: Device | undefined;
let reason: string | undefined;
try {
  device = await cuda({ rung: 'hopper' });
  const capability = device.features?.cuda?.capability;
  if (capability !== 90) reason = `the GPU's compute capability is ${(capability ?? 0) / 10}, not 9.0`;
} catch (error) {
  if (!(error instanceof DeviceError || error instanceof MissingPackageError)) throw error;
  reason = error.message;
}
const test = suiteUnless(reason, 'Hopper\'s rung on a GPU');
for (const [name, samples] of Object.entries(large)) {
  for (const dtype of ['float16', 'bfloat16'] as const) {
    test(`${name} in ${dtype}`, async () => {
      const report = await checkForward(getOp(name), device!, ['plain', 'odd'], samples.map((sample) => halvesOf(sample, dtype)));
      assert.is(report.failures.length, 0, report.failures.slice(0, 5).join('\n'));
      assert.ok(report.checks > 0, 'nothing was compared');
    });
  }
}
test.after(() => device?.dispose());
test.run();
