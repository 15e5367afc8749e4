/**
 * Compiling CUDA kernels: NVRTC found and chosen, a cache of cubins, workers, and devices opened by name, with an NVRTC and a driver built
 * from C; and every kernel through the real NVRTC where there is one.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { copyLaunch } from '../../src/device/copy.ts';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { architectureFor } from '../../src/device/cuda/compile.ts';
import { chooseNvrtc, findNvrtc } from '../../src/device/cuda/find.ts';
import { cuda } from '../../src/device/cuda/index.ts';
import type { CudaDeviceInfo } from '../../src/device/cuda/index.ts';
import { NvrtcPool } from '../../src/device/cuda/nvrtc.ts';
import { kernelSource } from '../../src/device/cuda/source.ts';
import { describeDevices, device } from '../../src/device/index.ts';
import type { CudaLaunch, DeviceBuffer, Placed, PlacedLaunch } from '../../src/device/types.ts';
import { DeviceError, MissingPackageError, OptionError } from '../../src/errors.ts';
import { buildFakes, folder } from '../support/cuda/fake.ts';
import { rejects, throws } from '../support/errors.ts';
import { suiteUnless } from '../support/webgpu.ts';

const fakes = await buildFakes();
const { driver, nvrtc } = fakes as Exclude<typeof fakes, { reason: string }>;

/** Without what this machine has, so that tests see theirs alone. */
const place = (name: string): string => mkdtempSync(join(folder, `${name}-`));

function touch(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
  return path;
}

const finding = suite('finding NVRTC');

finding('in the toolkit first, then beside the shell\'s Python, the newest of a folder first', () => {
  const [toolkit, python, home] = [place('toolkit'), place('python'), place('venv')];
  const paths = [
    touch(join(toolkit, 'lib64/libnvrtc.so.12')),
    touch(join(home, 'lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13')),
    touch(join(python, 'lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12')),
    touch(join(python, 'lib/python3.9/site-packages/torch/lib/libnvrtc-672ee683.so.11.2')),
  ];
  touch(join(toolkit, 'lib64/libnvrtc-builtins.so.12.4'));
  touch(join(toolkit, 'lib64/libnvrtc_static.a'));
  symlinkSync(paths[0], join(toolkit, 'lib64/libnvrtc.so.12.4.127'));
  touch(join(python, 'bin/python3'));
  const env = { CUDA_PATH: toolkit, VIRTUAL_ENV: home, PATH: `${join(python, 'bin')}:/nowhere` };
  const found = findNvrtc(undefined, env).filter(({ path }) => path.startsWith(folder));
  assert.equal(found.map(({ path }) => path), paths);
  assert.equal(found.map(({ major }) => major), [12, 13, 12, 11]);
  assert.equal(found.map(({ source }) => source), ['CUDA toolkit', 'Python package', 'Python package', 'Python package']);
});

finding('a driver takes NVRTC of its own major version or an earlier one; else the line has the one command', () => {
  const library = (major: number) => ({ path: `/x/libnvrtc.so.${major}`, source: 'CUDA toolkit', major });
  const any = (): void => undefined;
  assert.is(chooseNvrtc([library(13), library(12)], 13, any).library.major, 13);
  const older = chooseNvrtc([library(13), library(12)], 12, any);
  assert.is(older.library.major, 12);
  assert.match(older.refused[0], '/x/libnvrtc.so.13 is of CUDA 13, newer than the driver');
  // One that does not load, or is too old for the GPU, does not hide the next.
  const next = chooseNvrtc([library(13), library(12)], 13, ({ major }) => {
    if (major === 13) throw new DeviceError('it does not load');
    return 'used';
  });
  assert.equal([next.library.major, next.used, next.refused], [12, 'used', ['it does not load']]);
  throws(() => chooseNvrtc([], 13, any), MissingPackageError, /^no NVRTC, which compiles the CUDA kernels: pip install nvidia-cuda-nvrtc$/);
  throws(() => chooseNvrtc([library(13), library(11)], 12, any), MissingPackageError,
    /pip install nvidia-cuda-nvrtc-cu12 \(found, and refused: .*13, newer.*; .*11 is of CUDA 11; 12 or later is needed\)$/);
});

finding('what FOVEA_NVRTC or an option names is taken alone, and must be there', () => {
  const at = place('given');
  const file = touch(join(at, 'libnvrtc.so.12'));
  assert.equal(findNvrtc(undefined, { FOVEA_NVRTC: at }), [{ path: file, source: 'FOVEA_NVRTC', major: 12 }]);
  assert.equal(findNvrtc(file, { FOVEA_NVRTC: '/nowhere' }), [{ path: file, source: 'asked for', major: 12 }]);
  throws(() => findNvrtc(undefined, { FOVEA_NVRTC: '/nowhere' }), MissingPackageError, /no NVRTC at \/nowhere \(FOVEA_NVRTC\)/);
});

finding('the architecture is the GPU\'s own, sm_90a on Hopper, or the last known of its generation', () => {
  const info = { version: '12.4', architectures: [75, 80, 86, 90] };
  assert.equal([80, 86, 87, 89, 90].map((one) => architectureFor(one, info)), ['sm_80', 'sm_86', 'sm_86', 'sm_86', 'sm_90a']);
  throws(() => architectureFor(120, info), DeviceError, /NVRTC 12.4 does not know compute capability 12.0/);
});

finding('a kernel comes with what it includes, and with its macros ahead', () => {
  const sources = {
    'a.cu': '#include "lib/one.cuh"\nbody', 'lib/one.cuh': '#pragma once\n  #include "lib/two.cuh"\n#include "host/threads.h"',
    'lib/two.cuh': '#include "lib/one.cuh"', 'lib/other.cuh': '', 'b.cu': '#include "lib/missing.cuh"',
  };
  const { source, headers } = kernelSource(sources, 'a', { WORD: 'u32', TILE: 8 });
  assert.is(source, '#define WORD u32\n#define TILE 8\n#line 1 "a.cu"\n#include "lib/one.cuh"\nbody');
  assert.equal(Object.keys(headers), ['lib/one.cuh', 'lib/two.cuh']);
  throws(() => kernelSource(sources, 'b', {}), DeviceError, /b.cu includes "lib\/missing.cuh", which is no file of kernels\/cuda/);
});

finding('without koffi, the error has the command that installs it', async () => {
  await rejects(() => importKoffi(() => Promise.reject(new Error('Cannot find package'))), MissingPackageError, /npm install koffi$/);
});
finding.run();

const test = suiteUnless(fakes.reason, 'compiling by NVRTC');

const open = (cacheFolder: string): Promise<CudaDeviceInfo> => cuda({ libcuda: driver.path, nvrtc: nvrtc.path, cacheFolder });

const value = (buffer: DeviceBuffer, rest: Partial<Placed> = {}): Placed =>
  ({ buffer, offset: 0, rows: 2, channels: 3, stride: 3, shape: [2, 3], dtype: 'float32', ...rest });

const copies = (buffer: DeviceBuffer, ...dtypes: Placed['dtype'][]): PlacedLaunch[] => dtypes.map((dtype, i) =>
  ({ launch: copyLaunch('cuda', value(buffer, { dtype }), value(buffer, { dtype })), node: `copy_${i}`, site: 'model.ts:9', flop: 0 }));

test('one module for each kernel and set of macros, compiled once and kept for other processes', async () => {
  driver.reset();
  const cache = join(place('cache'), 'below');
  const first = await open(cache);
  assert.is(first.fingerprint.compiler, 'NVRTC 13.0 for sm_90a');
  const before = nvrtc.compilations();
  const buffer = first.allocate(64, 'x');
  await first.build(copies(buffer, 'float32', 'int32', 'uint8', 'float16', 'float32'));
  assert.is(nvrtc.compilations() - before, 3);
  assert.is(first.counters.compilations, 3);
  const files = readdirSync(cache);
  assert.ok(files.length === 3 && files.every((name) => /^copy-sm_90a-[0-9a-f]{32}\.cubin$/.test(name)), files.join());
  assert.match(readFileSync(join(cache, files[0]), 'utf8'), 'cubin of copy.cu --gpu-architecture=sm_90a --std=c++20');
  assert.match(nvrtc.source(), /#define WORD u\d+\n#line 1 "copy.cu"\n[^]*lib\/fovea.cuh \d+\nlib\/types.cuh \d+$/);
  first.dispose();
  const second = await open(cache);
  await second.build(copies(second.allocate(64, 'x'), 'float32', 'uint8'));
  assert.is(nvrtc.compilations() - before, 3);
  second.dispose();
  // Another driver, another GPU: compiled anew.
  driver.set('version', 13010);
  const third = await open(cache);
  await third.build(copies(third.allocate(64, 'x'), 'float32'));
  assert.is(nvrtc.compilations() - before, 4);
  third.dispose();
  driver.set('major', 8);
  const ampere = await open(cache);
  await ampere.build(copies(ampere.allocate(64, 'x'), 'float32'));
  assert.ok(readdirSync(cache).some((name) => name.startsWith('copy-sm_80-')));
  ampere.dispose();
});

test('a kept cubin that does not load is compiled again', async () => {
  driver.reset();
  const cache = place('cache');
  const first = await open(cache);
  await first.build(copies(first.allocate(64, 'x'), 'float32'));
  first.dispose();
  const [file] = readdirSync(cache);
  writeFileSync(join(cache, file), 'broken');
  const second = await open(cache);
  await second.build(copies(second.allocate(64, 'x'), 'float32'));
  assert.match(readFileSync(join(cache, file), 'utf8'), 'cubin of copy.cu');
  second.dispose();
  // What does not load although it is fresh is told.
  const third = await cuda({ libcuda: driver.path, compile: () => new TextEncoder().encode('broken\0') });
  await rejects(() => third.build(copies(third.allocate(64, 'x'), 'float32')), DeviceError,
    /^cuModuleLoadData failed for copy_0 \(kernel copy\) from model.ts:9: CUDA_ERROR_INVALID_IMAGE \(200\)$/);
  third.dispose();
});

test('a cache that cannot be written does not stop the run', async () => {
  driver.reset();
  const file = touch(join(place('cache'), 'a-file'));
  const made = await open(file);
  await made.build(copies(made.allocate(64, 'x'), 'float32'));
  made.dispose();
});

test('what does not compile says kernel, macros, node and line, and the next attempt is made afresh', async () => {
  driver.reset();
  const made = await open(place('cache'));
  const [placed] = copies(made.allocate(64, 'x'), 'float32');
  const bad = { ...placed, launch: { ...placed.launch as CudaLaunch, define: { WORD: 'FAIL', TILE: 4 } } };
  const message = new RegExp('^compiling copy_0 \\(kernel copy\\) from model.ts:9 with WORD=FAIL TILE=4 failed: '
    + 'nvrtcCompileProgram: NVRTC_ERROR_COMPILATION\ncopy.cu\\(3\\): error: FAIL is not a word$');
  const before = nvrtc.compilations();
  await rejects(() => made.build([bad, placed]), DeviceError, message);
  await rejects(() => made.build([bad]), DeviceError, message);
  assert.is(nvrtc.compilations() - before, 3);
  await made.build([placed]);
  made.dispose();
});

/** Sets variables of the environment for the time of `work`. */
async function within(env: Readonly<Record<string, string>>, work: () => Promise<void>): Promise<void> {
  const before = Object.fromEntries(Object.keys(env).map((key) => [key, process.env[key]]));
  Object.assign(process.env, env);
  try {
    await work();
  } finally {
    for (const [key, old] of Object.entries(before)) {
      if (old === undefined) delete process.env[key];
      else process.env[key] = old;
    }
  }
}

const whole = (): Record<string, string> => ({ FOVEA_LIBCUDA: driver.path, FOVEA_NVRTC: nvrtc.path, FOVEA_CACHE: place('cache') });

test('a log that cannot be had takes neither the cubin nor the error along', async () => {
  const pool = new NvrtcPool(nvrtc.path, 1);
  try {
    const { cubin, log } = await pool.compile({ name: 'a', source: 'MUTE', headers: {}, options: ['-x'] });
    assert.equal([Buffer.from(cubin).toString('latin1'), log], ['cubin of a -x\0', '']);
    await rejects(() => pool.compile({ name: 'a', source: 'MUTE FAIL', headers: {}, options: [] }), DeviceError,
      /^nvrtcCompileProgram: NVRTC_ERROR_COMPILATION$/);
  } finally {
    pool.dispose();
  }
});

test('a pool that is disposed of ends its threads between their jobs: one that loads koffi would take the process with it', async () => {
  const terminate = Worker.prototype.terminate;
  // Threads of devices before this one may end meanwhile: theirs have lower numbers.
  const { threadId: before } = new Worker('', { eval: true });
  let ended = 0;
  Worker.prototype.terminate = function end(this: Worker): Promise<number> {
    if (this.threadId > before) ended++;
    return terminate.call(this);
  };
  try {
    const pool = new NvrtcPool(nvrtc.path, 2);
    const jobs = ['a', 'b'].map((name) => pool.compile({ name, source: '', headers: {}, options: [] }).then(() => 'compiled', (e: Error) => e.message));
    pool.dispose();
    assert.is(ended, 0, 'while they start');
    assert.equal(await Promise.all(jobs), Array(2).fill('the device was disposed of while kernels were compiled'));
    for (let i = 0; i < 500 && ended < 2; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.is(ended, 2, 'when they have started');
    await rejects(() => pool.compile({ name: 'late', source: '', headers: {}, options: [] }), DeviceError, /^the device was disposed of/);
  } finally {
    Worker.prototype.terminate = terminate;
  }
});

test('a device that is disposed of while a kept cubin is looked for compiles none', async () => {
  driver.reset();
  const cache = place('cache');
  const made = await open(cache);
  const before = nvrtc.compilations();
  const building = made.build(copies(made.allocate(64, 'x'), 'float32'));
  made.dispose();
  await rejects(() => building, DeviceError, /^compiling copy_0 .* failed: the device was disposed of while kernels were compiled$/);
  assert.equal([nvrtc.compilations() - before, readdirSync(cache).length], [0, 0]);
});

test('devices by name and number; auto takes CUDA first and says why', () => within(whole(), async () => {
  driver.reset();
  driver.set('count', 2);
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const [auto, second] = [await device('auto', { log }), await device('cuda:1', { log, tf32: true })];
  assert.equal([auto.name, second.name], ['cuda:0 (Fake GPU 0)', 'cuda:1 (Fake GPU 1)']);
  assert.is(second.fingerprint.tf32, true);
  await within({ FOVEA_CUDA_RUNG: 'async' }, async () => {
    const limited = await device('cuda:1', { log });
    assert.is(limited.fingerprint.rung, 'async');
    limited.dispose();
    lines.pop();
  });
  await within({ FOVEA_CUDA_PROLOGUES: '1' }, async () => {
    const having = await device('cuda:1', { log });
    assert.is(having.fingerprint.prologues, true);
    assert.is(having.features!.cuda!.prologues, true);
    having.dispose();
    lines.pop();
  });
  for (const [name, message] of [
    ['FOVEA_CUDA_RUNG', /^FOVEA_CUDA_RUNG is "wooden"; expected one of simt/], ['FOVEA_CUDA_PROLOGUES', /^FOVEA_CUDA_PROLOGUES is "wooden"; expected 0 or 1/],
    ['FOVEA_CUDA_CHECK', /^FOVEA_CUDA_CHECK is "wooden"; expected 0 or 1/],
  ] as const) {
    // No other device is taken in its place.
    for (const asked of ['cuda:1', 'auto']) await within({ [name]: 'wooden' }, () => rejects(() => device(asked, { threads: 1 }), OptionError, message));
  }
  assert.equal(lines, ['cuda:0 (Fake GPU 0)', 'cuda:1 (Fake GPU 1)'].map((name) =>
    `device: ${name} (compute capability 9.0, driver of CUDA 13.0, 1.0 GiB, kernels by NVRTC 13.0 for sm_90a)`));
  assert.is(await device('cuda:1', { tf32: true }), second);
  await rejects(() => device('cuda:2'), OptionError, /there is no cuda:2: the driver lists 2 GPUs, cuda:0 to cuda:1/);
  await rejects(() => device('cuda:fast'), OptionError, /a number was expected, as in cuda:1/);
  auto.dispose();
  second.dispose();
}));

test('with a driver and no NVRTC that will do, auto goes on to WebGPU and then the CPU; one line has the command', async () => {
  const [old, broken] = [place('old'), place('broken')];
  touch(join(old, 'libnvrtc.so.11.2'));
  touch(join(broken, 'libnvrtc.so.13'));
  const why: [string, RegExp][] = [
    [old, /libnvrtc.so.11.2 is of CUDA 11; 12 or later is needed\)/], [broken, /NVRTC at .*libnvrtc.so.13 cannot be used: .*\)/],
  ];
  for (const [folder, refused] of why) {
    await within({ ...whole(), FOVEA_NVRTC: folder }, async () => {
      driver.reset();
      const lines: string[] = [];
      const auto = await device('auto', { threads: 1, log: (line) => void lines.push(line) });
      assert.is.not(auto.kind, 'cuda');
      assert.is(lines.length, 1);
      assert.not.match(lines[0], '\n');
      assert.match(lines[0], 'no NVRTC, which compiles the CUDA kernels: pip install nvidia-cuda-nvrtc (found, and refused: ');
      assert.match(lines[0], refused);
      // Where there is an adapter it was taken; else the line has said after NVRTC why there is none.
      if (auto.kind === 'cpu') assert.match(lines[0], /pip install nvidia-cuda-nvrtc.*WebGPU/);
      auto.dispose();
      assert.is(driver.live().contexts, 0);
      const [report] = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
      assert.not(report.available);
      assert.match(report.why, 'pip install nvidia-cuda-nvrtc');
    });
  }
});

test('a link to nowhere in a toolkit is refused by name, and what is beside it is taken', async () => {
  const toolkit = place('dead');
  const dead = join(toolkit, 'lib64/libnvrtc.so.13');
  mkdirSync(dirname(dead));
  symlinkSync('/nowhere/libnvrtc.so.13', dead);
  symlinkSync(nvrtc.path, join(toolkit, 'lib64/libnvrtc.so.12'));
  await within({ ...whole(), FOVEA_NVRTC: '', CUDA_PATH: toolkit }, async () => {
    driver.reset();
    const auto = await device('auto', { threads: 1 });
    assert.is(auto.name, 'cuda:0 (Fake GPU 0)');
    auto.dispose();
    const [report] = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
    assert.ok(report.available, report.why);
    const text = report.details.join('\n');
    assert.match(text, `NVRTC: ${join(toolkit, 'lib64/libnvrtc.so.12')} (CUDA toolkit)`);
    assert.match(text, `NVRTC refused: NVRTC at ${dead} cannot be used: `);
  });
});

test('where FOVEA_NVRTC names nothing, auto goes on to the next device and says so', () => within({ ...whole(), FOVEA_NVRTC: '/nowhere' }, async () => {
  driver.reset();
  const lines: string[] = [];
  const auto = await device('auto', { threads: 1, log: (line) => void lines.push(line) });
  assert.is.not(auto.kind, 'cuda');
  assert.match(lines[0], /^device: [^]*no NVRTC at \/nowhere/);
  auto.dispose();
  await rejects(() => device('cuda'), MissingPackageError, /no NVRTC at \/nowhere/);
}));

test('the list of devices says what was found and what was refused', () => within(whole(), async () => {
  driver.reset();
  driver.set('count', 2);
  const reports = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
  assert.equal(reports.map(({ name, available }) => [name, available]), [['cuda:0 (Fake GPU 0)', true], ['cuda:1 (Fake GPU 1)', true]]);
  const text = reports[1].details.join('\n');
  for (const line of [`driver library: ${driver.path}`, 'driver: CUDA 13.0', 'GPU: Fake GPU 1, compute capability 9.0, 132 multiprocessors, 1.0 GiB',
    `NVRTC: ${nvrtc.path} (FOVEA_NVRTC)`, 'tf32: false']) assert.match(text, line);
  assert.not.match(text, 'rung');
  await within({ FOVEA_CUDA_PROLOGUES: 'yes' }, async () => {
    const [refused] = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
    assert.equal([refused.available, refused.why], [false, 'FOVEA_CUDA_PROLOGUES is "yes"; expected 0 or 1']);
  });
  await within({ FOVEA_CUDA_RUNG: 'tensor', FOVEA_CUDA_PROLOGUES: '1' }, async () => {
    const [asked] = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
    assert.match(asked.details.join('\n'), /^rung: tensor\nprologues: true$/m);
  });
  assert.is(driver.live().contexts, 0);
  driver.set('major', 7);
  const [old] = (await describeDevices({ threads: 1 })).filter(({ name }) => name.startsWith('cuda'));
  assert.not(old.available);
  assert.match(old.why, 'compute capability 7.0; 8.0 (Ampere) or later is needed');
  assert.match(old.details.join('\n'), 'GPU: Fake GPU 0, compute capability 7.0');
}));
test.run();
