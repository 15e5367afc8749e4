// The test runner itself: whatever ends a test file early is a failure with a name.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, runFile } from '../../tools/test.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
// Inside the repository, so that the files find uvu.
const folder = join('.cache', `runner-test-${process.pid}`);
const test = suite('test runner');

const UVU = "import { suite } from 'uvu'; import * as assert from 'uvu/assert'; const test = suite('x');\n";

async function run(body: string): Promise<Awaited<ReturnType<typeof runFile>>> {
  const path = join(folder, 'x.test.ts');
  mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, path), body);
  return runFile(inspect(path));
}

test.after(() => rmSync(join(root, folder), { recursive: true, force: true }));

test('what is asked for in the first lines', () => {
  mkdirSync(join(root, folder), { recursive: true });
  const path = join(folder, 'head.test.ts');
  writeFileSync(join(root, path), '// time limit: 7 s\n// one Node is enough\n');
  const { limit, alone, oneNode, show } = inspect(path);
  const plain = inspect('test/package/runner.test.ts');
  assert.equal({ limit: limit / plain.limit, alone, oneNode, show }, { limit: 7 / 120, alone: false, oneNode: true, show: false });
  assert.not.ok(plain.oneNode);
});

test('counts what passes and fails', async () => {
  const result = await run(`${UVU}test('a', () => {}); test('b', () => assert.is(1, 2)); test.run();`);
  assert.is(result.passed, 1);
  assert.is(result.failed, 1);
});

test('a hang is killed with all that it started, and named', async () => {
  const body = `// time limit: 5 s\n${UVU}import { spawn } from 'node:child_process';
    test('a', () => new Promise(() => {
      const child = spawn('sleep', ['30'], { stdio: 'ignore' });
      console.log('child ' + child.pid);
    })); test.run();`;
  const result = await run(body);
  assert.is(result.failed, 1);
  assert.match(result.problem ?? '', /^hangs: killed after 5 s/);
  const pid = Number(/child (\d+)/.exec(result.output)?.[1]);
  assert.ok(pid > 0);
  // A killed process may stay for a moment, or as a zombie where nobody reaps orphans.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const stat = `/proc/${pid}/stat`;
  const state = existsSync(stat) ? /\) (\w)/.exec(readFileSync(stat, 'utf8'))?.[1] : 'gone';
  assert.ok(state === 'gone' || state === 'Z', state);
});

test('a process that does not end after its tests is named as such', async () => {
  const result = await run(`// time limit: 2 s\n${UVU}test('a', () => { setInterval(() => {}, 999); }); test.run();`);
  assert.is(result.failed, 1);
  assert.match(result.problem ?? '', /its tests ended but the process did not/);
});

for (const [name, body, problem] of [
  ['a crash', `${UVU}test('a', () => process.kill(process.pid, 'SIGSEGV')); test.run();`, /killed by SIGSEGV/],
  ['an early exit', `${UVU}test('a', () => process.exit(0)); test.run();`, /before its tests did/],
  ['an error after the tests', `${UVU}test('a', () => { setTimeout(() => { throw 1; }, 50); }); test.run();`, /code 1/],
  ['a forgotten test.run()', `${UVU}test('a', () => {});`, /is test\.run\(\) missing/],
  ['a top-level await that never ends', 'await new Promise(() => {}); export {};', /top-level await/],
  ['a file without tests', `${UVU}test.run();`, /has no tests/],
] as const) {
  test(`${name} is a failure`, async () => {
    const result = await run(body);
    assert.ok(result.failed > 0);
    assert.match(result.problem ?? '', problem);
  });
}

test('a failing hook is a failure, though uvu passes over it', async () => {
  const result = await run(`${UVU}test.before(() => { throw new Error('x'); }); test('a', () => {}); test.run();`);
  assert.is(result.failed, 1);
});

test('skipped tests have names and reasons', async () => {
  const skip = JSON.stringify(join(root, 'test', 'support', 'skip.ts'));
  const result = await run(`import { skip } from ${skip};\nskip('a # b', 'no\\n device'); export {};`);
  assert.equal(result.named, [{ name: 'a - b', reason: 'no device' }]);
  assert.is(result.failed, 0);
});

test.run();
