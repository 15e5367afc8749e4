// time limit: 600 s
/**
 * Every op that may store float16, on CUDA: with its kernels run in software, where g++ is, and on a GPU, where one is. As float16.test.ts has it
 * for the other devices.
 *
 * FOVEA_RUNNERS chooses devices, FOVEA_OPS ops by name.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { checkForward, float16Samples } from '../../src/testing/check-op.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

const { present, absent } = await runners((process.env.FOVEA_RUNNERS ?? 'cuda-host,cuda').split(',').filter((name) => name.startsWith('cuda')).join());
const chosen = process.env.FOVEA_OPS?.split(',');
const ops = registeredOps().filter((op) => op.float16 !== undefined && (chosen?.includes(op.name) ?? true));
for (const { name, device } of present) {
  for (const op of ops) {
    test(`${op.name} on ${name}: float16`, async () => {
      const report = await checkForward(op, device!, ['plain', 'odd', 'mixed, outputs odd'], float16Samples(op));
      assert.is(report.failures.length, 0, `${report.failures.length}: ${report.failures.slice(0, 5).join('\n')}`);
      assert.ok(report.checks > 0, 'nothing was compared');
    });
  }
}
for (const [name, why] of absent) skip(`float16 on ${name}`, why);
test.run();
