// What continuous integration runs (.ci/run): static checks, the package, all tests on Node 20, and on a current Node all of which
// one Node is not enough. The last line is `N passed, N failed`.
//
//   node tools/ci.mjs [--no-other-node]
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn, spawnSync } from 'node:child_process';
import { ensureNvrtc } from './cuda-compiler.mjs';
import { setUp } from './setup.mjs';
import { unpackDriver } from './webgpu-driver.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Major versions of Node that must pass: the oldest supported, and a current one. */
const NODES = [20, 26];

const total = { passed: 0, failed: 0 };

function fail(name, problem) {
  total.failed += 1;
  console.log(`FAIL ${name}\n${problem.replace(/^/gm, '     | ')}`);
}

/**
 * The binary of a Node of that major version: this one, or that of npm's package for the platform, in a folder under
 * .cache. (npm's `node` package fetches the same one in an install script, which npm may refuse to run.)
 */
function nodeBinary(major) {
  if (process.versions.node.split('.')[0] === String(major)) return process.execPath;
  const folder = join(root, '.cache', `node-${major}`);
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = `node-${platform}-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  if (process.env.FOVEA_NO_DOWNLOAD === '1') throw new Error('FOVEA_NO_DOWNLOAD=1 forbids fetching it');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error', `${name}@${major}`];
  console.log(`cd ${folder.slice(root.length + 1)} && npm ${args.join(' ')}`);
  const child = spawnSync('npm', args, { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' });
  if (child.status !== 0 || !existsSync(binary)) throw new Error(`npm install failed: ${child.stderr ?? child.error}`);
  return binary;
}

/** Runs a program that ends with `N passed, N failed`, passing its output on but for that line, and counts. */
function counted(name, node, args) {
  console.log(`\n== ${name}`);
  return new Promise((resolve) => {
    const child = spawn(node, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let rest = '';
    let last;
    const take = (line) => {
      const match = /^(\d+) passed, (\d+) failed$/.exec(line);
      if (match === null) console.log(line);
      else last = { passed: Number(match[1]), failed: Number(match[2]) };
    };
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      lines.forEach(take);
    });
    child.on('close', (code, signal) => {
      if (rest !== '') take(rest);
      if (last === undefined) fail(name, `ended with ${signal ?? code} before it had counted`);
      else {
        console.log(`${name}: ${last.passed} of ${last.passed + last.failed} passed`);
        total.passed += last.passed;
        total.failed += last.failed;
        if (code !== 0 && last.failed === 0) fail(name, `ended with ${signal ?? code} though nothing failed`);
      }
      resolve();
    });
  });
}

async function main() {
  try {
    await setUp({ lavapipe: true });
    // Where the system has Mesa the unpacked packages would stay untried.
    if (process.env.FOVEA_NO_DOWNLOAD !== '1' && process.platform === 'linux') unpackDriver();
    const problem = ensureNvrtc();
    if (problem !== undefined) console.log(`NVRTC: none: ${problem}`);
  } catch (error) {
    return fail('set-up', error.message);
  }
  await counted('static checks', process.execPath, ['tools/check.mjs']);
  const majors = process.argv.includes('--no-other-node') ? [Number(process.versions.node.split('.')[0])] : NODES;
  for (const major of majors) {
    let node;
    try {
      node = nodeBinary(major);
    } catch (error) {
      fail(`tests on Node ${major}`, error.message);
      continue;
    }
    await counted(`tests on Node ${major}`, node, ['tools/test.mjs', '--no-setup', ...(major === majors[0] ? [] : ['--other-node'])]);
  }
}

const start = performance.now();
await main();
console.log(`\n${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
