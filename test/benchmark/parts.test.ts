import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { belowCeiling } from '../../src/benchmark/ceiling.ts';
import type { CeilingOf } from '../../src/benchmark/ceiling.ts';
import { charts } from '../../src/benchmark/charts.ts';
import { compareReports } from '../../src/benchmark/compare.ts';
import { distinct, inceptionBNLayers, inceptionV3Layers, multiplyAdds } from '../../src/benchmark/layers.ts';
import { tooSlow } from '../../src/benchmark/contest.ts';
import { goalsOf } from '../../src/benchmark/goals.ts';
import type { Goal } from '../../src/benchmark/goals.ts';
import { defaults } from '../../src/benchmark/options.ts';
import type { BenchmarkOptions } from '../../src/benchmark/options.ts';
import { Paces } from '../../src/benchmark/pace.ts';
import { operandHalf, halfProblems, kernelProblems, spread } from '../../src/benchmark/problems.ts';
import { attainable, isProven, leastMilliseconds, limitsOf, withoutBeatenLimits } from '../../src/benchmark/roofline.ts';
import { lossCheck } from '../../src/benchmark/step.ts';
import { torchWays } from '../../src/benchmark/torch-ways.ts';
import { goalNotes, goalTable, kernelNotes, kernelTable, summaryTable } from '../../src/benchmark/table.ts';
import { inputValues } from '../../src/benchmark/values.ts';
import { roundToHalf } from '../../src/device/half.ts';
import type { DeviceFacts, KernelProblem, Probe, Report, Row, StepFacts } from '../../src/benchmark/types.ts';
import { readSymbol } from '../../src/formats/index.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { attributesOf } from '../../src/nn/symbol-graph.ts';
import { summarize } from '../../src/nn/index.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

test("Inception-BN's convolutions are the model's own, no layer missed or counted twice", () => {
  const { convolutions, poolings, norms } = inceptionBNLayers();
  const summary = summarize(inceptionBN(), { data: [1, 3, 224, 224] }).filter((l) => l.operator === 'Convolution');
  assert.is(sum(convolutions.map((l) => l.count)), summary.length);
  assert.is(sum(convolutions.map((l) => l.names.length)), summary.length);
  assert.is(sum(convolutions.map((l) => l.count * multiplyAdds(l))), sum(summary.map((l) => l.multiplyAdds)));
  assert.is(convolutions.length, distinct(convolutions).length);
  assert.equal([summary.length, convolutions.length, poolings.length, norms.length], [69, 45, 10, 21]);
});

test("Inception v3's table is MXNet's symbol, layer for layer", () => {
  const layers = inceptionV3Layers();
  assert.equal([layers.length, sum(layers.map((l) => l.count))], [43, 94]);
  assert.is(sum(layers.map((l) => l.count * multiplyAdds(l))), 5_711_168_096);
  const file = shared('formats', 'mxnet', 'symbol_inception-v3-cpp.json');
  if (file === undefined) return skip("Inception v3's symbol itself", 'shared/formats is absent');
  const symbol = readSymbol(readFileSync(file, 'utf8'), { file });
  const { internals } = symbol.inferShape({ data: [1, 3, 299, 299] });
  const forms = symbol.nodes.filter((n) => n.op === 'Convolution').map((node) => {
    const [{ node: from, index }] = node.inputs;
    const [, channels, side] = internals.get(from)![index];
    const a = attributesOf(node) as { kernel: [number, number]; stride: number[]; pad: number[]; num_filter: number };
    const padding = [a.pad[0] ?? 0, a.pad[1] ?? 0] as const;
    return { names: [''], side, channels, filters: a.num_filter, kernel: a.kernel, stride: a.stride[0] ?? 1, padding, count: 1 };
  });
  const key = ({ side, channels, filters, kernel, stride, padding, count }: (typeof layers)[number]): string =>
    [side, channels, filters, kernel, stride, padding, count].join();
  assert.equal(distinct(forms).map(key).sort(), layers.map(key).sort());
});

test('every distinct layer is there in all directions, the first without a gradient of the image, under names of their own', () => {
  const problems = kernelProblems(2);
  assert.is(new Set(problems.map((p) => p.name)).size, problems.length);
  const layers = distinct([...inceptionBNLayers().convolutions, ...inceptionV3Layers()]);
  const count = (op: string): number => problems.filter((p) => p.op === op).length;
  const first = layers.filter((l) => l.channels === 3).length;
  assert.is(first, 2);
  for (const op of ['conv2d', 'conv2dStats', 'conv2dFilterGrad']) assert.is(count(op), layers.length, op);
  assert.is(count('conv2dInputGrad'), layers.length - first);
  assert.ok(problems.some((p) => p.name === 'matmul 1024x1024x1024'));
  // the same in float16: products and convolutions, each once, and no goal of float32 counts them; and the large product in two layouts
  const half = halfProblems(problems, 'float16');
  assert.equal(half.slice(-2).map((p) => [p.name, p.attrs.transposeB]),
    [['matmul 8192x8192x8192 float16', false], ['matmul 8192x8192x8192 right transposed float16', true]]);
  assert.is(half.length, 2 + problems.filter((p) => p.group === 'gemm' || p.group === 'conv').length);
  assert.ok(half.every((p) => operandHalf(p) === 'float16') && problems.every((p) => operandHalf(p) === undefined));
  const [bias, image] = [half.find((p) => p.op === 'conv2d')!.inputs[2], half.find((p) => p.op === 'conv2d')!.inputs[0]];
  assert.equal([image.dtype, bias.dtype], ['float16', 'float32']);
  assert.ok(inputValues(half[0]).every((values) => Array.from(values).every((v) => v === roundToHalf(v, 'float16'))));
});

test('the roofline: compute above the ridge, bytes below it', () => {
  const limits = { peak: 100, bandwidth: 20 };
  assert.is(attainable(limits, 1000, 10), 100);
  assert.is(attainable(limits, 10, 10), 20);
  assert.is(leastMilliseconds(limits, 1e9, 1e6), 10);
  assert.is(leastMilliseconds(limits, 0, 2e9), 100);
  // one rule: attainable GFLOP/s are FLOP over the least time
  for (const [flop, bytes] of [[5e9, 1e6], [5e9, 1e9], [1e9, 2e8]]) {
    assert.ok(Math.abs(attainable(limits, flop, bytes) - flop / leastMilliseconds(limits, flop, bytes) / 1e6) < 1e-9);
  }
  const one = (device: string, what: string, value: number, unit: Probe['unit']): Probe => ({ device, what, value, unit, milliseconds: [] });
  const probes = [
    one('a', 'clock', 3, 'GHz'), one('a', 'multiply-add', 50, 'GFLOP/s'), one('a', 'read', 9, 'GB/s'), one('a', 'copy', 11, 'GB/s'),
    one('b', 'multiply-add', 70, 'GFLOP/s'), one('b', 'copy', 2, 'GB/s'),
  ];
  assert.equal(limitsOf(probes, 'a'), { peak: 50, bandwidth: 11, proven: false });
  assert.equal(limitsOf(probes, 'b'), { peak: 70, bandwidth: 2, proven: false });
  assert.equal(limitsOf(probes, 'b', 'a'), { peak: 70, bandwidth: 11, proven: false });
  assert.is(limitsOf(probes, 'c'), undefined);
  for (const counts of [true, false]) assert.is(limitsOf(probes.map((p) => ({ ...p, counts })), 'a')!.proven, counts);
  // A peak that is not proven says nothing where it decides; where bytes decide, it does not matter.
  assert.is(isProven({ ...limits, proven: false }, 1000, 10), false);
  assert.is(isProven({ ...limits, proven: true }, 1000, 10), true);
  assert.is(isProven({ ...limits, proven: false }, 10, 10), true);
});

test('a bandwidth that a row beats is no limit: what memory bounds on that device is unproven, also where it came before', () => {
  const probes: Probe[] = ['cpu 1', 'gpu'].flatMap((device): Probe[] => [
    { device, what: 'multiply-add', value: 100, unit: 'GFLOP/s', counts: true, milliseconds: [] },
    { device, what: 'copy', value: 10, unit: 'GB/s', milliseconds: [] },
  ]);
  // Bytes of 1 ms at the bandwidth, or FLOP of 1 ms at the peak.
  const row = (device: string, contestant: string, name: string, ms: number, flop = 0): Row => ({
    group: 'update', device, name, layers: [], flop, bytes: 1e7, entries: [{ contestant, milliseconds: [ms], attainable: 1 }],
  });
  const one = { contestant: 'fovea, 1 thread', kind: 'cpu', device: 'cpu 1' };
  const marked = (best: number, memory?: string): string[] => withoutBeatenLimits([
    row('cpu', 'fovea, 1 thread', 'before', 2), row('cpu', 'fovea, 1 thread', 'update', best), row('cpu', 'fovea, 1 thread', 'computes', 2, 2e8),
    row('webgpu', 'fovea', 'other', 2),
  ], probes, [one, { contestant: 'fovea', kind: 'webgpu', device: 'gpu', memory }]).filter((r) => r.entries[0].unproven).map((r) => r.name);
  assert.equal(marked(0.96), []);
  assert.equal(marked(0.94), ['before', 'update']);
  assert.equal(marked(0.94, 'cpu 1'), ['before', 'update', 'other'], 'a software adapter has the memory of the processor');
});

test('who is quicker than a peak that counts fails by name, ours and peers; minimal filtering, native vectors and halves apart', () => {
  const device = (kind: string, more: object = {}): CeilingOf['targets'][number]['device'] =>
    ({ kind, fingerprint: { relaxedSimd: true }, ...more }) as unknown as CeilingOf['targets'][number]['device'];
  const at = (kind: string, { counts = true, software = false, beside = [kind] } = {}): CeilingOf => ({
    targets: [{ contestant: 'fovea', name: 'a', threads: 1, device: device(kind, { software }) }], cores: 2,
    probes: [{ device: 'a', what: 'multiply-add', unit: 'GFLOP/s', value: 100, counts, milliseconds: [] }],
    peers: [{ name: 'peer', beside: beside as ('cpu' | 'webgpu' | 'cuda')[] }],
  });
  const problems = kernelProblems(1);
  const named = (pattern: RegExp): KernelProblem => problems.find((p) => pattern.test(p.name))!;
  // GFLOP/s of a millisecond, by the op's own FLOP.
  const fails = (gflops: number, of: CeilingOf, name = /^matmul/, contestant = 'peer', facts?: Row['entries'][number]['facts']): boolean => {
    const entry = belowCeiling({ contestant, milliseconds: [1, 1, 1], facts }, named(name), gflops * 1e6, of);
    assert.is(entry.milliseconds.length, entry.failed === undefined ? 3 : 0);
    if (entry.failed !== undefined) assert.match(entry.failed, /GFLOP\/s, of .* GFLOP that any method has, are above the peak of \d+: its work was not done/);
    return entry.failed !== undefined;
  };
  const gpu = at('webgpu');
  assert.equal([119, 121].map((v) => fails(v, gpu)), [false, true]);
  assert.equal([119, 121].map((v) => fails(v, gpu, /^matmul/, 'fovea')), [false, true]);
  assert.is(fails(1000, at('webgpu', { counts: false })), false, 'a peak that does not count holds nobody');
  for (const op of ['conv2d', 'conv2dInputGrad', 'conv2dFilterGrad']) {
    assert.equal([479, 481].map((v) => fails(v, gpu, new RegExp(`^${op} \\S+ 3x3`))), [false, true], op);
    assert.equal([119, 121].map((v) => fails(v, gpu, new RegExp(`^${op} \\S+ 1x1`))), [false, true], op);
  }
  // Ours say what their method does.
  assert.equal([119e6, 121e6].map((flop) => fails(400, gpu, /^conv2d \S+ 3x3/, 'fovea', { method: 'F(4x4,3x3)', flop })), [false, true]);
  // On the cpu peers may be native, on all cores; ours and the micro-kernel are what the probe is.
  assert.equal([959, 961].map((v) => fails(v, at('cpu'))), [false, true]);
  for (const who of ['fovea', 'micro-kernel']) assert.equal([119, 121].map((v) => fails(v, at('cpu'), /^matmul/, who)), [false, true], who);
  // Beside a software adapter an engine may have a card of its own.
  assert.equal([['webgpu'], ['webgpu', 'cuda']].map((beside) => fails(1e5, at('webgpu', { software: true, beside }))), [true, false]);
  assert.is(belowCeiling({ contestant: 'peer', milliseconds: [1] }, halfProblems(problems, 'float16')[0], 1e12, gpu).failed, undefined);
});

test('what no proven limit allows is marked in the tables, explained below them, and has no bar in the chart', () => {
  const report = (unproven: boolean): Report => ({
    format: 1, machine: {}, options: {}, devices: [], peers: [], failures: [], probes: [],
    rows: [{
      group: 'conv', device: 'cpu', name: 'conv2d 7x7', layers: [], flop: 1e9, bytes: 1,
      entries: [{ contestant: 'fovea, 1 thread', milliseconds: [10], attainable: 5, ...(unproven && { unproven: true }) }],
    }],
  });
  const shown = (unproven: boolean): string[] => {
    const { rows } = report(unproven);
    const drawn = charts(report(unproven)).has('attained.svg');
    return [kernelTable(rows).rows[0][6], summaryTable(rows).rows[0][4], String(kernelNotes(rows).length), String(drawn)];
  };
  assert.equal(shown(true), ['50 % ?', '0.50 ?', '1', 'false']);
  assert.equal(shown(false), ['50 %', '0.50', '0', 'true']);
});

test('charts have room for names and labels, whole threads, a note above 100 %, and each device by its own adapter', () => {
  const adapters = [['fovea, lavapipe', 'llvmpipe-x'], ['fovea, h200', 'nvidia-x']] as const;
  const report: Report = {
    ...reportOf([
      stepOf('webgpu', 2, [...adapters.map(([who], i) => entryOf(who, 20 + i)), entryOf('fovea, h200, mixed', 9), entryOf('another engine', 24681)]),
      stepOf('cpu', 2, [entryOf('fovea, 1 thread', 20), entryOf('fovea, 2 threads', 10)]),
      rowOf('conv', 'cpu', 'aVeryLongNameOfAnOpOfConvolutions 7', '', [entryOf('fovea, 2 threads, and more', 10, { attainable: 12 })]),
    ]), machine: { processor: 'a', cores: 2 },
  };
  const named = adapters.map(([contestant, adapter]): DeviceFacts =>
    ({ name: adapter, contestant, threads: 1, kind: 'webgpu', software: false, fingerprint: { adapter }, openSeconds: 0 }));
  const made = charts({ ...report, devices: [...report.devices.filter((d) => d.kind === 'cpu'), ...named] });
  const times = made.get('training-time-batch-2.svg')!;
  for (const text of ['llvmpipe: fovea, lavapipe', 'nvidia: fovea, h200', 'nvidia: fovea, h200, mixed', '12341 ms']) {
    assert.ok(times.includes(`>${text}</text>`), text);
  }
  // Letters are some 7 wide: none begins left of the picture or ends right of it.
  for (const svg of [times, made.get('attained.svg')!]) {
    const width = Number(/width="(\d+)"/.exec(svg)![1]);
    for (const [, x, anchor = '', text] of svg.matchAll(/<text x="([\d.]+)" y="[\d.]+"(?: text-anchor="(\w+)")?[^>]*>([^<]*)</g)) {
      if (anchor === 'end') assert.ok(Number(x) > 6.6 * text.length, text);
      if (anchor === '') assert.ok(Number(x) + 5.8 * text.length < width, text);
    }
  }
  assert.ok(made.get('attained.svg')!.includes('Above 100 %: '));
  const threads = made.get('threads-batch-2.svg')!;
  assert.is(threads.match(/<circle/g)!.length, 2);
  assert.not.match(threads, />1\.[24]</);
});

test('slower is what is both slower by more than 5 % and apart in its quartiles', () => {
  const report = (milliseconds: number[], contestant = 'fovea, 1 thread'): Report => ({
    format: 1, machine: {}, options: {}, devices: [], peers: [], failures: [], probes: [],
    rows: [{ group: 'conv', device: 'cpu', name: 'conv2d', layers: [], flop: 1, bytes: 1, entries: [{ contestant, milliseconds }] }],
  });
  const verdict = (before: number[], after: number[]): string => compareReports(report(before), report(after)).changes[0].verdict;
  assert.is(verdict([10, 10, 10, 10], [11, 11, 11, 11]), 'slower');
  assert.is(verdict([11, 11, 11, 11], [10, 10, 10, 10]), 'faster');
  assert.is(verdict([10, 10, 10, 10], [10.4, 10.4, 10.4, 10.4]), 'same');
  assert.is(verdict([8, 9, 11, 14], [9, 10, 12, 15]), 'same');
  assert.equal(compareReports(report([1], 'tfjs-wasm'), report([2], 'tfjs-wasm')).changes, []);
});

test('compared is what is of the same work: batches are refused, machines and kernels are warned of, what is gone is lost', () => {
  const ours = 'fovea, 1 thread';
  const report = (given: Partial<Report> = {}, entries: Row['entries'] = [{ contestant: ours, milliseconds: [10, 10] }]): Report => ({
    format: 1, machine: { processor: 'a', cores: 2, model: 1 }, options: { batch: 4 }, peers: [], failures: [], probes: [],
    devices: [{
      name: 'cpu', contestant: ours, threads: 1, kind: 'cpu', software: false, fingerprint: { relaxedSimd: true, kernels: '1', lowerings: '1' }, openSeconds: 0,
    }],
    rows: [{ group: 'conv', device: 'cpu', name: 'conv2d 7x7', layers: [], flop: 1, bytes: 1, entries }], ...given,
  });
  assert.throws(() => compareReports(report(), report({ options: { batch: 1 } })), /the kernels are of other batches: --batch is 4 before and 1 after/);
  const warnings = (given: Partial<Report>): readonly string[] => compareReports(report(), report(given)).warnings;
  assert.equal(warnings({}), []);
  assert.equal(warnings({ machine: { processor: 'a', cores: 4, model: 2 } }), ['model differs: 1 before, 2 after', 'cores differs: 2 before, 4 after']);
  const [device] = report().devices;
  assert.equal(warnings({ devices: [{ ...device, fingerprint: { relaxedSimd: false, kernels: '2', lowerings: '2' } }] }), [
    'relaxedSimd of fovea, 1 thread on cpu differs: true before, false after',
  ]);
  assert.equal(warnings({ machine: {} }), [], 'what a file does not tell is not held against it');
  const lost = (after: Report): string[] => compareReports(report(), after).lost.map((l) => `${l.row}, ${l.contestant}: ${l.why}`);
  assert.equal(lost(report()), []);
  assert.equal(lost(report({ rows: [] })), ['conv2d 7x7, fovea, 1 thread: not in the file']);
  assert.equal(lost(report({}, [{ contestant: ours, milliseconds: [], failed: 'wrong' }])), ['conv2d 7x7, fovea, 1 thread: failed: wrong']);
  assert.equal(lost(report({}, [{ contestant: ours, milliseconds: [], absent: 'no room' }])), ['conv2d 7x7, fovea, 1 thread: no room']);
});

test('lost is only what the second run was asked for, by its options', () => {
  const rows: Row[] = [
    ...kernelProblems(4).filter((p) => p.op === 'matmul').map((p) =>
      rowOf('gemm', 'cpu', p.name, '', [entryOf('fovea, 1 thread', 1), entryOf('fovea, 2 threads', 1)])),
    rowOf('conv', 'cpu', 'conv2d 7x7', 'inception-bn conv_4c', [entryOf('fovea, 1 thread', 1)]),
    rowOf('conv', 'cpu', 'conv2d 8x8', 'inception-bn conv_4d', [entryOf('fovea, 1 thread', 1)]),
    rowOf('conv', 'webgpu', 'conv2d 7x7', 'inception-bn conv_4c', [entryOf('fovea', 1)]),
    stepOf('cpu', 2, [entryOf('fovea, 1 thread', 1), entryOf('fovea, 1 thread, recompute', 1)]),
    stepOf('cpu', 16, [entryOf('fovea, 1 thread', 1)]),
  ];
  const file = (options: Partial<BenchmarkOptions>): Report =>
    ({ format: 1, machine: {}, options, devices: [], peers: [], failures: [], probes: [], rows: [] });
  const all: BenchmarkOptions = { ...defaults, device: ['cpu', 'webgpu'], threads: [1, 2], recompute: true };
  const said = (options: Partial<BenchmarkOptions>): [string[], number] => {
    const { lost, unasked } = compareReports({ ...file(all), rows }, file(options));
    return [lost.map((l) => `${l.device}: ${l.row}, ${l.contestant}`), unasked];
  };
  const total = 10 + 3 + 3;
  assert.is(said(all)[0].length, total);
  assert.is(said({})[0].length, total, 'what a file does not say is taken as asked for');
  assert.equal(said({ ...all, only: ['conv'], filter: '4c' }), [['cpu: conv2d 7x7, fovea, 1 thread', 'webgpu: conv2d 7x7, fovea'], total - 2]);
  assert.equal(said({ ...all, only: ['conv'], device: ['webgpu'] }), [['webgpu: conv2d 7x7, fovea'], total - 1]);
  assert.is(said({ ...all, threads: [1] })[1], 5);
  assert.is(said({ ...all, recompute: false })[1], 1);
  assert.equal(said({ ...all, only: ['step'], stepBatch: [16] })[0], ['cpu: inception-bn 224x224, batch 16, fovea, 1 thread']);
  assert.is(said({ ...all, only: ['step'], side: 64 })[1], total);
  // Of five products the first, the middle and the last.
  const products = said({ ...all, only: ['gemm'], threads: [1], shapes: 3 })[0].map((l) => l.replace(/^.*matmul (.*), fovea.*$/, '$1'));
  assert.equal(products, ['256x256x256', '1024x1024x1024', '3136x64x192']);
});

const entryOf = (contestant: string, ms: number, more: Partial<Row['entries'][number]> = {}): Row['entries'][number] =>
  ({ contestant, milliseconds: [ms], ...more });
const rowOf = (group: Row['group'], device: string, name: string, layer: string, entries: Row['entries'], more: Partial<Row> = {}): Row =>
  ({ group, device, name, layers: [layer], flop: 8e9, bytes: 1, entries, ...more });
const stepOf = (device: string, batch: number, entries: Row['entries'], side = 224): Row =>
  rowOf('step', device, `inception-bn ${side}x${side}, batch ${batch}`, '', entries, { flop: 0, bytes: 0, batch });

interface Run {
  readonly counts?: boolean;
  readonly adapter?: string;
  readonly software?: boolean;
}

function reportOf(rows: Row[], { counts = true, adapter = 'llvmpipe', software = true }: Run = {}): Report {
  const device = (contestant: string, threads: number, kind: string): DeviceFacts =>
    ({ name: `${kind} ${threads}`, contestant, threads, kind, software: kind === 'webgpu' && software, fingerprint: { adapter }, openSeconds: 0 });
  const probes = [1, 2].flatMap((threads): Probe[] => [
    { device: `cpu ${threads}`, what: 'multiply-add', value: 50 * threads, unit: 'GFLOP/s', share: counts ? 0.95 : 0.5, counts, milliseconds: [] },
    { device: `cpu ${threads}`, what: 'copy', value: 10, unit: 'GB/s', milliseconds: [] },
  ]);
  const devices = [device('fovea, 1 thread', 1, 'cpu'), device('fovea, 2 threads', 2, 'cpu'), device('fovea', 1, 'webgpu')];
  return { format: 1, machine: {}, options: {}, peers: [], failures: [], probes, rows, devices };
}

const goalOf = (pattern: RegExp, rows: Row[], run?: Run): Goal => goalsOf(reportOf(rows, run)).find((g) => pattern.test(g.what))!;

test('the goals: met, missed and not measured, from the rows of the run alone', () => {
  assert.ok(goalsOf(reportOf([])).every((g) => g.verdict === 'not measured' && g.bound === undefined));
  const rows = [
    ...Array.from({ length: 5 }, (_, i) => rowOf('gemm', 'cpu', `matmul ${i}`, '', [
      entryOf('fovea, 1 thread', 1), entryOf('fovea, 2 threads', 100), entryOf('micro-kernel, 2 threads', 80),
    ])),
    ...Array.from({ length: 44 }, (_, i) => rowOf('conv', 'cpu', `conv2d 3 ${i}`, 'inception-bn a', [entryOf('fovea, 2 threads', 1), entryOf('tfjs-wasm', 4)])),
    rowOf('conv', 'cpu', 'conv2d 4', 'inception-bn b', [entryOf('fovea, 2 threads', 1), entryOf('tfjs-wasm', 1.9)]),
    // Neither other networks' layers nor other ops count, nor peers without times.
    rowOf('conv', 'cpu', 'conv2d 5', 'inception-v3 c', [entryOf('fovea, 2 threads', 1), entryOf('tfjs-wasm', 0.1)]),
    rowOf('conv', 'cpu', 'conv2dStats 3', 'inception-bn a', [entryOf('fovea, 2 threads', 1), entryOf('tfjs-wasm', 0.1)]),
    rowOf('conv', 'cpu', 'conv2d 6', 'inception-bn d', [entryOf('fovea, 2 threads', 1), { contestant: 'tfjs-wasm', milliseconds: [], failed: 'wrong' }]),
    stepOf('webgpu', 2, [entryOf('fovea', 1), entryOf('tfjs-webgpu', 9)]),
    stepOf('webgpu', 4, [entryOf('fovea', 1), entryOf('tfjs-webgpu', 12)]),
    stepOf('webgpu', 2, [entryOf('fovea', 1), entryOf('tfjs-webgpu', 900)], 64),
  ];
  const said = (pattern: RegExp, of = rows, run?: Run): (string | number | undefined)[] => {
    const { verdict, value, rows: count, note } = goalOf(pattern, of, run);
    return [verdict, value?.toFixed(2), count, note];
  };
  assert.equal(said(/^GEMM/), ['met', '0.80', 5, undefined]);
  assert.equal(said(/over tfjs-wasm/), ['met', '3.93', 45, undefined]);
  assert.equal(said(/least layer/), ['missed', '1.90', 45, undefined]);
  assert.equal(said(/step on llvmpipe/), ['missed', '9.00', 2, 'batch 2, batch 4']);
  assert.is(said(/step on llvmpipe/, rows, { adapter: 'a card' })[0], 'not measured');
  // A part of the layers has a figure, and no verdict.
  assert.equal(said(/over tfjs-wasm/, rows.slice(0, 8)), ['not measured', '4.00', 3, '3 of 45 rows alone']);
});

test('the goals of steps: on the cpu of 16 images or more, by the least of the rows, which are named; on a GPU against the best of PyTorch', () => {
  const cpu = (batch: number, mxnet: number): Row =>
    stepOf('cpu', batch, [entryOf('fovea, 2 threads', 100), entryOf('MXNet, 1 thread', 10), entryOf('MXNet, 2 threads', mxnet)]);
  assert.is(goalOf(/MXNet/, [cpu(2, 90)]).verdict, 'not measured');
  assert.equal([goalOf(/MXNet/, [cpu(2, 90), cpu(16, 55), cpu(32, 65)])].map((g) => [g.verdict, g.value, g.note]), [['met', 0.55, 'batch 16, batch 32']]);
  assert.is(goalsOf(reportOf([cpu(16, 55), cpu(32, 65)])).find((g) => g.what === 'the same, stretch')!.verdict, 'missed');
  const gpu = stepOf('webgpu', 128, [
    entryOf('fovea', 100), entryOf('fovea, mixed', 50), entryOf('PyTorch, cuda', 40), entryOf('PyTorch, cuda, bfloat16', 20), entryOf('tfjs-webgpu', 900),
  ]);
  const card = { adapter: 'a card', software: false };
  const said = [/best of PyTorch/, /GPU, over tfjs/].map((what) => goalOf(what, [gpu], card)).map((g) => [g.verdict, g.value]);
  assert.equal(said, [['missed', 0.4], ['missed', 9]]);
  assert.is(goalOf(/best of PyTorch/, [gpu]).verdict, 'not measured');
  // Who was not there in the same run, or has no time, is named: the best may be another.
  const { note } = goalOf(/best of PyTorch/, [gpu], card);
  assert.is(note, `batch 128 without ${torchWays.slice(1).filter(({ name }) => name !== 'PyTorch, cuda').map(({ name }) => name).join('; ')}`);
  assert.match(note!, /; PyTorch, cuda, compile, tf32; PyTorch, cuda, graph; PyTorch, cuda, compile$/);
  const all = torchWays.map(({ name }) => entryOf(name, 200));
  const row = stepOf('webgpu', 128, [entryOf('fovea', 100), ...all.slice(1), { contestant: torchWays[0].name, milliseconds: [], absent: 'too slow' }]);
  assert.is(goalOf(/best of PyTorch/, [row], card).note, `batch 128 without ${torchWays[0].name}`);
  assert.is(goalOf(/best of PyTorch/, [stepOf('webgpu', 128, [entryOf('fovea', 100), ...all])], card).note, 'batch 128');
});

test('what is missed is explained where the rows\' own proven rooflines forbid it, else open, with what the run shows', () => {
  const gemm = (attainable: number, unproven = false): Row[] => Array.from({ length: 5 }, (_, i) => rowOf('gemm', 'cpu', `matmul ${i}`, '', [
    entryOf('fovea, 1 thread', 300, { attainable: 240 }), entryOf('fovea, 2 threads', 160, { attainable, ...(unproven && { unproven: true }) }),
    entryOf('micro-kernel, 2 threads', 80),
  ]));
  // 0.5 of the micro-kernel's speed is reached; the roofline allows 0.8, or 0.7.
  const bound = (...of: Parameters<typeof gemm>): Goal['bound'] => goalOf(/^GEMM/, gemm(...of)).bound;
  assert.is(bound(100)!.explained, false);
  assert.is(bound(115)!.explained, true);
  assert.is(bound(115, true)!.explained, false);
  assert.equal(bound(100)!.shows, [
    'if every row took what the roofline allows its method, it would be 0.800', 'achieved over attainable 0.80 on 1 thread, 0.63 on 2 threads',
    'multiply-add probe 50.0 GFLOP/s on 1 thread, 100 GFLOP/s on 2 threads (2.00 times)',
  ]);
  const step = goalOf(/MXNet/, [stepOf('cpu', 16, [entryOf('fovea, 2 threads', 3000), entryOf('MXNet, 2 threads', 1000)])]);
  assert.is(step.bound!.explained, false);
  assert.match(step.bound!.shows.at(-1)!, /batch 16: 3\.00e\+3 ms, direct convolution alone at that peak 1\.\d+e\+3/);
  const lines = goalNotes(reportOf(gemm(115)));
  assert.is(lines.length, 1);
  assert.match(lines[0], /^explained: GEMM on the cpu.*: 0\.50; if every row/);
  assert.match(goalTable(reportOf(gemm(100))).rows[0].join('|'), /at least 0\.75\|0\.50\|missed, open\|5/);
});

test('convolutions are held to 0.7 of what is attainable, steps of 32 images to the goals of memory', () => {
  const count = kernelProblems(1).filter((p) => p.group === 'conv').length;
  const conv = (last: number): Row[] => Array.from({ length: count }, (_, i) =>
    rowOf('conv', 'cpu', `conv2d ${i}`, '', [entryOf('fovea, 2 threads', 1, { attainable: i === 0 ? last : 0.8 })]));
  const both = (rows: Row[], run?: Run): string[] => {
    const goals = goalsOf(reportOf(rows, run));
    const at = goals.findIndex((g) => g.what.startsWith('convolutions on the cpu'));
    return goals.slice(at, at + 2).map((g) => g.verdict);
  };
  assert.equal(both(conv(0.8)), ['met', 'met']);
  assert.equal(both(conv(0.6)), ['met', 'missed']);
  assert.equal(both(conv(0.6).slice(1)), ['not measured', 'not measured']);
  assert.equal(both(conv(0.8), { counts: false }), ['not measured', 'not measured']);
  const facts = (memory: Partial<StepFacts['memory']>): Row['entries'][number]['facts'] => ({ step: {
    start: { open: 0, plan: 0, compile: 0, first: 0 }, compilations: 1, launches: 1, mainThreadMs: 1, rss: 1,
    memory: { arena: 0.9e9, bound: 0.88e9, variables: 0.1e9, own: 0.1e9, peak: 1.1e9, ...memory },
  } });
  const memory = (of: Partial<StepFacts['memory']>, batch = 32, recompute = ''): string[] => {
    const goals = goalsOf(reportOf([stepOf('cpu', batch, [entryOf(`fovea, 2 threads${recompute}`, 1, { facts: facts(of) })])]));
    return goals.slice(goals.findIndex((g) => g.what.startsWith('memory'))).map((g) => g.verdict);
  };
  assert.equal(memory({}), ['met', 'met', 'not measured', 'met']);
  assert.equal(memory({}, 16), Array(4).fill('not measured'));
  assert.equal(memory({}, 32, ', recompute'), ['met', 'not measured', 'missed', 'met']);
  assert.equal(memory({}, 32, ', mixed'), Array(4).fill('not measured'));
  assert.equal(memory({ peak: 1.3e9 }), ['met', 'missed', 'not measured', 'missed']);
  assert.equal(memory({ peak: 1.3e9, textures: 0.2e9 }), ['met', 'met', 'not measured', 'met'], 'textures of software adapters are beside');
  assert.equal(memory({ bound: 0.8e9 }), ['missed', 'met', 'not measured', 'met']);
});

test('losses are held to those that most engines have, by which a wrong gradient and a wrong first loss fail, and ours too', () => {
  const failures = (sizes: { batch: number; side: number }, losses: Record<string, [number, number]>): Record<string, string> => {
    const check = lossCheck(sizes);
    const outcomes = Object.entries(losses).map(([who, of]) => ({ who, results: [of] }));
    return Object.fromEntries(check.among!(outcomes));
  };
  const four = { batch: 4, side: 64 };
  const found = failures(four, {
    'fovea, 1 thread': [0.7, 0.68], MXNet: [0.7003, 0.6808], another: [0.702, 0.682], 'too large': [0.7, 0.6785], none: [0.7, 0.7],
    'fovea, mixed': [0.703, 0.686],
  });
  assert.equal(Object.keys(found), ['another', 'too large', 'none']);
  assert.is(found.another, 'another: the losses of two steps are 0.70200, 0.68200, expected 0.70000, 0.68000');
  // Ours are outvoted by engines, not by their number.
  const odd = failures(four, {
    'fovea, 1 thread': [0.8, 0.7], 'fovea, 2 threads': [0.8, 0.7], 'fovea, 2 threads, recompute': [0.8, 0.7], MXNet: [0.7, 0.68], PyTorch: [0.7, 0.68],
  });
  assert.equal(Object.keys(odd), ['fovea, 1 thread', 'fovea, 2 threads', 'fovea, 2 threads, recompute']);
  assert.equal(Object.keys(failures(four, { fovea: [0.7, 0.68], 'fovea, mixed': [0.7, 0.7], MXNet: [0.9, 0.8] })), ['fovea, mixed', 'MXNet']);
  assert.throws(() => lossCheck(four).one([[NaN, NaN]], 'no number'), /no number/);
  // Statistics over 4 pixels: any fall, but not any start.
  assert.equal(Object.keys(failures({ batch: 1, side: 64 }, { fovea: [0.7, 0.68], fall: [0.7, 0.72], start: [0.71, 0.68] })), ['start']);
});

test('paces: the time left is learned, and a slow contestant is known by its best row', () => {
  const paces = new Paces();
  const work = { op: 'conv2d', least: 10, runs: 21, queued: 1, limit: 60 };
  assert.is(paces.secondsOfRow('a', work, 3), 10 * 3 * 21 / 1000);
  paces.learn(work, [{ contestant: 'a', milliseconds: [50, 40, 60] }, { contestant: 'b', milliseconds: [], absent: tooSlow(60, 60) }], 2);
  assert.is(paces.secondsOfRun('a', { ...work, least: 20 }), 0.08);
  assert.is(paces.secondsOfRun('b', work), 60 / 21);
  assert.is(paces.secondsOfRun('a', { ...work, op: 'matmul' }), undefined);
  assert.is(paces.secondsOfRow('b', { ...work, least: 1000 }, 3), 60);
  assert.ok(Math.abs(paces.besides - (2 - 0.05 * 21)) < 1e-9);
});

test('few shapes of each op: the first, the last and some between', () => {
  const few = spread(kernelProblems(1), 3);
  const all = kernelProblems(1);
  for (const op of new Set(all.map((p) => p.op))) {
    const [chosen, whole] = [few, all].map((list) => list.filter((p) => p.op === op).map((p) => p.name));
    assert.is(chosen.length, Math.min(3, whole.length), op);
    assert.equal([chosen[0], chosen.at(-1)], [whole[0], whole.at(-1)]);
  }
  assert.equal(spread(all), [...new Set(all.map((p) => p.op))].flatMap((op) => all.filter((p) => p.op === op)));
});

test.run();
