import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { OptionError, ShapeError } from '../../src/errors.ts';
import {
  byName, float32Array, fromMXNet, initialize, msraPrelu, normal, permuteAxes, toMXNet, uniform, xavier,
} from '../../src/nn/index.ts';
import type { Initializer } from '../../src/nn/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { throws } from '../support/errors.ts';

const shape = [64, 32, 3, 3];

function moments(values: Float32Array): { mean: number; deviation: number; largest: number } {
  const mean = values.reduce((a, v) => a + v, 0) / values.length;
  const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), largest: values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) };
}

const fan = { in: 32 * 9, out: 64 * 9, avg: 48 * 9 };
const cases: [string, Initializer, { deviation: number; bound?: number }][] = [
  ['uniform', uniform(), { deviation: 0.07 / Math.sqrt(3), bound: 0.07 }],
  ['normal', normal(), { deviation: 0.01 }],
  ['xavier', xavier(), { deviation: Math.sqrt(1 / fan.avg), bound: Math.sqrt(3 / fan.avg) }],
  ['xavier gaussian in', xavier({ rndType: 'gaussian', factorType: 'in', magnitude: 2 }), { deviation: Math.sqrt(2 / fan.in) }],
  ['xavier out', xavier({ factorType: 'out', magnitude: 6 }), { deviation: Math.sqrt(2 / fan.out), bound: Math.sqrt(6 / fan.out) }],
  ['msraPrelu', msraPrelu(), { deviation: Math.sqrt(2 / (1 + 0.0625) / fan.avg) }],
];
for (const [name, initializer, want] of cases) {
  test(`${name}: mean, deviation and bound`, () => {
    const values = initializer('conv_weight', shape, 1);
    const got = moments(values);
    assert.ok(Math.abs(got.mean) < (4 * want.deviation) / Math.sqrt(values.length), `mean ${got.mean}`);
    assert.ok(Math.abs(got.deviation / want.deviation - 1) < 0.02, `deviation ${got.deviation}, expected ${want.deviation}`);
    if (want.bound !== undefined) assert.ok(got.largest <= want.bound && got.largest > 0.99 * want.bound);
  });
}

test('normal of another mean', () => {
  const { mean, deviation } = moments(normal(0.1, 3)('conv_weight', shape, 1));
  assert.ok(Math.abs(mean - 3) < 0.01 && Math.abs(deviation - 0.1) < 0.002, `${mean}, ${deviation}`);
});

test('draws depend on seed and name alone', () => {
  const draw = xavier();
  assert.equal(draw('a_weight', shape, 5), draw('a_weight', shape, 5));
  assert.not.equal(draw('a_weight', shape, 5), draw('b_weight', shape, 5));
  assert.not.equal(draw('a_weight', shape, 5), draw('a_weight', shape, 6));
});

test('what a name says', () => {
  const all = byName(uniform());
  for (const [name, value] of [['bias', 0], ['gamma', 1], ['beta', 0], ['moving_mean', 0], ['moving_var', 1]] as const) {
    assert.equal([...all(`x_${name}`, [3], 1)], [value, value, value], name);
  }
  throws(() => all('x_mystery', [3], 1), OptionError, /"x_mystery"/);
  throws(() => xavier()('x_weight', [3], 1), OptionError, /"x_weight" \[3\] needs two axes/);
});

test('only arrays of four axes change on their way to memory, and come back', () => {
  const weight = float32Array(Array.from({ length: 2 * 3 * 4 * 5 }, (_, i) => i), [2, 3, 4, 5]);
  const inMemory = fromMXNet(weight);
  assert.equal([...inMemory.shape], [2, 4, 5, 3]);
  // Element [1][2][3][4] of OIHW is [1][3][4][2] of KRSC.
  assert.is(inMemory.data[((1 * 4 + 3) * 5 + 4) * 3 + 2], weight.data[((1 * 3 + 2) * 4 + 3) * 5 + 4]);
  assert.equal(toMXNet(inMemory), weight);
  const dense = float32Array([1, 2, 3, 4, 5, 6], [2, 3]);
  assert.is(fromMXNet(dense), dense);
  throws(() => permuteAxes(dense, [0, 0]), ShapeError, /no permutation/);
});

test('first values of a network; a checkpoint takes their place where shapes agree', () => {
  const net = inceptionBNSmall({ classes: 2, width: 0.25 });
  const input = { data: [1, 3, 28, 28] };
  const fresh = initialize(net, input, { seed: 4 });
  assert.equal(new Set(fresh.arguments.keys()), new Set(net.listParameters(['data'])));
  assert.equal([...fresh.arguments.get('conv_1_weight')!.shape], [24, 3, 3, 3]);
  const other = initialize(net, input, { seed: 5 });
  const mxnet = { arguments: new Map([...other.arguments].map(([k, v]) => [k, toMXNet(v)])), auxiliary: new Map() };
  const merged = initialize(net, input, { seed: 4, from: mxnet });
  assert.equal(merged.arguments.get('conv_1_weight'), other.arguments.get('conv_1_weight'));
  const wide = inceptionBNSmall({ classes: 3, width: 0.25 });
  throws(() => initialize(wide, input, { seed: 4, from: mxnet }), ShapeError, /"fc1_weight".*\[3, .*\[2, /);
  const headed = initialize(wide, input, { seed: 4, from: mxnet, onMismatch: 'initialize' });
  assert.equal(headed.arguments.get('conv_1_weight'), other.arguments.get('conv_1_weight'));
  assert.is(headed.arguments.get('fc1_weight')!.shape[0], 3);
});

test.run();
