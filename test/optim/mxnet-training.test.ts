/** A narrow Inception trained 6 steps by MXNet's Module: the same by Symbols, gradients and optimizers, on each runner. */
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile, grad } from '../../src/fovea.ts';
import { splitCheckpoint } from '../../src/formats/mxnet-params.ts';
import { arraysToMXNet, createVariables, fromMXNet, initialize, readVariables } from '../../src/nn/index.ts';
import type { HostArray, NetworkVariables, ParameterArrays } from '../../src/nn/index.ts';
import { adam, sgd, step } from '../../src/optim/index.ts';
import type { Optimizer } from '../../src/optim/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { tensor, wrap } from '../../src/tensor/tensor.ts';
import type { Variable } from '../../src/tensor/variable.ts';
import { holds } from '../support/conformance.ts';
import { paramsFile, symbolFile } from '../support/mxnet.ts';
import { noFixtures } from '../support/python.ts';
import { reference, runners } from '../support/runners.ts';
import type { Runner } from '../support/runners.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

interface Run {
  readonly optimizer: string;
  readonly options: Record<string, number>;
  readonly rescale_grad: number;
  readonly loss: number[];
  readonly inference_on_first_batch: number[][];
}

const source = 'MXNet 1.9.1, training';
const folder = shared('fixtures', 'mxnet', 'train');
/** By name; what else the report has is of no run. */
const runs: Record<string, Partial<Run>> = folder === undefined ? {} : JSON.parse(readFileSync(`${folder}/report.json`, 'utf8'));
const expected = ['sgd', 'sgd_momentum_wd', 'sgd_clip', 'sgd_schedule', 'adam', 'adam_wd'];
const names = folder === undefined ? expected : Object.keys(runs).filter((name) => runs[name].optimizer !== undefined);
const { present, absent } = await runners();

function optimizerOf(name: string, run: Run, variables: NetworkVariables): Optimizer {
  const { learning_rate: learningRate, momentum, wd: weightDecay, clip_gradient: clipGradient, beta1, beta2, epsilon } = run.options;
  const common = { learningRate, weightDecay, clipGradient, rescale: run.rescale_grad };
  return name.startsWith('sgd')
    ? sgd(variables.trainable, { ...common, momentum })
    : adam(variables.trainable, { ...common, beta1, beta2, epsilon });
}

/** Steps one after another: on a device by a compiled function, on the reference node by node. */
function stepper(runner: Runner, states: readonly Variable[], fn: (x: Tensor, y: Tensor, rate: Tensor) => Tensor):
(x: Tensor, y: Tensor, rate: number) => Promise<ArrayLike<number>> {
  if (runner.device === undefined) {
    return async (x, y, rate) => {
      const output = fn(x, y, tensor(rate));
      // The output does not depend on the moving statistics: they are asked for.
      return (await runner.evaluate([output, ...states.map((v) => v.read())]))[0];
    };
  }
  const compiled = compile(fn, { device: runner.device });
  return async (x, y, rate) => (await compiled(x, y, rate as unknown as Tensor)).data();
}

function compare(run: string, key: string, got: HostArray, want: HostArray, tolerance: number): void {
  assert.equal([...got.shape], [...want.shape], key);
  const w = want.data as Float32Array;
  // The gradient of a bias ahead of a batch norm is zero; what MXNet moved it by is rounding of sums over activations, which
  // has nothing to do with how large the four biases of a layer happen to be: their range by the recipe is the measure.
  const least = /^conv_.*_bias$/.test(key) ? 0.1 : 0;
  const largest = w.reduce((m, v) => Math.max(m, Math.abs(v)), least);
  const off = w.reduce((m, v, i) => Math.max(m, Math.abs((got.data[i] as number) - v)), 0);
  const [fixture, runner] = run.split(' on ');
  holds({ source, fixture, measure: 'of the largest value', error: off / largest, tolerance, runner }, key);
}

/** All that a step changes. */
interface State {
  readonly variables: ParameterArrays;
  readonly optimizer: ReadonlyMap<string, HostArray>;
}

async function restore(variables: NetworkVariables, optimizer: Optimizer, from: State): Promise<void> {
  const arrays = [...from.variables.arguments, ...from.variables.auxiliary];
  for (const [name, { data }] of arrays) await variables.all.get(name)!.set(data as Float32Array);
  await optimizer.loadState(from.optimizer);
}

/** Runs of the reference, by name; a run is made once. */
const references = new Map<string, Promise<State[]>>();

function referenceStates(name: string, path: string): Promise<State[]> {
  const made = references.get(name) ?? check(reference, name, path);
  references.set(name, made);
  return made;
}

/**
 * The run, on one runner; the states after its steps. One ReLU whose input is zero but for rounding sends two runs apart, whose weights differ
 * by more at each step, the more so by Adam, which divides by its gradients' size: of the 89344 inputs in a step of this run, there is one of
 * 8e-7 where rounding is 1e-5, and biases that differ by 1e-6, which batch norm takes out again, are seen to change losses of SGD by 3e-3 five
 * steps later. So the reference runs all steps, and a device each step from the reference's state; SGD on a device besides `freely`, one step from its
 * own last, to what a few such ReLUs may change.
 */
async function check(runner: Runner, name: string, path: string, freely = false): Promise<State[]> {
  const run = runs[name] as Run;
  const symbol = symbolFile(`${path}/symbol.json`);
  const batches = paramsFile(`${path}/batches.params`);
  const images = batches.get('data')!;
  const labels = batches.get('label')!;
  const [steps, ...shape] = images.shape;
  const n = shape[0];
  const from = splitCheckpoint(paramsFile(`${path}/start.params`), { file: 'start.params' });
  const variables = createVariables(symbol, initialize(symbol, { data: shape }, { seed: 1, from }));
  const optimizer = optimizerOf(name, run, variables);
  const schedule = name === 'sgd_schedule' ? step({ learningRate: run.options.learning_rate, step: 2, factor: 0.5 }) : undefined;
  const take = stepper(runner, variables.states, (data, label, rate) => {
    const output = symbol.apply(variables.all, { data, softmax_label: label }, { training: true });
    optimizer.update(grad(output.sum(), optimizer.parameters), rate);
    return output;
  });
  const batch = (i: number): [Tensor, Tensor] => {
    const size = images.data.length / steps;
    const image = fromMXNet({ shape, dtype: 'float32', data: images.data.slice(i * size, (i + 1) * size) as Float32Array<ArrayBuffer> });
    return [
      wrap(image.data as Float32Array, image.shape, 'float32'),
      wrap(labels.data.slice(i * n, (i + 1) * n) as Float32Array, [n], 'float32'),
    ];
  };
  const adaptive = name.startsWith('adam');
  const tolerance = adaptive || freely ? 1e-2 : 2e-5;
  const title = freely ? `${name}, steps one from another` : name;
  const common = { source, fixture: title, runner: runner.name };
  const compareAll = (got: ParameterArrays, wanted: ParameterArrays): void => {
    for (const kind of ['arguments', 'auxiliary'] as const) {
      for (const [key, array] of wanted[kind]) {
        // Adam makes noise of gradients that are zero but for rounding.
        if (adaptive && (/^conv_.*_bias$/.test(key) || key.endsWith('moving_mean'))) continue;
        compare(`${title} on ${runner.name}`, key, got[kind].get(key)!, array, tolerance);
      }
    }
  };
  const own: State[] = [];
  const leader = runner.device !== undefined && !freely ? await referenceStates(name, path) : undefined;
  for (let i = 0; i < steps; i++) {
    if (leader !== undefined && i > 0) await restore(variables, optimizer, leader[i - 1]);
    const rate = schedule?.({ update: i + 1, epoch: 1 }) ?? run.options.learning_rate;
    const probabilities = await take(...batch(i), rate);
    let loss = 0;
    for (let s = 0; s < n; s++) loss -= Math.log(probabilities[s * 2 + Number(labels.data[i * n + s])]) / n;
    holds({ ...common, measure: 'of the loss', error: Math.abs(loss - run.loss[i]) / run.loss[i], tolerance }, `loss of step ${i}`);
    own.push({ variables: await readVariables(symbol, variables.all), optimizer: await optimizer.saveState() });
    if (leader !== undefined) compareAll(arraysToMXNet(own[i].variables), arraysToMXNet(leader[i].variables));
  }
  compareAll(arraysToMXNet(own[steps - 1].variables), splitCheckpoint(paramsFile(`${path}/${name}.params`), { file: `${name}.params` }));
  if (adaptive) return own;
  const [first] = await runner.evaluate([symbol.apply(variables.all, batch(0)[0])]);
  const off = Math.max(...run.inference_on_first_batch.flat().map((v, i) => Math.abs(first[i] - v)));
  holds({ ...common, measure: 'of 1, a probability after the last step', error: off, tolerance }, 'inference');
  return own;
}

if (folder !== undefined) {
  test('every run of the fixtures is reproduced, and no file of one is left over', () => {
    assert.equal(names, expected);
    const inputs = ['start', 'batches'];
    const files = readdirSync(folder).flatMap((file) => (file.endsWith('.params') ? [file.slice(0, -'.params'.length)] : []));
    assert.equal(files.filter((file) => !inputs.includes(file)).sort(), [...names].sort());
  });
}

for (const name of names) {
  const title = `6 steps of ${name}`;
  if (folder === undefined) {
    skip(title, noFixtures('mxnet', 'train'));
    continue;
  }
  for (const [runner, why] of absent) skip(`${title} on ${runner}`, why);
  for (const runner of present) {
    test(`${title} on ${runner.name}`, async () => {
      await (runner === reference ? referenceStates(name, folder) : check(runner, name, folder));
    });
    if (runner === reference || name.startsWith('adam')) continue;
    test(`${title}, one from another, on ${runner.name}`, async () => {
      await check(runner, name, folder, true);
    });
  }
}

test.run();
