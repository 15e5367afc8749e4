// time limit: 600 s
/**
 * The one suite: every registered op, forward and gradient, on every device present, against its float64 reference, under the rule
 * of src/testing/tolerance.ts; MXNet's operator fixtures on each; and the matrix of what was checked.
 *
 * FOVEA_RUNNERS chooses devices (`reference,cpu,webgpu`), FOVEA_OPS ops by name.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import type { DifferentiableOp } from '../../src/tensor/define-op.ts';
import { checkDerivative, checkForward, checkGradient, differentiableSamples, samplesOf } from '../../src/testing/check-op.ts';
import type { Report } from '../../src/testing/check-op.ts';
import { generate } from '../../tools/generate.mjs';
import { opFixtures, refused, refusedLater, runOpFixture } from '../support/op-fixtures.ts';
import { noFixtures, operatorFixtures } from '../support/python.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';
import { gradientCell, noSamples, viewsAlone } from './support/expectations.ts';
import { Matrix } from './support/matrix.ts';

// a kernel that was edited and not built would be judged by what it was before
const stale: string[] = await generate();
if (stale.length > 0) throw new Error(`src/generated was out of date; ${stale.join(', ')} are written anew: run this again`);
const chosen = process.env.FOVEA_OPS?.split(',');
const ops = registeredOps().filter((op) => chosen?.includes(op.name) ?? true) as readonly DifferentiableOp[];
const unknown = (chosen ?? []).filter((name) => !ops.some((op) => op.name === name));
if (unknown.length > 0) throw new Error(`FOVEA_OPS: no op is named ${unknown.join(', ')}`);
const { present, absent } = await runners();
const devices = present.filter((r) => r.device !== undefined);
const matrix = new Matrix(ops.map((op) => op.name), present.map((r) => r.name));

function assertPassed(report: Report): void {
  const more = report.failures.length > 5 ? `\n... and ${report.failures.length - 5} more` : '';
  assert.is(report.failures.length, 0, report.failures.slice(0, 5).join('\n') + more);
  assert.ok(report.checks > 0, 'nothing was compared');
}

for (const op of ops) {
  test(`${op.name}: samples, and a gradient or the reason why there is none`, () => {
    assert.is(samplesOf(op).length === 0, op.name in noSamples, 'samples');
    assert.is(op.gradient === undefined, gradientCell(op) !== 'checked' && op.gradient === undefined, 'gradient');
    if (gradientCell(op) === 'checked') assert.ok(differentiableSamples(op).length > 0, 'no sample has a gradient');
  });
  if (op.name in noSamples) {
    for (const runner of present) matrix.fill(op.name, runner.name, { forward: noSamples[op.name], gradient: noSamples[op.name] });
    continue;
  }
  const kind = gradientCell(op);
  matrix.fill(op.name, 'reference', { forward: 'is it' });
  if (kind === 'checked') {
    test(`${op.name}: gradient against finite differences`, () => {
      const report = checkDerivative(op);
      matrix.fill(op.name, 'reference', { gradient: matrix.verdict(report) });
      assertPassed(report);
    });
  } else {
    matrix.fill(op.name, 'reference', { gradient: kind });
  }
  for (const { name, device } of devices) {
    test(`${op.name} on ${name}: forward`, async () => {
      // on the cpu an op without kernels would run as its own reference, which proves nothing
      const planned = op.concatenates !== undefined || viewsAlone.includes(op.name);
      assert.ok(planned || op.kernels?.[device!.kind as 'cpu' | 'webgpu'] !== undefined, `no ${device!.kind} kernel`);
      const report = await checkForward(op, device!);
      matrix.fill(op.name, name, { forward: matrix.verdict(report) });
      assertPassed(report);
    });
    if (op.gradient === undefined) {
      matrix.fill(op.name, name, { gradient: kind });
      continue;
    }
    test(`${op.name} on ${name}: gradient`, async () => {
      const report = await checkGradient(op, device!);
      matrix.fill(op.name, name, { gradient: report.checks === 0 && report.failures.length === 0 ? kind : matrix.verdict(report) });
      assert.is(report.failures.length, 0, report.failures.slice(0, 5).join('\n'));
    });
  }
}
for (const [name, why] of absent) skip(`all ops on ${name}`, why);

const fixtures = opFixtures();
if (fixtures === undefined) {
  skip(operatorFixtures, noFixtures('mxnet', 'ops'));
  matrix.withoutFixtures();
} else {
  for (const runner of present) {
    for (const fixture of fixtures) {
      test(`MXNet's ${fixture.name} on ${runner.name}`, async () => {
        const used = await runOpFixture(fixture, runner).catch((error: unknown) => {
          matrix.failFixture(runner.name);
          throw error;
        });
        matrix.fixture(runner.name, used);
      });
    }
  }
  for (const [name, why] of absent) skip(`${operatorFixtures} on ${name}`, why);
  test('operators of the fixtures that Fovea does not have', () => {
    const lacking = [...Object.keys(refused), ...Object.keys(refusedLater)];
    // Fixtures made anew by tools/oracles are of Fovea's operators alone: they have none of these.
    const unseen = lacking.filter((name) => !fixtures.some((f) => f.name === name));
    assert.ok(unseen.length === 0 || unseen.length === lacking.length, `no fixtures of ${unseen.join(', ')}`);
    console.log(`\nMXNet's operators that Fovea does not have, refused by name: ${lacking.join(', ')}`);
  });
}

test('the matrix has no blank', () => {
  console.log(`\n${matrix.toString()}`);
  assert.equal(matrix.blanks(), []);
});

test.run();
