// time limit: 400 s
/**
 * What the op suite does not see of the WebGPU kernels: the variants for hardware adapters, which a software adapter can run too; results
 * written over an input; and that nothing is written outside of a strided result.
 *
 * FOVEA_OPS chooses ops by name.
 */
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { samplesOf } from '../../src/testing/check-op.ts';
import { tryPlacements } from '../support/kernel-placements.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

// Suites are declared after everything that is awaited: uvu starts on its own.
const opened = {
  software: await openWebgpu({ adapter: 'llvmpipe', kernels: 'software' }),
  hardware: await openWebgpu({ adapter: 'llvmpipe', kernels: 'hardware' }),
};
const chosen = process.env.FOVEA_OPS?.split(',');
for (const kernels of ['software', 'hardware'] as const) {
  const { device, reason } = opened[kernels];
  const test = suiteUnless(reason, `kernels for ${kernels} adapters`);
  for (const op of registeredOps()) {
    if (op.kernels?.webgpu === undefined || samplesOf(op).length === 0 || chosen?.includes(op.name) === false) continue;
    test(`${op.name}, ${kernels} kernels: placed anywhere, over its inputs, and nowhere else`, async () => {
      await tryPlacements(device, op);
    });
  }
  test.after(() => device.dispose());
  test.run();
}
