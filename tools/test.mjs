// Runs the tests: every test/**/*.test.ts in a process of its own, under a time limit.
//
//   npm test                     set up what is missing, then run everything
//   npm test -- ops device/cpu   only files whose path contains one of the words
//   npm test -- --verbose        show what each file prints (one file alone always shows it)
//   npm test -- --no-setup       do not look for what is missing
//   npm test -- --other-node     leave out what need not be tried on a second Node
//
// In the first lines of a test file:
//   // time limit: 600 s         in place of 120 s
//   // alone                     nothing runs beside it: for measurements, and for files that take all cores
//   // one Node is enough        what it judges runs in no JavaScript engine: compilers, kernels in software
//   // show output               what it prints is shown although it passes: for tables
//
// FOVEA_TEST_SLOWNESS=3 multiplies all limits, for a slow or busy machine. The last line is `N passed, N failed`.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const timesFile = join(root, '.cache', 'test-times.json');
const DEFAULT_LIMIT = 120;

/** Reads what a test file asks for in its first lines. */
export function inspect(path) {
  const head = readFileSync(join(root, path), 'utf8').slice(0, 2000);
  return {
    path,
    limit: Number(/^\/\/ time limit: (\d+) s$/m.exec(head)?.[1] ?? DEFAULT_LIMIT) * slowness(),
    alone: /^\/\/ alone\b/m.test(head),
    oneNode: /^\/\/ one Node is enough$/m.test(head),
    show: /^\/\/ show output$/m.test(head),
  };
}

function slowness() {
  const value = Number(process.env.FOVEA_TEST_SLOWNESS ?? 1);
  return Number.isFinite(value) && value > 0 ? value : 1;
}

function findTests(words) {
  const folder = join(root, 'test');
  const all = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)).replaceAll('\\', '/'))
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)));
  return all.sort().map(inspect);
}

/** Process groups of the children that run, to be killed with this process. */
const running = new Set();

function killTree(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** Runs one file. Never rejects: whatever goes wrong is a failure with a reason. */
export function runFile(file) {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, file.path)], {
      cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    });
    running.add(child);
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (output += text));
    }
    const timer = setTimeout(() => {
      hung = true;
      killTree(child);
    }, file.limit * 1000);
    child.on('error', (error) => (output += `${error.message}\n`));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      // What it started and left running ends with it.
      killTree(child);
      resolve(judge(file, { code, signal, output, hung, seconds: (performance.now() - start) / 1000 }));
    });
  });
}

function sum(output, word) {
  const lines = [...output.matchAll(new RegExp(`^  ${word}: +(\\d+)\\s*$`, 'gm'))];
  return { n: lines.reduce((total, match) => total + Number(match[1]), 0), reported: lines.length > 0 };
}

/** Counts what a file reported, and what it should have reported but did not. */
function judge(file, { code, signal, output, hung, seconds }) {
  const total = sum(output, 'Total');
  const passed = sum(output, 'Passed').n;
  const named = [...output.matchAll(/^# skip: (.+?) # (.+)$/gm)].map((match) => ({ name: match[1], reason: match[2] }));
  const unnamed = sum(output, 'Skipped').n;
  let failed = total.n - passed;
  let problem;
  if (hung) {
    problem = total.reported
      ? `hangs: its tests ended but the process did not within ${file.limit} s (something is left open)`
      : `hangs: killed after ${file.limit} s`;
  } else if (signal !== null) problem = `killed by ${signal}`;
  else if (code === 13) problem = 'ended while a top-level await was pending';
  else if (!total.reported && named.length > 0 && code === 0) problem = undefined;
  else if (!total.reported) problem = `ended with code ${code} before its tests did (is test.run() missing?)`;
  else if (code !== 0 && failed === 0) problem = `all tests passed, yet the process ended with code ${code}`;
  else if (total.n === 0 && named.length === 0) problem = 'has no tests';
  // A file that crashed or hung counts as a failure of its own.
  if (problem !== undefined) failed += 1;
  return { ...file, output, problem, passed, failed, named, unnamed, seconds };
}

function report(result, show) {
  const counts = [`${result.passed} passed`];
  if (result.failed > 0) counts.push(`${result.failed} failed`);
  const skipped = result.named.length + result.unnamed;
  if (skipped > 0) counts.push(`${skipped} skipped`);
  const mark = result.failed > 0 ? 'FAIL' : 'ok  ';
  console.log(`${mark} ${result.path}  ${counts.join(', ')}  ${result.seconds.toFixed(1)} s`);
  if (result.problem !== undefined) console.log(`     ${result.path} ${result.problem}`);
  if (show || result.show || result.failed > 0) console.log(result.output.trimEnd().replace(/^/gm, '     | '));
}

function readTimes() {
  try {
    return JSON.parse(readFileSync(timesFile, 'utf8'));
  } catch {
    return {};
  }
}

/**
 * Runs the files, two at a time, those that want to be alone last and one at a time.
 * @returns the results, in the order in which they ended
 */
async function runAll(files, show) {
  const times = readTimes();
  const expected = (file) => times[file.path] ?? 5;
  // The longest first, so that no long one is left for the end.
  const together = files.filter((file) => !file.alone).sort((a, b) => expected(b) - expected(a));
  const results = [];
  const finish = (result) => {
    results.push(result);
    times[result.path] = Number(result.seconds.toFixed(2));
    report(result, show);
  };
  const lane = async () => {
    for (let file = together.shift(); file !== undefined; file = together.shift()) finish(await runFile(file));
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, lane));
  for (const file of files.filter((one) => one.alone)) finish(await runFile(file));
  if (existsSync(join(root, '.cache')) || mkdirSync(join(root, '.cache'), { recursive: true })) {
    writeFileSync(timesFile, `${JSON.stringify(times, undefined, 1)}\n`);
  }
  return results;
}

function summarize(results) {
  const reasons = new Map();
  for (const { path, named, unnamed } of results) {
    for (const { name, reason } of named) reasons.set(reason, [...(reasons.get(reason) ?? []), `${path}: ${name}`]);
    const none = 'no reason given (test.skip or test.only)';
    if (unnamed > 0) reasons.set(none, [...(reasons.get(none) ?? []), `${path}: ${unnamed} of its tests`]);
  }
  if (reasons.size > 0) console.log('\nSkipped:');
  for (const [reason, names] of reasons) console.log(`  ${reason}\n${names.map((name) => `    ${name}`).join('\n')}`);
  const slow = [...results].sort((a, b) => b.seconds - a.seconds).slice(0, 5).filter(({ seconds }) => seconds >= 1);
  if (slow.length > 0) console.log('\nSlowest files:');
  for (const { path, seconds } of slow) console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${path}`);
  const failures = results.filter(({ failed }) => failed > 0);
  if (failures.length > 0) console.log('\nFailed:');
  for (const { path, failed, problem } of failures) console.log(`  ${path}: ${problem ?? `${failed} of its tests`}`);
}

async function main(argv) {
  const words = argv.filter((arg) => !arg.startsWith('--'));
  const options = argv.filter((arg) => arg.startsWith('--'));
  const unknown = options.find((option) => !['--verbose', '--no-setup', '--list', '--other-node'].includes(option));
  if (unknown !== undefined) {
    console.error(`npm test: unknown option ${unknown}; there are --verbose, --no-setup, --other-node and --list`);
    return 2;
  }
  const found = findTests(words);
  const files = options.includes('--other-node') ? found.filter(({ oneNode }) => !oneNode) : found;
  if (files.length === 0) {
    console.error(`npm test: no file test/**/*.test.ts has ${words.join(' or ')} in its path`);
    return 2;
  }
  if (options.includes('--list')) {
    for (const { path, limit, alone, oneNode } of files) console.log(`${path}  ${limit} s${alone ? ', alone' : ''}${oneNode ? ', one Node' : ''}`);
    return 0;
  }
  if (!options.includes('--no-setup')) {
    const { setUp } = await import('./setup.mjs');
    await setUp({ lavapipe: true });
  }
  const left = found.length - files.length;
  console.log(`${files.length} test files on Node ${process.versions.node}${left > 0 ? `, without ${left} of which one Node is enough` : ''}`);
  const results = await runAll(files, options.includes('--verbose') || files.length === 1);
  summarize(results);
  const total = (key) => results.reduce((n, result) => n + result[key], 0);
  const skipped = results.reduce((n, { named, unnamed }) => n + named.length + unnamed, 0);
  console.log(skipped > 0 ? `\n${skipped} skipped` : '');
  console.log(`${total('passed')} passed, ${total('failed')} failed`);
  return total('failed') > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
    process.on(signal, () => {
      for (const child of running) killTree(child);
      process.exit(code);
    });
  }
  process.exitCode = await main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    return 1;
  });
}
