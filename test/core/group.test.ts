/** All-reduce between the segments of Programs: two devices train as one does. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cpu as openCpu } from '../../src/device/cpu/index.ts';
import type { Device } from '../../src/device/types.ts';
import { GraphError, OptionError } from '../../src/errors.ts';
import { compile, grad, localGroup, tensor, together, variable, wrap } from '../../src/fovea.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { ModelSymbol, createVariables, initialize, internals, readVariables } from '../../src/nn/index.ts';
import type { ParameterArrays } from '../../src/nn/index.ts';
import { allReduce } from '../../src/ops/all-reduce.ts';
import { softmaxCrossEntropy } from '../../src/ops/softmax-cross-entropy.ts';
import { adam, sgd } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { CompiledFunction } from '../../src/tensor/compile.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { rejects, throws } from '../support/errors.ts';
import { openWebgpu } from '../support/webgpu.ts';
import { skip } from '../support/skip.ts';

const cpus: Device[] = [await openCpu({ threads: 1 }), await openCpu({ threads: 1 }), await openCpu({ threads: 2 })];
const gpu = await openWebgpu();

/** What is computed on each device: before the sum, the sum, and after it. */
function sums(devices: readonly Device[]): CompiledFunction<[Tensor], Tensor[]>[] {
  const group = localGroup(devices.length);
  return devices.map((device, rank) => compile((x: Tensor) => {
    const before = x.mul(2);
    const sum = allReduce(before);
    return [before, sum, sum.add(rank)];
  }, { device, group: group[rank] }));
}

const places = [['two cpu devices', cpus.slice(0, 2)], ['three cpu devices', cpus]] as [string, Device[]][];
if (gpu.reason === undefined) places.push(['a cpu and a webgpu device', [cpus[0], gpu.device]]);
else skip('a value is summed over a cpu and a webgpu device', gpu.reason);

for (const [name, devices] of places) {
  test(`a value is summed over ${name}, in the middle of their Programs`, async () => {
    const ranks = sums(devices);
    const run = together(ranks);
    for (const factor of [1, 10]) {
      const results = await run(...devices.map((_, rank) => [tensor([1, 2, rank]).mul(factor)] as [Tensor]));
      const total = devices.reduce((sum, _, rank) => sum + rank, 0);
      for (const [rank, tensors] of results.entries()) {
        const [before, sum, after] = await Promise.all(tensors.map((t) => t.data()));
        assert.equal([...before], [2 * factor, 4 * factor, 2 * rank * factor]);
        assert.equal([...sum], [2 * factor * devices.length, 4 * factor * devices.length, 2 * factor * total]);
        assert.equal([...after], [...sum].map((v) => v + rank));
      }
    }
    for (const rank of ranks) rank.dispose();
  });
}

test('ranks are added in their order, whoever comes first', async () => {
  // In float32 (1e8 + 1) - 1e8 is 0, and (1e8 - 1e8) + 1 is 1.
  const ask = async (order: readonly number[]): Promise<number[]> => {
    const group = localGroup(3);
    const values = [1e8, 1, -1e8].map((v) => Float32Array.of(v));
    await Promise.all(order.map(async (rank) => {
      await new Promise((resolve) => setTimeout(resolve, 2 * order.indexOf(rank)));
      await group[rank].allReduce(values[rank]);
    }));
    return values.map(([v]) => v);
  };
  assert.equal(await ask([0, 1, 2]), [0, 0, 0]);
  assert.equal(await ask([2, 0, 1]), [0, 0, 0]);
});

const side = 28;
const classes = 2;
/** Softplus for ReLU: a ReLU that rounding flips at zero sends two runs apart, however they are computed. */
const smooth = JSON.stringify(inceptionBNSmall({ classes, width: 0.125 }).toJSON()).replaceAll('"relu"', '"softrelu"');
const network = internals(ModelSymbol.fromJSON(JSON.parse(smooth))).fc1_output;

interface Trained {
  readonly parameters: ParameterArrays;
  readonly losses: number[];
}

/** Trains on batches of 16, divided among the devices; batch norm takes the statistics that it has. */
async function train(devices: readonly Device[], kind: 'sgd' | 'adam', steps: number): Promise<Trained[]> {
  const batch = 16;
  const share = batch / devices.length;
  const group = localGroup(devices.length);
  const losses: number[][] = devices.map(() => []);
  const made = devices.map((device, rank) => {
    const variables = createVariables(network, initialize(network, { data: [share, 3, side, side] }, { seed: 1 }));
    // Sums over the batch, which become the mean over the whole one.
    const options = { device, rescale: 1 / batch, weightDecay: 1e-3, allReduce: true };
    const optimizer = kind === 'sgd' ? sgd(variables.trainable, { ...options, momentum: 0.9 }) : adam(variables.trainable, options);
    const step = compile((images: Tensor, labels: Tensor) => {
      const logits = network.apply(variables.all, images.cast('float32').div(255).sub(0.5));
      const loss = softmaxCrossEntropy(logits, labels).losses.sum();
      optimizer.update(grad(loss, variables.trainable), kind === 'sgd' ? 0.01 : 0.003);
      return loss;
    }, { device, group: group[rank] });
    return { variables, optimizer, step };
  });
  const step = together(made.map((one) => one.step as unknown as CompiledFunction<[Tensor, Tensor], Tensor>));
  const stream = new PhiloxStream(4, 'test/group');
  const counts: number[] = [];
  for (let i = 0; i < steps; i++) {
    const labels = Int32Array.from({ length: batch }, () => stream.int(classes));
    const size = side * side * 3;
    const pixels = Uint8Array.from({ length: batch * size }, (_, k) => stream.int(120) + 100 * labels[Math.floor(k / size)]);
    const results = await step(...devices.map((_, rank) => [
      wrap(pixels.slice(rank * share * size, (rank + 1) * share * size), [share, side, side, 3], 'uint8'),
      wrap(labels.slice(rank * share, (rank + 1) * share), [share], 'int32'),
    ] as [Tensor, Tensor]));
    for (const [rank, loss] of results.entries()) losses[rank].push(await loss.item());
    counts.push(devices.reduce((sum, { counters }) => sum + counters.allocations + counters.compilations, 0));
  }
  assert.ok(counts.slice(2).every((count) => count === counts[1]), `later steps allocate nothing: ${counts}`);
  const trained: Trained[] = [];
  for (const [rank, { variables, optimizer, step: own }] of made.entries()) {
    trained.push({ parameters: await readVariables(network, variables.all), losses: losses[rank] });
    own.dispose();
    optimizer.dispose();
    for (const variable of variables.all.values()) variable.dispose();
  }
  return trained;
}

/** Root of the summed squares of what two runs' parameters differ by. */
function distance(one: Trained, other: Trained): number {
  let sum = 0;
  for (const [name, { data }] of one.parameters.arguments) {
    const x = other.parameters.arguments.get(name)!.data as Float32Array;
    (data as Float32Array).forEach((v, i) => (sum += (v - x[i]) ** 2));
  }
  return Math.sqrt(sum);
}

for (const kind of ['sgd', 'adam'] as const) {
  test(`${kind}: two cpu devices train as one does at the summed batch`, async () => {
    const [alone] = await train(cpus.slice(2), kind, 5);
    const [first, second] = await train(cpus.slice(0, 2), kind, 5);
    const [start] = await train(cpus.slice(2), kind, 0);
    const [apart, moved] = [distance(first, alone), distance(alone, start)];
    assert.ok(apart < 1e-4 * moved, `${apart} apart, moved by ${moved}`);
    assert.is(distance(first, second), 0, 'both ranks have the same bits');
    for (const [i, loss] of alone.losses.entries()) {
      const sum = first.losses[i] + second.losses[i];
      assert.ok(Math.abs(sum - loss) < 1e-4 * loss, `step ${i}: losses ${first.losses[i]} and ${second.losses[i]}, alone ${loss}`);
    }
  });
}

test('the sum lies over the gradients: it takes no memory of its own', async () => {
  const memory = async (reduces: boolean): Promise<number> => {
    const weights = variable(new Float32Array(10000), [100, 100], { device: cpus[0], name: 'w_weight' });
    const optimizer = sgd([weights], { device: cpus[0], allReduce: reduces });
    const step = compile((x: Tensor) => {
      const loss = x.matmul(weights).square().sum();
      optimizer.update(grad(loss, [weights]), 0.1);
      return loss;
    }, { device: cpus[0], group: localGroup(2)[0] });
    const { planned, own } = await step.plan(tensor(new Float32Array(800), [8, 100]));
    step.dispose();
    optimizer.dispose();
    return planned + own;
  };
  assert.is(await memory(true), await memory(false));
});

test('a group of one, and none, sum nothing', async () => {
  for (const group of [undefined, localGroup(1)[0]]) {
    const alone = compile((x: Tensor) => allReduce(x.add(1)), { device: cpus[0], group });
    assert.equal([...await (await alone(tensor([1, 2]))).data()], [2, 3]);
    alone.dispose();
  }
});

test('a rank that fails ends the waiting of the others, and the group', async () => {
  const group = localGroup(2);
  const weights = variable([1, 2], [2], { device: cpus[0] });
  const step = (rank: number) => compile((x: Tensor) => allReduce(rank === 0 ? x.add(weights) : x), { device: cpus[rank], group: group[rank] });
  const ranks = [step(0), step(1)];
  const run = together(ranks);
  assert.equal([...await (await run([tensor([1, 1])], [tensor([5, 5])]))[1].data()], [7, 8]);
  weights.dispose();
  await rejects(() => run([tensor([1, 1])], [tensor([5, 5])]), GraphError, /disposed/);
  await rejects(() => group[1].allReduce(new Float32Array(2)), GraphError, /all-reduce: rank 0 failed: .*disposed/);
  for (const rank of ranks) rank.dispose();
});

test('ranks that do not agree are refused', async () => {
  const run = together(sums(cpus.slice(0, 2)));
  await rejects(() => run([tensor([1, 2])], [tensor([1, 2, 3])]), GraphError, /rank 0 brought 2 values, rank 1 3/);
  await rejects(() => run([tensor([1, 2])]), GraphError, /2 ranks need as many arrays of arguments, got 1/);
  await rejects(() => sums(cpus.slice(0, 2))[0](tensor([1])), GraphError, /one of 2 ranks.*together/);
  throws(() => localGroup(0), OptionError, /integer of 1 or more ranks, got 0/);
});

test.after(() => {
  for (const device of cpus) device.dispose();
  if (gpu.reason === undefined) gpu.device.dispose();
});
test.run();
