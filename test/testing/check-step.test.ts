// time limit: 240 s
/** Does the check of a step see what is wrong? Lowerings are spoilt in place, and have to be named. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import type { CpuArg, CpuLaunch, LowerContext, Lowering } from '../../src/device/types.ts';
import { FormatError } from '../../src/errors.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { compile, defineOp, apply1, grad, softmaxCrossEntropy, tensor } from '../../src/index.ts';
import { getOp } from '../../src/graph/op.ts';
import type { Attrs } from '../../src/graph/node.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { createVariables, initialize, internals } from '../../src/nn/index.ts';
import { sgd } from '../../src/optim/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { checkStep, decodeEvidence, encodeEvidence, replayEvidence } from '../../src/testing/index.ts';
import type { StepCheck } from '../../src/testing/index.ts';
import { throws } from '../support/errors.ts';
import { openWebgpu } from '../support/webgpu.ts';
import { skip } from '../support/skip.ts';

const cpu = await device('cpu');
const gpu = await openWebgpu();
const side = 20;
const batch = 3;
const pixels = Uint8Array.from({ length: batch * side * side * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) % 251);
const labels = Int32Array.from({ length: batch }, (_, i) => i % 2);

/** One training step of a narrow Inception-BN, checked. */
async function check(on = cpu, against?: typeof cpu): Promise<StepCheck> {
  const network = internals(inceptionBNSmall({ classes: 2, width: 0.125 })).fc1_output;
  const { all, trainable } = createVariables(network, initialize(network, { data: [batch, 3, side, side] }, { seed: 1 }));
  const optimizer = sgd(trainable, { momentum: 0.9, device: on });
  const step = compile((images: Tensor, target: Tensor, rate: number) => {
    const logits = network.apply(all, images.cast('float32').div(255), { training: true }) as Tensor;
    const loss = softmaxCrossEntropy(logits, target).losses.mean();
    optimizer.update(grad(loss, trainable), rate);
    return loss;
  }, { device: on });
  try {
    return await checkStep(step, [tensor(pixels, [batch, side, side, 3]), tensor(labels), 0.05], { against });
  } finally {
    step.dispose();
    optimizer.dispose();
    for (const variable of all.values()) variable.dispose();
  }
}

/** Runs with launches of an op's cpu lowering changed; `where` picks applications. */
async function spoilt<T>(
  name: string, where: (context: LowerContext<Attrs>) => boolean, spoil: (launches: CpuLaunch[], context: LowerContext<Attrs>) => CpuLaunch[],
  run: () => Promise<T>,
): Promise<T> {
  const lowering = getOp(name).kernels!.cpu! as { launches: Lowering<Attrs, CpuLaunch>['launches'] };
  const { launches } = lowering;
  lowering.launches = (context) => (where(context) ? spoil(launches.call(lowering, context), context) : launches.call(lowering, context));
  try {
    return await run();
  } finally {
    lowering.launches = launches;
  }
}

/** The `n`th of the step's normalizations, however often all are encoded. */
function normalization(n: number): () => boolean {
  let met = 0;
  return () => met++ % normalizations === n;
}
const normalizations = 19;

const changed = (launch: CpuLaunch, word: number, value: CpuArg): CpuLaunch =>
  ({ ...launch, args: launch.args.map((arg, i) => (i === word ? value : arg)) });

test('a sound step is within the tolerance, every op of it', async () => {
  const found = await check();
  assert.equal(found.departures, []);
  assert.equal(found.unchecked, []);
  assert.is(found.evidence, undefined);
  const checked = new Map(found.ops.map(({ op, checked: n }) => [op, n]));
  // fused ops are what runs, so they are what is checked
  for (const op of ['conv2dStats', 'normalize', 'batchNormReluGrad', 'conv2dInputGrad', 'conv2dFilterGrad', 'sgdUpdate', 'copy']) {
    assert.ok(checked.get(op)! > 0, `${op} was not met`);
  }
  assert.is(checked.get('normalize'), normalizations);
  assert.ok(found.ops.every(({ worst }) => worst <= 1));
  assert.ok(found.elements > 100_000);
});

test('the op whose kernel is wrong is named, with its layer and line, and no other', async () => {
  // the fifth normalization adds a little more epsilon than it should; what comes after it computes rightly from wrong inputs
  const found = await spoilt('normalize', normalization(4), ([launch]) => [changed(launch, 11, { f32: 0.02 })], () => check());
  assert.is(found.departures.length, 1);
  const [first] = found.departures;
  assert.is(first.kind, 'result');
  assert.match(first.label, /^normalize#\d+$/);
  assert.match(first.layer!, /^relu_in3b/);
  assert.match(first.site!, /check-step\.test\.ts:\d+/);
  assert.is(first.which, 0);
  assert.equal(first.inputs.length, 5);
  assert.ok(Math.abs(first.got - first.expected) > first.allowed);
});

test('its inputs go to a file and back, and it can be run again from them', async () => {
  const wrong = ([launch, ...rest]: CpuLaunch[]): CpuLaunch[] => [changed(launch, 11, { f32: 0.02 }), ...rest];
  const { evidence } = await spoilt('normalize', normalization(2), wrong, () => check());
  const again = decodeEvidence(encodeEvidence(evidence!), 'x.safetensors');
  assert.equal(again, evidence);
  const bad = await spoilt('normalize', () => true, wrong, () => replayEvidence(again, cpu));
  assert.ok(bad[0].ratio > 1);
  // the very values that the step computed
  assert.is(bad[0].got, evidence!.got[0][bad[0].at]);
  const good = await replayEvidence(again, cpu);
  assert.ok(good[0].ratio <= 1);
  throws(() => decodeEvidence(encodeEvidence({ ...evidence!, op: 'nonsense' }), 'x.safetensors'), FormatError,
    /^x\.safetensors: op: no op named "nonsense"/);
  throws(() => decodeEvidence(new Uint8Array(4), 'x.safetensors'), FormatError, /x\.safetensors/);
});

test('a file of evidence that is damaged is refused, with its name and the field', () => {
  const place = { offset: 1, stride: 4 };
  const x = { shape: [2, 3], dtype: 'float32' as const, data: Float64Array.of(1, 2, 3, 4, 5, 6) };
  const bytes = encodeEvidence({
    op: 'softmax', attrs: { axis: 1 }, inputs: [{ ...x, place }], outputs: [{ shape: [2, 3], dtype: 'float32', place }],
    got: [x.data], expected: [x.data],
  });
  assert.is(decodeEvidence(bytes, 'x').op, 'softmax');
  const { tensors, metadata } = readSafetensors(bytes, { file: 'x' });
  const refused = (key: string, value: string, pattern: RegExp): void =>
    throws(() => decodeEvidence(writeSafetensors(tensors, new Map([...metadata, [key, value]])), 'x.safetensors'), FormatError, pattern);
  refused('attrs', '{"axis"', /^x\.safetensors: attrs: not JSON/);
  refused('attrs', '7', /^x\.safetensors: attrs: expected attributes by name, got 7/);
  refused('places', '{', /^x\.safetensors: places: not JSON/);
  refused('places', 'null', /^x\.safetensors: places: expected places of inputs and outputs, got null/);
  const places = (change: (places: any) => unknown, pattern: RegExp): void => {
    const value = JSON.parse(metadata.get('places')!) as unknown;
    change(value);
    refused('places', JSON.stringify(value), pattern);
  };
  places((p) => delete p.outputs, /places\.outputs: .*got nothing/);
  places((p) => (p.inputs[0].offset = -1), /places\.inputs\.0\.offset: expected a count, got -1/);
  places((p) => (p.inputs[0].stride = 2), /places\.inputs\.0\.stride: expected 3 or more, got 2/);
  places((p) => p.inputs.pop(), /places\.inputs: 0 places, and there is a tensor "input\.0"/);
  places((p) => p.inputs.push(place), /no tensor "input\.1"/);
  places((p) => (p.outputs[0].dtype = 'float'), /places\.outputs\.0\.dtype: expected a dtype, got "float"/);
  places((p) => (p.outputs[0].shape = [3, 2]), /places\.outputs: float32 \[3, 2\], where softmax gives float32 \[2, 3\]/);
  places((p) => (p.outputs[0].over = 1), /places\.outputs\.0\.over: expected one of 1 inputs, got 1/);
  const without = new Map([...tensors].filter(([name]) => name !== 'got.0'));
  throws(() => decodeEvidence(writeSafetensors(without, metadata), 'x'), FormatError, /^x: no tensor "got\.0"/);
  const turned = new Map([...tensors, ['got.0', { ...tensors.get('got.0')!, shape: [3, 2] }]] as const);
  throws(() => decodeEvidence(writeSafetensors(turned, metadata), 'x'), FormatError,
    /^x: got\.0: float32 \[3, 2\], where float32 \[2, 3\] was expected/);
  refused('op', 'conv2d', /^x\.safetensors: attrs: conv2d does not take inputs of float32 \[2, 3\] with these: /);
});

test('evidence of float16 comes back as it was', () => {
  const place = { offset: 0, stride: 3 };
  const type = { shape: [1, 3], dtype: 'float16' as const };
  const data = Float64Array.of(0.5, -3, 65504);
  const input = { ...type, data, place };
  const evidence = { op: 'add', attrs: {}, inputs: [input, input], outputs: [{ ...type, place }], got: [data], expected: [data] };
  assert.equal(decodeEvidence(encodeEvidence(evidence), 'x'), evidence);
});

test('a kernel that writes over a value that is needed later is found where that is read', async () => {
  const trample = (launches: CpuLaunch[], { inputs: [x] }: LowerContext<Attrs>): CpuLaunch[] =>
    [...launches, { kernel: 'fill', tiles: 1, args: [{ address: x }, 1, 1, x.stride, 7, 1] }];
  const found = await spoilt('normalize', normalization(1), trample, () => check());
  assert.is(found.departures[0].kind, 'input');
  // the gradient reads the convolution's result, which the normalization has spoilt
  assert.is(found.departures[0].op, 'batchNormReluGrad');
  assert.is(found.departures[0].at, 0);
});

test('an op of one\'s own with a wrong kernel is named; one without a reference is listed as not checked', async () => {
  const kernels = { cpu: { launches: ({ inputs: [x], outputs: [y] }: LowerContext<Attrs>): CpuLaunch[] =>
    [{ kernel: 'copyFlat', tiles: 1, args: [{ address: x }, { address: y }, x.channels * 4, x.channels * 4] }] } };
  const infer = ([x]: readonly { shape: readonly number[]; dtype: 'float32' }[]) => [{ shape: x.shape, dtype: 'float32' as const }];
  const twice = defineOp<Attrs>({
    name: 'testTwice', inputs: ['x'], infer: infer as never, reference: ([x]) => [x.data.map((v) => 2 * v)], kernels,
  });
  const same = defineOp<Attrs>({ name: 'testSame', inputs: ['x'], infer: infer as never, kernels });
  const step = compile((x: Tensor) => apply1(same, [apply1(twice, [x.add(1)])]).exp(), { device: cpu });
  const found = await checkStep(step, [tensor(Float32Array.of(1, 2, 3))]);
  assert.equal(found.departures.map(({ op, at, got, expected }) => [op, at, got, expected]), [['testTwice', 2, 4, 8]]);
  assert.equal(found.unchecked, ['testSame']);
});

test('the first result that departs is kept, and its evidence, however many departures of other kinds are before it', async () => {
  const infer = ([x]: readonly { shape: readonly number[]; dtype: 'float32' }[]) => [{ shape: x.shape, dtype: 'float32' as const }];
  const copy = ({ inputs: [x], outputs: [y] }: LowerContext<Attrs>): CpuLaunch =>
    ({ kernel: 'copyFlat', tiles: 1, args: [{ address: x }, { address: y }, x.channels * 4, x.channels * 4] });
  const tramples = defineOp<Attrs>({
    name: 'testTramples', inputs: ['x'], infer: infer as never, reference: ([x]) => [x.data],
    kernels: { cpu: { launches: (c: LowerContext<Attrs>): CpuLaunch[] =>
      [copy(c), { kernel: 'fill', tiles: 1, args: [{ address: c.inputs[0] }, 1, 1, c.inputs[0].stride, 7, 1] }] } },
  });
  const triple = defineOp<Attrs>({
    name: 'testTriple', inputs: ['x'], infer: infer as never, reference: ([x]) => [x.data.map((v) => 3 * v)],
    kernels: { cpu: { launches: (c: LowerContext<Attrs>): CpuLaunch[] => [copy(c)] } },
  });
  const step = compile((x: Tensor) => {
    const spoilt = x.add(1);
    const first = apply1(tramples, [spoilt]);
    const readers = Array.from({ length: 110 }, (_, i) => spoilt.mul(i + 2));
    return [first, ...readers, apply1(triple, [x])];
  }, { device: cpu });
  const { departures, evidence } = await checkStep(step, [tensor(Float32Array.of(1, 2, 3))]);
  assert.is(departures.filter(({ kind }) => kind === 'input').length, 100);
  assert.equal(departures.filter(({ kind }) => kind === 'result').map(({ op }) => op), ['testTriple']);
  assert.is(evidence?.op, 'testTriple');
});

test('the signal stops between two steps', async () => {
  const step = compile((x: Tensor) => x.exp().add(1).square(), { device: cpu });
  const controller = new AbortController();
  let steps = 0;
  await checkStep(step, [tensor(Float32Array.of(1))], {
    signal: controller.signal, onStep: () => {
      steps++;
      controller.abort(new Error('enough'));
    },
  }).then(() => assert.unreachable(), (error: Error) => assert.is(error.message, 'enough'));
  assert.is(steps, 1);
});

if (gpu.reason === undefined) {
  test('a step on webgpu, against the reference and against cpu', async () => {
    const { device: webgpu } = gpu;
    assert.equal((await check(webgpu)).departures, []);
    assert.equal((await check(webgpu, cpu)).departures, []);
    let met = 0;
    const wrong = ([launch, ...rest]: CpuLaunch[]): CpuLaunch[] => [changed(launch, 11, { f32: 0.02 }), ...rest];
    const found = await spoilt('normalize', () => met++ === 1, wrong, () => check(webgpu, cpu));
    assert.equal(found.departures.map(({ op }) => op), ['normalize']);
  });
} else skip('a step on webgpu, against the reference and against cpu', gpu.reason);

test.after(() => {
  cpu.dispose();
  gpu.device?.dispose();
});
test.run();
