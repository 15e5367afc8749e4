/**
 * The list of faults that tools/faults.ts seeds follows the code: each is where it says it is, changes what is compiled, and names
 * tests that there are. What the tests make of the faults, the tool itself finds out.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { samplesOf } from '../../src/testing/check-op.ts';
import { cudaProductFaults } from '../../tools/faults/cuda-products.ts';
import { cudaFaults } from '../../tools/faults/cuda.ts';
import { commandOf, withFault } from '../../tools/faults/fault.ts';
import type { Fault } from '../../tools/faults/fault.ts';
import type { Result } from '../../tools/faults/record.ts';
import { entryOf, markdown, readRecord, record } from '../../tools/faults/record.ts';
import type { Ended } from '../../tools/faults/verdict.ts';
import { skipped, verdictOf } from '../../tools/faults/verdict.ts';
import { wasmFaults } from '../../tools/faults/wasm.ts';
import { wgslFaults } from '../../tools/faults/wgsl.ts';
import { throws } from '../support/errors.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const faults = [...wasmFaults, ...wgslFaults, ...cudaFaults, ...cudaProductFaults];
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Without comments and spaces: what a compiler sees. WGSL's `//#if` and the like are carried out before it. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/(?!#).*$/gm, '').replace(/\s+/g, ' ');
}

for (const fault of faults) {
  test(`${fault.name}: ${fault.what}`, () => {
    const text = read(fault.file);
    assert.is.not(code(withFault(text, fault)), code(text), 'nothing that is compiled changes');
    assert.ok(existsSync(join(root, fault.test.file)), `${fault.test.file} is gone`);
    for (const name of fault.test.ops ?? []) {
      const op = registeredOps().find((one) => one.name === name);
      assert.ok(op !== undefined && samplesOf(op).length > 0, `no op "${name}" with samples`);
    }
    assert.match(commandOf(fault.test), /^FOVEA_RUNNERS=(cpu|webgpu|cuda-host) /);
  });
}

test('names are unique; both devices have many, and every kind of kernel has some', () => {
  assert.is(new Set(faults.map(({ name }) => name)).size, faults.length);
  assert.ok(wasmFaults.length >= 40 && wgslFaults.length >= 40);
  const listed = (list: readonly Fault[]): Set<string> => new Set(list.map(({ file }) => file));
  // Files that hold declarations alone, or formulas that others would be wrong without.
  const spared = [
    'kernels/wasm/lib/simd.ts', 'shaders/conv_uniforms.wgsl', 'shaders/depthwise_uniforms.wgsl', 'shaders/norm_uniforms.wgsl',
    // Measurements for the benchmark's roofline, which have no right result.
    'kernels/wasm/probe.ts', 'shaders/probe_multiply_add.wgsl', 'shaders/probe_stream.wgsl', 'kernels/cuda/probe_multiply_add.cu',
    'kernels/cuda/probe_stream.cu',
    // What decides about matrix units: with a fault, they would not be used, and their tests be skipped.
    'shaders/probe_matrices.wgsl',
  ];
  const kernels = [
    ...readdirSync(join(root, 'kernels/wasm'), { recursive: true }).map((name) => `kernels/wasm/${String(name).replaceAll('\\', '/')}`),
    ...readdirSync(join(root, 'shaders')).map((name) => `shaders/${name}`),
    ...readdirSync(join(root, 'kernels/cuda')).map((name) => `kernels/cuda/${name}`),
  ].filter((path) => /\.(ts|mjs|wgsl|cu)$/.test(path) && !spared.includes(path));
  assert.equal(kernels.filter((path) => !listed(faults).has(path)), [], 'kernel files without a fault');
});

test('only a test that ran and failed counts as having seen a fault', () => {
  const end = (output: string, code: number | null = 1, hung = false) => verdictOf({ output, code, hung, seconds: 1 });
  const failed = '• ✘   (1 / 2)\n\n   FAIL  "conv2d on cpu: forward"\n    conv2d [1]: element 3 is 2, expected 1  (is)\n\n    at x.ts:1:1\n';
  const failure = { test: 'conv2d on cpu: forward', message: 'conv2d [1]: element 3 is 2, expected 1  (is)' };
  assert.equal(end(failed), { verdict: 'caught', failure });
  assert.is(end('   FAIL  tiles  "a "b" c"\n    no\n').failure?.test, 'a "b" c');
  assert.is(end('Error [ERR_MODULE_NOT_FOUND]: Cannot find module').verdict, 'no test failed');
  assert.is(end('', null).verdict, 'no test failed');
  assert.is(end(failed, null, true).verdict, 'out of time');
  assert.is(end('• •   (2 / 2)', 0).verdict, 'NOT caught');
  assert.is(end(`${failed}createComputePipeline failed`).verdict, 'does not compile');
});

test("what a real file of tests prints is understood: a failed one's name and message, and one that is skipped", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-faults-test-'));
  try {
    const file = join(folder, 'a.test.mjs');
    const uvu = (name: string): string => import.meta.resolve(name);
    const head = `import { suite } from '${uvu('uvu')}';\nimport * as assert from '${uvu('uvu/assert')}';\n`;
    const run = (text: string): Ended => {
      writeFileSync(file, head + text);
      const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
      const { status: code, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8', env });
      return { code, output: stdout + stderr, hung: false, seconds: 1 };
    };
    const tests = "const test = suite('tiles');\ntest('one', () => {});\ntest('two', () => assert.is(1, 2, 'not the same'));\ntest.run();";
    assert.equal(verdictOf(run(tests)), { verdict: 'caught', failure: { test: 'two', message: 'not the same  (is)' } });
    assert.equal(verdictOf(run(`${tests}\nthrow new Error('an import');`)), { verdict: 'no test failed' });
    assert.equal(verdictOf(run('process.exit(3);')), { verdict: 'no test failed' });
    assert.is(skipped("\n# skip: forward: values exchanged within subgroups # no adapter\n", 'within subgroups'), 'no adapter');
    assert.is(skipped("\n# skip: MXNet's fixtures # no folder\n", 'within subgroups'), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the record keeps what other runs found, in the order of the list', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-faults-test-'));
  try {
    const file = join(folder, 'found');
    assert.equal(readRecord(file), []);
    const [a, b, c, d] = faults;
    const put = (...results: Omit<Result, 'output'>[]): void => record(file, faults, results.map((r) => entryOf({ ...r, output: 'no adapter' })));
    const failure = (message: string) => ({ test: 'a|b', message });
    put({ fault: b, verdict: 'NOT caught', seconds: 1.23 }, { fault: c, verdict: 'caught', seconds: 2, failure: failure('m') },
      { fault: d, verdict: 'not tried', seconds: 0 });
    put({ fault: a, verdict: 'caught', seconds: 3, failure: failure('x'.repeat(500)) }, { fault: b, verdict: 'caught', seconds: 4, failure: failure('m') });
    assert.equal(readRecord(file).map(({ name, verdict, seconds, reason }) => [name, verdict, seconds, reason]), [
      [a.name, 'caught', 3, undefined], [b.name, 'caught', 4, undefined], [c.name, 'caught', 2, undefined], [d.name, 'not tried', 0, 'no adapter'],
    ]);
    const table = readFileSync(`${file}.md`, 'utf8');
    assert.match(table, /^# Faults seeded into kernels: 3 of 3 caught\n/);
    assert.match(table, /\| cpu \(WASM\) \| 4 \| 3 \| 0 \| 1 \|/);
    assert.match(table, /\| a\\\|b \| 2 \|/);
    assert.match(table, /\| not tried \| no adapter \| 0 \|/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('docs/faults.md and its JSON have every fault of the list, caught or with the reason why it was not tried', () => {
  const entries = readRecord(join(root, 'docs/faults'));
  const known = new Map(entries.map((entry) => [entry.name, entry]));
  const again = 'run: node --import tsx tools/faults.ts --rest --out docs/faults';
  assert.equal(faults.filter(({ name }) => !known.has(name)).map(({ name }) => name), [], `faults that the record lacks; ${again}`);
  for (const { name, verdict, failure, reason } of entries) {
    assert.ok(verdict === 'caught' ? failure?.test : verdict === 'not tried' && reason, `${name}: ${verdict}; ${again}`);
  }
  assert.is(read('docs/faults.md'), markdown(entries));
});

test('a fault whose text is gone, or there more often, is refused by name', () => {
  const fault: Fault = { name: 'x', what: '', file: 'a.wgsl', find: 'b', replace: 'c', test: { file: 'd', runner: 'cpu' } };
  assert.is(withFault('a b', fault), 'a c');
  assert.is(withFault('b b b', { ...fault, occurs: { times: 3, take: 2 } }), 'b c b');
  throws(() => withFault('a', fault), Error, /fault x: expected 1 of "b" in a\.wgsl, found 0/);
  throws(() => withFault('b b', fault), Error, /found 2/);
});

test.run();
