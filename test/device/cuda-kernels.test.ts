// time limit: 900 s
// one Node is enough
/**
 * What the op suite does not see of the CUDA kernels, where a GPU's are run in software (`cuda-host`): results written over an input, that
 * nothing is written between and around the rows of a strided result, and that bits do not depend on where values lie.
 *
 * FOVEA_OPS chooses ops by name.
 */
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { samplesOf } from '../../src/testing/check-op.ts';
import { tryPlacements } from '../support/kernel-placements.ts';
import { runners } from '../support/runners.ts';
import { suiteUnless } from '../support/webgpu.ts';

// Suites are declared after everything that is awaited: uvu starts on its own.
const { present, absent } = await runners('cuda-host');
const device = present[0]?.device;
const test = suiteUnless(absent.get('cuda-host'), 'CUDA kernels in software');
const chosen = process.env.FOVEA_OPS?.split(',');
for (const op of registeredOps()) {
  if (op.kernels?.cuda === undefined || samplesOf(op).length === 0 || chosen?.includes(op.name) === false) continue;
  test(`${op.name}: placed anywhere, over its inputs, and nowhere else, with the same bits`, async () => {
    await tryPlacements(device!, op, { sameBits: true });
  });
}
test.after(() => device?.dispose());
test.run();
