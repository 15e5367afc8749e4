// time limit: 600 s
/** Mixed precision: what the rewriting makes float16, what it saves, and steps that overflow. Steps run on lavapipe, or a GPU by name. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { roundToHalf } from '../../src/device/half.ts';
import type { Device } from '../../src/device/types.ts';
import { GraphError, OptionError } from '../../src/errors.ts';
import { isLeaf } from '../../src/graph/leaves.ts';
import { mixed } from '../../src/graph/mixed.ts';
import type { Node } from '../../src/graph/node.ts';
import { topologicalOrder } from '../../src/graph/node.ts';
import { rewrite } from '../../src/graph/rewrite.ts';
import { batchNorm, compile, concat, conv2d, globalAvgPool, grad, linear, maxPool2d, softmaxCrossEntropy, tensor, variable } from '../../src/index.ts';
import type { Tensor } from '../../src/index.ts';
import { inceptionBN, inceptionBNSmall } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { LossScale, adam, sgd } from '../../src/optim/index.ts';
import type { Optimizer } from '../../src/optim/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Variable } from '../../src/tensor/variable.ts';
import { fit } from '../../src/train/fit.ts';
import { planningDevice } from '../support/planning-device.ts';
import { spots, spotsFit } from '../support/training.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const { device, reason } = await openWebgpu({ adapter: 'lavapipe' });
const onDevice = suiteUnless(reason, 'mixed steps');

/** A network with a convolution that is normalized, one that is not, a concatenation, a pool, and a linear layer. */
function network(seed = 1) {
  const stream = new PhiloxStream(seed, 'mixed');
  const made: Variable[] = [];
  const weight = (name: string, shape: readonly number[], spread: number): Variable => {
    const size = shape.reduce((a, b) => a * b, 1);
    const v = variable(Float32Array.from({ length: size }, () => spread * stream.normal()), shape, { name });
    made.push(v);
    return v;
  };
  const w1 = weight('w1_weight', [8, 3, 3, 3], 0.3);
  const gamma = variable(1, [8], { name: 'gamma' });
  const beta = variable(0, [8], { name: 'beta' });
  const w2 = weight('w2_weight', [8, 1, 1, 8], 0.4);
  const b2 = variable(0, [8], { name: 'b2_bias' });
  const w3 = weight('w3_weight', [2, 16], 0.3);
  const b3 = variable(0, [2], { name: 'b3_bias' });
  const mean = variable(0, [8], { name: 'moving_mean', trainable: false });
  const trainable = [w1, gamma, beta, w2, b2, w3, b3];
  const forward = (x: Tensor): Tensor => {
    const one = batchNorm(conv2d(x.sub(0.5), w1, { padding: 1 }), gamma, beta);
    mean.assign(mean.read().mul(0.9).add(one.mean.mul(0.1)));
    const a = one.y.relu();
    const b = conv2d(a, w2, { bias: b2 }).relu();
    const pooled = maxPool2d(concat([a, b]), { size: 2, stride: 2 });
    return linear(globalAvgPool(conv2d(pooled, eye)), w3, b3);
  };
  // the last convolution is fixed, so that something is wanted in float16 behind the pool
  const eye = variable(Float32Array.from({ length: 256 }, (_, i) => (i % 17 === 0 ? 1 : 0)), [16, 1, 1, 16], { name: 'eye', trainable: false });
  return { trainable, mean, forward, all: [...trainable, mean, eye] };
}

/** The dtypes of the outputs of each op in the graph, once each: `conv2d float16`. */
function dtypes(nodes: readonly Node[]): Set<string> {
  return new Set(nodes.filter((n) => !isLeaf(n)).map((n) => `${n.op.name} ${n.outputs.map((v) => v.dtype).join(' ')}`));
}

test('what a training step has in float16, and what not', () => {
  const net = network();
  const loss = softmaxCrossEntropy(net.forward(tensor(new Float32Array(2 * 8 * 8 * 3), [2, 8, 8, 3])), tensor(Int32Array.of(0, 1))).losses.mean();
  const gradients = grad(loss, net.trainable);
  const { roots } = rewrite([loss.value, ...gradients.map((t) => t.value)]);
  const result = mixed(roots, 'float16');
  result.forEach((v) => assert.is(v.dtype, 'float32'));
  const order = topologicalOrder(result.map((v) => v.node));
  const has = dtypes(order);
  for (const expected of [
    'subtract float32', 'conv2dStats float16 float32 float32', 'normalize float16', 'concat float16', 'maxPool2dIndices float16 uint8',
    // the last convolution is only averaged, and the logits are only judged
    'conv2d float16', 'conv2d float32', 'mean float32', 'matmul float32', 'softmaxCrossEntropy float32 float32',
    'conv2dInputGrad float16', 'conv2dFilterGrad float32', 'maxPool2dIndexGrad float16', 'batchNormReluGrad float16 float32 float32', 'sum float32',
  ]) assert.ok(has.has(expected), `${expected} is not among ${[...has].join(', ')}`);
  for (const name of ['mean', 'sum', 'softmaxCrossEntropy', 'softmaxCrossEntropyGrad', 'conv2dFilterGrad']) {
    assert.not.ok([...has].some((text) => text.startsWith(`${name} `) && text.includes('float16')), name);
  }
});

test('in bfloat16 the same values are narrow', () => {
  const net = network();
  const loss = softmaxCrossEntropy(net.forward(tensor(new Float32Array(2 * 8 * 8 * 3), [2, 8, 8, 3])), tensor(Int32Array.of(0, 1))).losses.mean();
  const { roots } = rewrite([loss.value, ...grad(loss, net.trainable).map((t) => t.value)]);
  const [half, brain] = (['float16', 'bfloat16'] as const).map((dtype) => [...dtypes(topologicalOrder(mixed(roots, dtype).map((v) => v.node)))]);
  assert.equal(brain, half.map((text) => text.replaceAll('float16', 'bfloat16')));
  assert.ok(brain.some((text) => text.includes('bfloat16')));
});

test('a value is cast once, a packed variable whole, and a widened one not back again', () => {
  const net = network();
  const optimizer = sgd(net.trainable, {});
  const x = tensor(new Float32Array(2 * 8 * 8 * 3), [2, 8, 8, 3]);
  const loss = net.forward(x).sum();
  const { roots } = rewrite(grad(loss, net.trainable).map((t) => t.value));
  const order = topologicalOrder(mixed(roots, 'float16').map((v) => v.node));
  const casts = order.filter((n) => n.op.name === 'cast');
  const ofVariables = casts.filter((n) => isLeaf(n.inputs[0].node) && n.inputs[0].node.source.kind === 'variable').map((n) => n.inputs[0].node.label);
  assert.equal(ofVariables.sort(), ['eye', 'parameters']);
  assert.is(new Set(casts.map((n) => n.inputs[0])).size, casts.length, 'each value once');
  const wide = x.cast('float16').cast('float32');
  const product = topologicalOrder(mixed([conv2d(wide, variable(1, [4, 1, 1, 3])).value], 'float16').map((v) => v.node)).find((n) => n.op.name === 'conv2d')!;
  assert.is(product.inputs[0].node.op.name, 'cast');
  assert.ok(isLeaf(product.inputs[0].node.inputs[0].node), 'the cast of x itself');
  optimizer.dispose();
});

test('a graph without matrix ops stays as it is', () => {
  const x = tensor(new Float32Array(6), [2, 3]);
  const y = x.relu().mul(2).sum();
  assert.is(mixed([y.value], 'float16')[0], y.value);
});

test('a step of Inception-BN, batch 32 at 224, is planned in 0.6 GB', async () => {
  const planned: number[] = [];
  for (const half of [false, true]) {
    const planning = planningDevice();
    const net = internals(inceptionBN({ classes: 2 })).fc1_output;
    const { all, trainable } = createVariables(net, initialize(net, { data: [32, 3, 224, 224] }, { seed: 3 }));
    const optimizer = sgd(trainable, { momentum: 0.9, device: planning });
    const scale = half ? new LossScale({ device: planning }) : undefined;
    const step = compile((x: Tensor, y: Tensor, rate: Tensor) => {
      const loss = softmaxCrossEntropy(net.apply(all, x.cast('float32').div(255), { training: true }) as Tensor, y).losses.mean();
      optimizer.update(grad(scale ? scale.scaled(loss) : loss, trainable), rate, scale);
      return loss;
    }, { device: planning, mixed: half });
    const memory = await step.prepare(
      tensor(new Uint8Array(32 * 224 * 224 * 3), [32, 224, 224, 3], 'uint8'), tensor(new Int32Array(32)), tensor(0.1));
    console.log(`planned bytes: ${half ? 'mixed' : 'float32'} ${memory.planned}, alive at the worst step ${memory.bound}`);
    assert.ok(memory.planned <= 1.05 * memory.bound);
    planned.push(memory.planned);
    step.dispose();
  }
  // Half of the 1.2 GB that float32 may take.
  assert.ok(planned[1] <= 0.6e9, `${planned[1]} bytes, ${planned[0]} in float32`);
});

test('a loss scale refuses options out of range, and steps that are not compiled', () => {
  assert.throws(() => new LossScale({ initial: 0 }), (e: Error) => e instanceof OptionError && /initial: expected a number above 0, got 0/.test(e.message));
  assert.throws(() => new LossScale({ initial: 0.5 }), /initial: expected a number from 1 to 16777216, got 0.5/);
  assert.throws(() => new LossScale({ factor: 1 }), /factor: expected a number above 1, got 1/);
  assert.throws(() => new LossScale({ interval: 0.5 }), /interval: expected an integer of 1 or more, got 0.5/);
  const w = variable(1, [3], { name: 'w' });
  const scale = new LossScale();
  assert.throws(() => sgd([w]).update(grad(scale.scaled(w.read().sum()), [w]), 1, scale), (e: Error) => e instanceof GraphError);
});

/** Images in which one half is brighter. */
function batchOf(step: number): [Tensor, Tensor] {
  const stream = new PhiloxStream(step, 'mixed images');
  const labels = Int32Array.from({ length: 8 }, (_, i) => i % 2);
  const pixels = Float32Array.from({ length: 8 * 8 * 8 * 3 }, (_, i) => {
    const top = Math.floor(i / 96) % 2 === 0;
    return stream.uniform(0, 0.6) + (top === (labels[Math.floor(i / 192)] === 0) ? 0.4 : 0);
  });
  return [tensor(pixels, [8, 8, 8, 3]), tensor(labels)];
}

interface Trained {
  readonly step: (x: Tensor, y: Tensor, rate: number, blowUp: number) => Promise<readonly number[]>;
  readonly state: () => Promise<Map<string, ArrayLike<number>>>;
  readonly scale: LossScale | undefined;
  dispose(): void;
}

/** `blowUp` multiplies the loss: 1, or more than float16 gradients can take. */
function trained(on: Device, kind: 'sgd' | 'adam', scale: LossScale | undefined): Trained {
  const net = network();
  const optimizer: Optimizer = kind === 'sgd' ? sgd(net.trainable, { momentum: 0.9, device: on }) : adam(net.trainable, { device: on });
  const step = compile((x: Tensor, y: Tensor, rate: Tensor, blowUp: Tensor) => {
    const loss = softmaxCrossEntropy(net.forward(x), y).losses.mean();
    optimizer.update(grad((scale ? scale.scaled(loss) : loss).mul(blowUp), net.trainable), rate, scale);
    return loss;
  }, { device: on, mixed: scale !== undefined });
  return {
    scale,
    step: async (x, y, rate, blowUp) => Array.from(await (await step(x, y, rate as unknown as Tensor, blowUp as unknown as Tensor)).data()),
    async state() {
      const all = new Map<string, ArrayLike<number>>();
      for (const v of net.all) all.set(v.name, await v.data());
      for (const [name, { data }] of await optimizer.saveState()) all.set(name, data as Float32Array);
      return all;
    },
    dispose() {
      step.dispose();
      optimizer.dispose();
    },
  };
}

for (const kind of ['sgd', 'adam'] as const) {
  onDevice(`30 steps of ${kind}: the loss falls as in float32`, async () => {
    const runs = [trained(device, kind, undefined), trained(device, kind, new LossScale({ device }))];
    const losses = [[] as number[], [] as number[]];
    for (let i = 0; i < 30; i++) {
      const [x, y] = batchOf(i);
      for (const [r, run] of runs.entries()) losses[r].push(...await run.step(x, y, kind === 'sgd' ? 0.1 : 0.01, 1));
    }
    const [exact, half] = losses;
    const apart = Math.max(...exact.map((loss, i) => Math.abs(loss - half[i])));
    console.log(`${kind}: loss ${exact[0].toFixed(4)} to ${exact[29].toFixed(4)}, mixed ${half[29].toFixed(4)}, at most ${apart.toFixed(5)} apart`);
    assert.ok(exact[29] < 0.5 * exact[0], 'it learns');
    assert.ok(apart < 0.02, `losses are ${apart} apart`);
    assert.ok(half.some((loss, i) => loss !== exact[i]), 'mixed computes otherwise');
    runs.forEach((run) => run.dispose());
  });

  onDevice(`${kind}: a step that overflows changes nothing but the scale, which halves, and grows after good ones`, async () => {
    const run = trained(device, kind, new LossScale({ device, initial: 1024, interval: 3, maximum: 2048 }));
    const [x, y] = batchOf(0);
    const scales: number[] = [];
    const take = async (blowUp: number): Promise<void> => {
      await run.step(x, y, 0.05, blowUp);
      scales.push((await run.scale!.scale.data())[0]);
    };
    await take(1);
    const before = await run.state();
    await take(1e9);
    const after = await run.state();
    for (const [name, values] of before) assert.equal(Array.from(after.get(name)!), Array.from(values), `${name} was changed`);
    assert.ok(before.get('moving_mean')!.length === 8 && Array.from(before.get('moving_mean')!).some((v) => v !== 0));
    for (let i = 0; i < 7; i++) await take(1);
    assert.not.equal(Array.from((await run.state()).get('w1_weight')!), Array.from(before.get('w1_weight')!), 'it goes on');
    // good, overflow, three good, three good (2048 is the most), one good
    assert.equal(scales, [1024, 512, 512, 512, 1024, 1024, 1024, 2048, 2048]);
    run.dispose();
  });
}

/** A step of a small Inception-BN, in mixed precision or on images that were rounded to float16: its loss, then its gradients, joined. */
async function stepOf(variant: 'exact' | 'rounded images' | 'mixed'): Promise<{ loss: number; gradients: Float32Array }> {
  const [batch, side] = [16, 28];
  const noise = new PhiloxStream(7, 'step');
  const pixels = Float32Array.from({ length: batch * side * side * 3 }, () => noise.normal());
  const net = internals(inceptionBNSmall({ classes: 2, width: 0.25 })).fc1_output;
  const { all, trainable } = createVariables(net, initialize(net, { data: [batch, 3, side, side] }, { seed: 3 }));
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = softmaxCrossEntropy(net.apply(all, x, { training: true }) as Tensor, y).losses.mean();
    return [loss, ...grad(loss.mul(1024), trainable)];
  }, { device, mixed: variant === 'mixed' });
  const images = tensor(variant === 'rounded images' ? pixels.map((v) => roundToHalf(v, 'float16')) : pixels, [batch, side, side, 3]);
  const [loss, ...gradients] = await step(images, tensor(Int32Array.from({ length: batch }, (_, i) => i % 2)));
  const values: number[] = [];
  for (const t of gradients) values.push(...await t.data());
  const result = { loss: (await loss.data())[0], gradients: Float32Array.from(values) };
  step.dispose();
  return result;
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (p: Float32Array, q: Float32Array): number => p.reduce((sum, v, i) => sum + v * q[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/**
 * ReLUs and batch statistics make a network's gradients jump with any rounding, so the measure is the least that float16 can do:
 * storing nothing but the images in it. Mixed precision rounds some 60 layers' values beside.
 */
onDevice('gradients of Inception-BN stay as near those of float32 as rounding allows', async () => {
  const [exact, rounded, half] = [await stepOf('exact'), await stepOf('rounded images'), await stepOf('mixed')];
  const apart = [rounded, half].map(({ gradients }) => 1 - cosine(gradients, exact.gradients));
  console.log(`Inception-BN small: losses ${exact.loss}, ${half.loss} mixed; 1 - cosine of all gradients ${apart[0].toExponential(2)} with rounded `
    + `images, ${apart[1].toExponential(2)} mixed`);
  assert.ok(Math.abs(exact.loss - half.loss) < 1e-3, `losses ${exact.loss} and ${half.loss}`);
  assert.ok(apart[0] > 0 && apart[1] < 5 * apart[0], `1 - cosine ${apart[0]} and ${apart[1]}`);
});

onDevice('a mixed run resumes bit for bit, its loss scale with it', async () => {
  const data = spots(12);
  const options = spotsFit(data, { device, mixed: true, epochs: 2, batch: 8 });
  const whole = await fit(options);
  const expected = await whole.snapshot();
  assert.equal(Array.from(expected.tensors.get('loss-scale/scale')!.data as Float32Array), [2 ** 16]);
  assert.equal(Array.from(expected.tensors.get('loss-scale/good-steps')!.data as Int32Array), [expected.updates]);
  whole.dispose();
  const first = await fit({ ...options, epochs: 1 });
  const saved = await first.snapshot();
  first.dispose();
  const rest = await fit({ ...options, resume: saved });
  const got = await rest.snapshot();
  rest.dispose();
  for (const [name, { data: values }] of expected.tensors) {
    assert.equal(Array.from(got.tensors.get(name)!.data as Float32Array), Array.from(values as Float32Array), name);
  }
});

onDevice.run();
test.run();
