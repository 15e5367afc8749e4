import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareReports } from '../../src/benchmark/compare.ts';
import { distinct, inceptionBNLayers, inceptionV3Layers, multiplyAdds } from '../../src/benchmark/layers.ts';
import { kernelProblems } from '../../src/benchmark/problems.ts';
import { attainable, leastMilliseconds, limitsOf } from '../../src/benchmark/roofline.ts';
import type { Probe, Report } from '../../src/benchmark/types.ts';
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
  assert.equal(limitsOf(probes, 'a'), { peak: 50, bandwidth: 11 });
  assert.equal(limitsOf(probes, 'b'), { peak: 70, bandwidth: 2 });
  assert.equal(limitsOf(probes, 'b', 'a'), { peak: 70, bandwidth: 11 });
  assert.is(limitsOf(probes, 'c'), undefined);
});

test('slower is what is both slower by more than 5 % and apart in its quartiles', () => {
  const report = (milliseconds: number[], contestant = 'fovea, 1 thread'): Report => ({
    format: 1, machine: {}, options: {}, devices: [], peers: [], failures: [], probes: [],
    rows: [{ group: 'conv', device: 'cpu', name: 'conv2d', layers: [], flop: 1, bytes: 1, entries: [{ contestant, milliseconds }] }],
  });
  const verdict = (before: number[], after: number[]): string => compareReports(report(before), report(after))[0].verdict;
  assert.is(verdict([10, 10, 10, 10], [11, 11, 11, 11]), 'slower');
  assert.is(verdict([11, 11, 11, 11], [10, 10, 10, 10]), 'faster');
  assert.is(verdict([10, 10, 10, 10], [10.4, 10.4, 10.4, 10.4]), 'same');
  assert.is(verdict([8, 9, 11, 14], [9, 10, 12, 15]), 'same');
  assert.equal(compareReports(report([1], 'tfjs-wasm'), report([2], 'tfjs-wasm')), []);
});

test.run();
