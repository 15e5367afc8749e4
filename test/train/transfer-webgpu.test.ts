// time limit: 180 s
/** Models of other systems' files, and what begins from them, on the webgpu device beside the cpu. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { checkpointFiles, loadModel, writeSafetensorsModel } from '../../src/formats/index.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { addHead, arraysToMXNet, cutAt, freeze, initialize, parseHead, upTo } from '../../src/nn/index.ts';
import { compile, wrap } from '../../src/fovea.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { checkStep } from '../../src/testing/index.ts';
import { EvaluationStep, checkFit, createNetwork, fit, predictLogits, preprocess } from '../../src/train/index.ts';
import type { FitOptions } from '../../src/train/index.ts';
import { range, spots, spotsFit } from '../support/training.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const { device: gpu, reason } = await openWebgpu();
const test = suiteUnless(reason, 'webgpu');
const cpu = await device('cpu', { threads: 2 });
const folder = mkdtempSync(join(tmpdir(), 'fovea-transfer-webgpu-'));

const data = spots(16);
const shape = { data: [1, 3, 16, 16] };
const whole = inceptionBNSmall({ classes: 2, width: 0.125 });
const values = initialize(whole, shape, { seed: 9 });
for (const [name, { data: x }] of values.auxiliary) x.forEach((_, i) => (x[i] = (name.endsWith('var') ? 0.5 : 0) + (i % 7) / 20));
const parameters = arraysToMXNet(values);
const normalization = { mean: [100, 100, 100], deviation: [50, 50, 50], window: 0 };

/** What is said of whole networks, in which ReLUs at zero flip: lengths within 1 %, a cosine of .9999. */
function assertAlike(got: ArrayLike<number>, wanted: ArrayLike<number>): void {
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a, (x, i) => x * b[i]).reduce((sum, x) => sum + x, 0);
  const [own, theirs] = [Math.sqrt(dot(got, got)), Math.sqrt(dot(wanted, wanted))];
  assert.is(got.length, wanted.length);
  assert.ok(theirs > 0 && Math.abs(own / theirs - 1) < 0.01, `lengths ${own}, ${theirs}`);
  assert.ok(dot(got, wanted) / own / theirs > 0.9999, `cosine ${dot(got, wanted) / own / theirs}`);
}

const formats: readonly (readonly [name: string, write: () => string])[] = [
  ['a checkpoint of MXNet', () => {
    for (const [name, bytes] of checkpointFiles(whole, parameters, { prefix: 'net', epoch: 1 })) writeFileSync(join(folder, name), bytes);
    return join(folder, 'net');
  }],
  ['a safetensors file', () => {
    writeFileSync(join(folder, 'net.safetensors'), writeSafetensorsModel(whole, parameters));
    return join(folder, 'net.safetensors');
  }],
];
for (const [format, write] of formats) {
  test(`${format}: every op as the reference says, all of it as on the cpu`, async () => {
    const { symbol, parameters: from } = await loadModel(write());
    const predict = async (on: Device): Promise<Float32Array> => {
      const network = createNetwork(symbol, data, { seed: 0, from });
      const step = new EvaluationStep({ network, device: on, normalization });
      const logits = await predictLogits(step, data, range(0, 16), { batch: 8, workers: 0 });
      step.dispose();
      network.dispose();
      return logits;
    };
    assertAlike(await predict(gpu), await predict(cpu));
    const { logits, variables, dispose } = createNetwork(symbol, data, { seed: 0, from });
    const run = compile((images: Tensor) => logits.apply(variables.all, { data: preprocess(images, normalization) }), { device: gpu });
    const images = new Uint8Array(4 * 16 * 16 * 3);
    for (let i = 0; i < 4; i++) data.readInto(i, images, i * 16 * 16 * 3);
    const { departures, ops } = await checkStep(run, [wrap(images, [4, 16, 16, 3], 'uint8')]);
    assert.equal(departures, []);
    assert.ok(ops.length > 5, 'ops were compared');
    run.dispose();
    dispose();
  });
}

test('a run on features of a frozen trunk trains, to the bits of one on images', async () => {
  const trunk = cutAt(whole, 'in4a_chconcat');
  const network = addHead(trunk, parseHead('8,relu,2'), shape);
  const options = (on: Device, more: Partial<FitOptions> = {}): FitOptions => spotsFit(data, {
    symbol: freeze(network, upTo(network, 'in4a_chconcat')), initialize: { from: parameters }, augment: 'none', epochs: 3, device: on, ...more,
  });
  const trained = async (on: Device, more: Partial<FitOptions> = {}) => {
    const result = await fit(options(on, more));
    const { arguments: learnt } = await result.parameters('learnt');
    const losses = result.history.map(({ objective }) => objective);
    const logits = await result.predict(data, range(0, data.length));
    result.dispose();
    return { learnt: new Map([...learnt].map(([name, { data: x }]) => [name, [...(x as Float32Array)]])), losses, logits: [...logits] };
  };
  let features = 0;
  const onGpu = await trained(gpu, { callbacks: { onFeatures: (done) => void (features = done) } });
  assert.is(features, data.length);
  assert.equal([...onGpu.learnt.keys()], ['head_fc1_weight', 'head_fc1_bias', 'head_fc2_weight', 'head_fc2_bias']);
  assert.ok(onGpu.losses[2] < onGpu.losses[0], `losses ${onGpu.losses}`);
  assert.equal(await trained(gpu, { cacheFeatures: false }), onGpu);
  const onCpu = await trained(cpu);
  assertAlike(onGpu.losses, onCpu.losses);
  assertAlike(onGpu.logits, onCpu.logits);
  const { departures } = await checkFit(options(gpu));
  assert.equal(departures, []);
});

test.after(() => {
  gpu.dispose();
  cpu.dispose();
  rmSync(folder, { recursive: true, force: true });
});
test.run();
if (reason !== undefined) cpu.dispose();
