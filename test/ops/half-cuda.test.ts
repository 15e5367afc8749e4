// time limit: 900 s
// one Node is enough
/**
 * Every op that may store halves, on CUDA: with its kernels run in software, where g++ is, and on a GPU, where one is. As half.test.ts has it for
 * the other devices. CUDA's half is bfloat16; float16, which its kernels know too, is tried in all but the elementwise ops' further names for
 * one kernel.
 *
 * FOVEA_RUNNERS chooses devices, FOVEA_OPS ops by name.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { checkForward, halfSamples } from '../../src/testing/check-op.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';
import { halfLayouts, isElementwise, isMixtureTried, mixtures } from './support/halves.ts';

const { present, absent } = await runners((process.env.FOVEA_RUNNERS ?? 'cuda-host,cuda').split(',').filter((name) => name.startsWith('cuda')).join());
const chosen = process.env.FOVEA_OPS?.split(',');
const ops = registeredOps().filter((op) => op.half !== undefined && (chosen?.includes(op.name) ?? true));
for (const { name, device } of present) {
  for (const format of ['bfloat16', 'float16'] as const) {
    for (const op of ops.filter((one) => format === 'bfloat16' || !isElementwise(one) || mixtures.includes(one.name))) {
      test(`${op.name} on ${name}: ${format}`, async () => {
        const report = await checkForward(op, device!, halfLayouts(op), halfSamples(op, format).filter((sample) => isMixtureTried(op, sample)));
        assert.is(report.failures.length, 0, `${report.failures.length}: ${report.failures.slice(0, 5).join('\n')}`);
        assert.ok(report.checks > 0, 'nothing was compared');
      });
    }
  }
}
for (const [name, why] of absent) skip(`halves on ${name}`, why);
test.run();
