// time limit: 180 s
/** The one command for a GPU that is lent (tools/gpu.ts): parts are what the benchmark takes, fit into their time, and run at small settings. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isAsked } from '../../bench/peers/asked.ts';
import { plansOf } from '../../src/benchmark/plans.ts';
import { readReport } from '../../src/benchmark/report-file.ts';
import type { Entry, Row } from '../../src/benchmark/types.ts';
import { torchWays } from '../../src/benchmark/torch-ways.ts';
import { deviceWord } from '../../tools/gpu.ts';
import { refusalOf } from '../../tools/gpu/look.ts';
import { parts } from '../../tools/gpu/parts.ts';
import { allPassed, keep, passedOver } from '../../tools/gpu/results.ts';
import { buildFakes } from '../support/cuda/fake.ts';
import { commandOf, environment, folder, optionsOf, root } from '../support/gpu-command.ts';
import { operatorFixtures } from '../support/python.ts';
import { openWebgpu } from '../support/webgpu.ts';
import { skip } from '../support/skip.ts';

const all = parts({ devices: ['cuda', 'webgpu'], python: 'python3', quick: false });

const benchmarks = all.filter(({ report }) => report).map((part) => ({ part, options: optionsOf(part.args) }));

test('steps of 32, 128 and 256 images, each beside eager, captured and compiled peers in f32, TF32 and bf16', () => {
  assert.is(new Set(all.map(({ name }) => name)).size, all.length);
  const steps = benchmarks.filter(({ options }) => options.only.includes('step'));
  const names = torchWays.map(({ name }) => name);
  const peersAt = (batch: number): string[] => steps.filter(({ options }) => options.stepBatch[0] === batch)
    .flatMap(({ options }) => names.filter((name) => isAsked(name, options.peer)));
  // Batches that decide have each way once, whose rows are then told apart by their parts alone.
  for (const batch of [128, 256]) {
    const own = steps.filter(({ part, options }) => options.stepBatch[0] === batch && part.env === undefined);
    const beside = own.flatMap(({ options }) => names.filter((name) => isAsked(name, options.peer)));
    assert.equal(beside.sort(), [...names].sort(), `${batch}: ${beside.join('; ')}`);
  }
  for (const name of ['', ', graph', ', tf32', ', graph, tf32', ', bfloat16', ', graph, bfloat16', ', compile, bfloat16']) {
    assert.ok(peersAt(32).includes(`PyTorch, cuda${name}`), `32: ${name}: ${peersAt(32).join('; ')}`);
  }
  // A text that names no peer would measure beside nobody.
  for (const { part, options } of benchmarks) {
    for (const text of options.peer!) assert.ok(names.some((name) => isAsked(name, [text])), `${part.name}: ${text}`);
  }
  assert.not(isAsked('PyTorch, cuda, graph, tf32', ['cuda, graph$']));
});

const rowsOf = (name: string): string[] => plansOf(benchmarks.find(({ part }) => part.name === name)!.options).map((p) => p.name);

test('products with one of 8192 in 16 bits, and every convolution of Inception-BN in three directions', () => {
  assert.ok(rowsOf('gemm').includes('matmul 8192x8192x8192 bfloat16'));
  const counts = ['conv-forward', 'conv-input-gradient', 'conv-filter-gradient']
    .map((name) => rowsOf(name).filter((row) => !row.endsWith('float16')).length);
  const every = plansOf({ ...benchmarks[0].options, only: ['conv'], filter: 'inception-bn', shapes: undefined }).map((p) => p.name);
  const expected = ['conv2d ', 'conv2dInputGrad ', 'conv2dFilterGrad ']
    .map((op) => every.filter((row) => row.startsWith(op) && !row.endsWith('float16')).length);
  assert.equal(counts, expected);
  assert.ok(expected[0] > 20);
  // Hopper's own kernels beside them, where both have 16 bits.
  for (const name of ['conv-forward', 'conv-input-gradient', 'conv-filter-gradient']) {
    assert.equal(rowsOf(`${name}-hopper`), rowsOf(name).filter((row) => row.endsWith(' bfloat16')));
  }
  for (const { name, env } of all.filter((part) => part.name.endsWith('-hopper'))) assert.is(env?.FOVEA_CUDA_RUNG, 'hopper', name);
});

test('no part takes longer than a command may', () => {
  for (const { name, seconds } of all) assert.ok(seconds <= 540, name);
});

test('files are named by the device', () => {
  const listing = 'yes  cpu (2 threads): asked for\nno   webgpu: no adapter\nyes  cuda:0 (NVIDIA H100 80GB HBM3): compute capability 9.0\n';
  assert.is(deviceWord(listing, ['cuda', 'webgpu']), 'h100');
  assert.is(deviceWord('yes  webgpu (nvidia-h200): x\nno   cuda: no NVRTC\n', ['cuda', 'webgpu']), 'h200');
  assert.is(deviceWord('yes  webgpu (llvmpipe (LLVM 15.0.6, 256 bits)): software\n', ['webgpu']), 'llvmpipe');
  assert.is(deviceWord(listing, ['webgpu']), 'none');
});

test('what a part has passed over is seen in what it says', () => {
  const fixtures = `# skip: ${operatorFixtures} # no fixtures\n`;
  const suite = { devices: ['cuda', 'cpu'], report: false };
  assert.is(passedOver(`\n${fixtures}\n  Passed: 3\n`, suite), undefined);
  assert.is(passedOver(`\n${fixtures}\n# skip: all ops on cuda # no CUDA driver\n`, suite), 'all ops on cuda was skipped: no CUDA driver');
});

test('what a part has passed over is seen in the figures of its report', () => {
  const row = { group: 'step', name: 'steps', layers: [], flop: 0, bytes: 0 } as const;
  const full = (contestant: string): Entry => ({ contestant, milliseconds: [1] });
  const absent = (contestant: string): Entry => ({ contestant, milliseconds: [], absent: 'no room' });
  const onCuda = (...entries: Entry[]): Row => ({ ...row, device: 'cuda', entries });
  const cuda = { kind: 'cuda', contestant: 'fovea, cuda', software: false };
  const llvmpipe = { kind: 'webgpu', contestant: 'fovea, llvmpipe', software: true };
  const rows = [
    onCuda(absent('fovea, cuda'), full('fovea, cuda, mixed'), full('PyTorch, cuda')),
    { ...row, device: 'webgpu', entries: [full('fovea, llvmpipe')] },
  ];
  const report = { devices: [cuda, llvmpipe], rows };
  const on = (...devices: string[]): { devices: string[]; report: true } => ({ devices, report: true });
  assert.is(passedOver('', on('cuda', 'webgpu:llvmpipe'), report), undefined);
  assert.is(passedOver('', on('cuda', 'webgpu', 'cpu'), report), 'the report has no times of webgpu and cpu');
  assert.is(passedOver('', on('cuda')), 'it wrote no report');
  // Opened, and without times: no room, too slow, or no row at all; a peer's times are not ours.
  for (const none of [[onCuda(absent('fovea, cuda'), absent('fovea, cuda, mixed'), full('PyTorch, cuda'))], []]) {
    assert.is(passedOver('', on('cuda'), { devices: [cuda], rows: none }), 'the report has no times of cuda');
  }
  // Of two GPUs each by its own contestant.
  const two = ['cuda:0', 'cuda:1'].map((name) => ({ ...cuda, contestant: `fovea, ${name}` }));
  const ofTwo = (...entries: Entry[]): string | undefined => passedOver('', on('cuda:0', 'cuda:1'), { devices: two, rows: [onCuda(...entries)] });
  assert.is(ofTwo(full('fovea, cuda:0'), full('fovea, cuda:1, mixed')), undefined);
  assert.is(ofTwo(full('fovea, cuda:0'), absent('fovea, cuda:1')), 'the report has no times of cuda:1');
  // Parts that are there for a peer.
  const compiled = { ...on('cuda'), peers: ['PyTorch, cuda, compile'] };
  assert.is(passedOver('', compiled, report), 'the report has no times of PyTorch, cuda, compile');
  const tried = (entry: Entry): string | undefined => passedOver('', compiled, { devices: [cuda], rows: [onCuda(full('fovea, cuda'), entry)] });
  assert.is(tried(absent('PyTorch, cuda, compile')), 'the report has no times of PyTorch, cuda, compile');
  assert.is(tried(full('PyTorch, cuda, compile')), undefined);
  for (const { part, options } of benchmarks) {
    const asked = torchWays.map(({ name }) => name).filter((name) => isAsked(name, options.peer)).sort();
    assert.equal([...part.peers ?? []].sort(), /^compile-|-eager/.test(part.name) ? asked : [], part.name);
  }
});

test('a part that has nothing to run on is none, and no part is no success', () => {
  const namesOn = (...devices: string[]): string[] => parts({ devices, python: 'python3', quick: false }).map(({ name }) => name);
  assert.equal(namesOn('cuda-host'), ['suite']);
  assert.equal(namesOn(), []);
  // PyTorch with CUDA stands beside no cpu.
  assert.equal(namesOn('cpu').filter((name) => /^compile-|-eager/.test(name)), []);
  assert.equal(namesOn('webgpu').filter((name) => /^compile-|-eager/.test(name)).length, 10);
  const passed = { part: 'gemm', seconds: 1, result: 'passed' } as const;
  assert.is(allPassed([passed]), true);
  assert.is(allPassed([passed, { ...passed, result: 'not run' }]), false);
  assert.is(allPassed([]), false);
  const { status, out } = gpu('--devices', 'cuda-host', '--parts', 'step-128');
  assert.is(status, 2, out);
  assert.match(out, '"step-128" has nothing to run on among cuda-host; there are suite\n');
});

test('each part says what it runs on', () => {
  // So that one of devices that are not there is not begun.
  for (const { name, devices: on, args, env } of all) {
    const told = env?.FOVEA_RUNNERS?.split(',').slice(1) ?? args[args.indexOf('--device') + 1]?.split(',');
    assert.equal(on, args.includes('--device') || env?.FOVEA_RUNNERS !== undefined ? told : ['cuda'], name);
  }
});

test('reports of parts that passed are kept with what became of each, and nothing that is there is written over', () => {
  const [from, to] = ['from', 'to'].map((name) => mkdtempSync(join(folder, `${name}-`)));
  const files = ['gemm.json', 'step.json', 'suite.txt', 'parts.json'];
  for (const file of files) writeFileSync(join(from, file), `new ${file}`);
  const outcomes = (['passed', 'ended at the limit', 'passed'] as const).map((result, i) => ({ part: files[i], seconds: 1, result, file: files[i] }));
  const below = join(to, 'below');
  assert.equal(keep(from, outcomes, 'parts.json', below), [`kept: ${join(below, 'gemm.json')}`, `kept: ${join(below, 'parts.json')}`]);
  assert.equal(readdirSync(below).map((file) => readFileSync(join(below, file), 'utf8')), ['new gemm.json', 'new parts.json']);
  writeFileSync(join(to, 'gemm.json'), 'old');
  assert.equal(keep(from, outcomes, 'parts.json', to), [`not kept: ${join(to, 'gemm.json')} is there already`, `kept: ${join(to, 'parts.json')}`]);
  assert.is(readFileSync(join(to, 'gemm.json'), 'utf8'), 'old');
  assert.equal(readdirSync(from).sort(), [...files].sort(), 'where they were written they stay');
  assert.equal(keep(from, outcomes.slice(1), 'parts.json', to), ['nothing to keep']);
});

function gpuWith(env: Record<string, string>, ...args: string[]): { status: number | null; out: string } {
  const child = spawnSync(process.execPath, commandOf(...args), { cwd: root, encoding: 'utf8', env: environment(env) });
  return { status: child.status, out: child.stdout + child.stderr };
}

const gpu = (...args: string[]): ReturnType<typeof gpuWith> => gpuWith({}, ...args);

test('at small settings on the cpu the suite and steps run; what became of each is kept, and what the limit leaves no time for named', async () => {
  const { status, out } = gpu('--parts', 'suite,step-128');
  assert.is(status, 0, out);
  const files = readdirSync(join(folder, 'bench-results')).sort();
  const date = new Date().toISOString().slice(0, 10);
  const named = (part: string, ending: string): string => {
    assert.ok(files.includes(`cpu-${part}-${date}.${ending}`), files.join());
    return `cpu-${part}-${date}.${ending}`;
  };
  const said = readFileSync(join(folder, 'bench-results', named('suite', 'txt')), 'utf8');
  assert.match(said, 'matmul');
  assert.match(said, `# skip: ${operatorFixtures} # `);
  const report = await readReport(join(folder, 'bench-results', named('step-128', 'json')));
  assert.is(report.rows.length, 1);
  const parsed = JSON.parse(readFileSync(join(folder, 'bench-results', named('parts', 'json')), 'utf8')) as unknown;
  const { outcomes } = parsed as { outcomes: { part: string; result: string }[] };
  assert.equal(outcomes.map(({ part, result }) => [part, result]), [['suite', 'passed'], ['step-128', 'passed']]);
  const late = gpu('--parts', 'suite,gemm', '--limit', '80');
  assert.is(late.status, 1, late.out);
  assert.match(late.out, 'suite: not begun\ngemm: not begun\nnot done: npm run gpu -- --parts suite,gemm');
});

test('on a device that is not there nothing is run, and that is said and is no success', () => {
  const { status, out } = gpu('--devices', 'cpu,cuda', '--parts', 'kernels,suite,compile-128-bfloat16');
  assert.is(status, 1, out);
  const why = 'not run, cuda: no CUDA driver: /nowhere/libcuda.so.1 could not be loaded';
  for (const line of [`kernels: ${why}`, `suite: ${why}`, `compile-128-bfloat16: ${why}`]) assert.match(out, line);
  assert.match(out, /\nsuite: passed, \d+ s, cpu-suite-/);
  assert.match(out, '== suite: the op suite on cpu\n');
  assert.not.match(out, '== kernels');
  const file = readdirSync(join(folder, 'bench-results')).find((name) => name.startsWith('cpu-parts-'))!;
  const { outcomes } = JSON.parse(readFileSync(join(folder, 'bench-results', file), 'utf8')) as { outcomes: { part: string; result: string; why?: string }[] };
  assert.equal(outcomes.map(({ part, result }) => [part, result]),
    [['kernels', 'not run'], ['suite', 'not run'], ['suite', 'passed'], ['compile-128-bfloat16', 'not run']]);
  assert.match(outcomes[0].why!, 'no CUDA driver');
});

test("parts for Hopper's kernels are for its compute capability alone", () => {
  const part = all.find(({ name }) => name === 'tiles-hopper')!;
  assert.is(refusalOf({ refusal: null, capability: 80 }, part.capability), 'compute capability 8.0, and the part is for 9.0');
  assert.is(refusalOf({ refusal: null, capability: 90 }, part.capability), undefined);
  assert.is(refusalOf({ refusal: null, capability: 80 }, undefined), undefined);
  assert.is(refusalOf({ refusal: 'no CUDA driver' }, part.capability), 'no CUDA driver');
  for (const { name, capability } of all) assert.is(capability, name.endsWith('-hopper') ? 90 : undefined, name);
});

const fakes = await buildFakes();
const onAmpere = 'on a GPU of another compute capability they are said to be not run';
if (fakes.reason !== undefined) skip(onAmpere, fakes.reason);
else {
  test(onAmpere, () => {
    const on = (major: number): { status: number | null; out: string } => {
      const env = { FOVEA_LIBCUDA: fakes.driver.path, FOVEA_NVRTC: fakes.nvrtc.path, FAKE_CUDA_MAJOR: String(major) };
      // There is time to look, and none to run.
      return gpuWith(env, '--devices', 'cuda', '--parts', 'kernels,tiles-hopper', '--limit', '59');
    };
    const [ampere, hopper] = [on(8), on(9)];
    assert.match(ampere.out, '\nkernels: not begun\ntiles-hopper: not run, cuda: compute capability 8.0, and the part is for 9.0\n');
    assert.match(hopper.out, '\nkernels: not begun\ntiles-hopper: not begun\n');
    assert.equal([ampere.status, hopper.status], [1, 1]);
  });
}

test('wrong options are refused before anything is run', () => {
  const wrong: [string[], RegExp][] = [
    [['--devices', 'cudda'], /^error: --devices: cpu, .* was expected, got "cudda"$/m], [['--devices', 'cpu,cpu'], /--devices: "cpu" is named twice/],
    [['--parts', 'suite,suite'], /--parts: "suite" is named twice/],
    [['--parts', 'kernels'], /--parts: "kernels" has nothing to run on among cpu; there are suite/],
    [['--parts', 'sweet'], /no part is named "sweet"; there are suite, step-128, step-256/], [['--limit', 'soon'], /--limit: a number of seconds .*"soon"/],
    [['--out', '/dev/null'], /--out: nothing can be written to \/dev\/null/],
    [['--devices', 'cuda,cuda:0'], /--devices: cuda is cuda:0/], [['--keep'], /--keep: figures at smallest settings are none to keep/],
    [['--fast'], /unknown option '--fast'/],
  ];
  for (const [args, message] of wrong) {
    const { status, out } = gpu(...args);
    assert.is(status, 2, out);
    assert.match(out, message);
    assert.not.match(out, /\n +at /);
  }
  for (const [name, value] of [['FOVEA_CUDA_RUNG', 'hopper'], ['FOVEA_CUDA_PROLOGUES', '1'], ['FOVEA_CUDA_CHECK', '1'], ['FOVEA_OPS', 'relu']]) {
    const left = gpuWith({ [name]: value }, '--parts', 'suite');
    assert.is(left.status, 2, left.out);
    assert.match(left.out, `${name} is "${value}"; a part says itself what it runs, so unset it`);
  }
});

test('the plan says what fits', () => {
  const seconds = (name: string): number => parts({ devices: ['cpu'], python: 'python3', quick: true }).find((part) => part.name === name)!.seconds;
  const sum = seconds('suite') + seconds('gemm');
  const { status, out } = gpu('--plan', '--parts', 'suite,gemm', '--limit', String(sum - 1));
  assert.is(status, 0, out);
  assert.match(out, `2 parts, some ${sum} s, and the look for devices\nby these seconds there is time in ${sum - 1} s for suite\n`);
  assert.match(out, 'gemm: products');
});

test('kernels for another machine: options are refused in a line', () => {
  const compiling = (env: Record<string, string>, ...args: string[]): string => {
    const all = ['--import', 'tsx', 'tools/gpu/compile.ts', ...args];
    const child = spawnSync(process.execPath, all, { cwd: root, encoding: 'utf8', env: environment(env) });
    assert.is(child.status, 2, child.stderr);
    assert.not.match(child.stderr, /\n +at /);
    return child.stderr;
  };
  assert.match(compiling({}, '--capability', '90', '--driver', '13.0'), 'error: --capability: 8.0 to 12.9 was expected, as in 9.0, got "90"\n');
  assert.match(compiling({}, '--capability', '9.0', '--driver', '580'),
    'error: --driver: its CUDA version was expected, 12.0 to 13.9, as in 13.0, got "580"\n');
  assert.match(compiling({}, '--capability', '9.0'), '--capability and --driver say together');
  assert.match(compiling({}, '--capability', '9.0', '--driver', '13.0', '--devices', 'cuda'), /--capability.*cannot be used with.*--devices/);
  assert.match(compiling({}, '--devices', 'webgpu'), '--devices: cuda or cuda:NUMBER was expected, got "webgpu"');
  assert.match(compiling({}, '--kernels', 'gem'), '--kernels: no kernel is named "gem"; there are ');
  assert.match(compiling({ FOVEA_CUDA_RUNG: 'wooden' }), 'FOVEA_CUDA_RUNG is "wooden"; expected one of simt');
});

const { device: adapter, reason } = await openWebgpu({});
if (reason === undefined && !adapter.software) {
  skip('a software adapter in place of hardware', `${adapter.name} is hardware`);
} else {
  test('a software adapter stands for no GPU: nothing is run on it', () => {
    const { status, out } = gpu('--devices', 'webgpu', '--parts', 'suite,gemm');
    assert.is(status, 1, out);
    const why = reason ?? 'software; webgpu:NAME takes it all the same';
    for (const part of ['suite', 'gemm']) assert.ok(out.split('\n').some((line) => line.startsWith(`${part}: not run, webgpu: `) && line.includes(why)), out);
    assert.not.match(out, '== ');
  });
}
adapter?.dispose();

test.run();
