/** MXNet's operator fixtures, through Symbols: outputs, gradients and moving statistics, on any runner. */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { grad } from '../../src/fovea.ts';
import { isLeaf } from '../../src/graph/leaves.ts';
import { topologicalOrder } from '../../src/graph/node.ts';
import { permuteAxes } from '../../src/nn/host-array.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { toMXNetAxes, toMemory } from '../../src/nn/operator.ts';
import { isLabel } from '../../src/nn/symbol-graph.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { Variable } from '../../src/tensor/variable.ts';
import { holds } from './conformance.ts';
import { throws } from './errors.ts';
import { paramsFile, symbolFile } from './mxnet.ts';
import type { Runner } from './runners.ts';
import { shared } from './shared.ts';

export interface OpFixture {
  readonly name: string;
  readonly train: boolean;
  readonly note: string;
}

/** Operators of MXNet's that Fovea does not have, by fixture: refused by name when the symbol is read. */
export const refused: Readonly<Record<string, RegExp>> = {
  deconv_4x4_stride2: /operator "Deconvolution" is not supported/,
  lrn: /operator "LRN" is not supported/,
};
/** The same, refused when the symbol is applied. */
export const refusedLater: Readonly<Record<string, RegExp>> = { conv_grouped: /layer "conv" \(Convolution\): .*num_group 3/ };

/** Largest error over largest absolute value; MXNet against itself 1.2e-6. */
const tolerance = 5e-6;

const folder = shared('fixtures', 'mxnet', 'ops');

/** All fixtures, or undefined where the shared folder has none. */
export function opFixtures(): OpFixture[] | undefined {
  if (folder === undefined) return undefined;
  return JSON.parse(readFileSync(`${folder}/index.json`, 'utf8')) as OpFixture[];
}

function memory(array: HostArray): HostArray {
  return permuteAxes(array, toMemory(array.shape.length));
}

function mxnet(values: ArrayLike<number>, shape: readonly number[]): HostArray {
  const array: HostArray = { shape, dtype: 'float32', data: Float32Array.from(values) };
  return permuteAxes(array, toMXNetAxes(shape.length));
}

function channelSums(array: HostArray): HostArray {
  const [n, c, h, w] = array.shape;
  const sums = new Float32Array(n * c);
  (array.data as Float32Array).forEach((v, i) => (sums[Math.floor(i / (h * w))] += v));
  return { shape: [n, c], dtype: 'float32', data: sums };
}

function compare(fixture: string, runner: Runner, what: string, got: HostArray, want: HostArray): void {
  assert.equal([...got.shape], [...want.shape], `${what}: shape`);
  const w = want.data as Float32Array;
  const largest = w.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  let worst = 0;
  w.forEach((v, i) => {
    const d = Math.abs((got.data[i] as number) - v);
    if (!(d <= worst)) worst = d;
  });
  // Where all that is wanted is zeros, the error is one in itself.
  const error = largest === 0 ? worst : worst / largest;
  holds({ source: 'MXNet 1.9.1, operators', fixture, measure: 'of the largest value', error, tolerance, runner: runner.name }, what);
}

/**
 * Runs one fixture and asserts that all that MXNet computed is met, or that an operator which Fovea lacks is refused by name.
 *
 * @returns the names of the ops that took part
 */
export async function runOpFixture({ name, train }: OpFixture, runner: Runner): Promise<Set<string>> {
  const path = `${folder}/${name}`;
  if (name in refused) {
    throws(() => symbolFile(`${path}/symbol.json`), FormatError, refused[name]);
    return new Set();
  }
  const symbol = symbolFile(`${path}/symbol.json`);
  const given = paramsFile(`${path}/in.params`);
  const want = paramsFile(`${path}/out.params`);
  const inputs: Record<string, Tensor> = {};
  const states: Record<string, Variable> = {};
  for (const [key, array] of given) {
    const [kind, variable] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
    const { data, shape } = memory(array);
    if (kind === 'arg') inputs[variable] = wrap(data as Float32Array, shape, 'float32');
    if (kind === 'aux') {
      states[variable] = new Variable(data as Float32Array<ArrayBuffer>, shape, 'float32', { name: variable, trainable: false });
    }
  }
  const apply = (): Tensor[] => symbol.applyAll(states, inputs, { training: train });
  if (name in refusedLater) {
    throws(apply, Error, refusedLater[name]);
    return new Set();
  }
  const outputs = apply();
  const wanted = [...want.keys()];
  const learned = Object.keys(inputs).filter((n) => want.has(`grad:${n}`));
  assert.is(wanted.filter((k) => k.startsWith('grad:')).length, learned.length);
  assert.ok(Object.keys(inputs).every((n) => learned.length === 0 || learned.includes(n) || isLabel(n)));
  const asked: [string, Tensor][] = outputs.map((t, i): [string, Tensor] => [`out:${i}`, t]);
  if (learned.length > 0) {
    const heads = outputs.map((t, i) => {
      const { data, shape } = memory(given.get(`head:${i}`)!);
      return t.mul(wrap(data as Float32Array, shape, 'float32')).sum();
    });
    const gradients = grad(heads.reduce((a, b) => a.add(b)), learned.map((n) => inputs[n]));
    learned.forEach((n, i) => asked.push([`grad:${n}`, gradients[i]]));
  }
  for (const [n, state] of Object.entries(states)) asked.push([`aux:${n}`, state.read()]);
  assert.equal(new Set(asked.map(([key]) => key)), new Set(wanted));

  const shapes = asked.map(([, t]) => t.shape);
  const ops = topologicalOrder(asked.map(([, t]) => t.value.node)).filter((n) => !isLeaf(n)).map((n) => n.op.name);
  const got = await runner.evaluate(asked.map(([, t]) => t));
  for (const [i, [key]] of asked.entries()) {
    const [mine, theirs] = [mxnet(got[i], shapes[i]), want.get(key)!];
    if (name === 'pool_max_ties' && key === 'grad:data') {
      // With equal maxima which one takes the gradient may differ, what an image's channel takes in all may not.
      compare(name, runner, `${key} by channel`, channelSums(mine), channelSums(theirs));
      continue;
    }
    compare(name, runner, key, mine, theirs);
  }
  return new Set(ops);
}
