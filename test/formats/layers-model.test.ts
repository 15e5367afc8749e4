/** Layers models of TensorFlow.js: files as they are stored, and what TensorFlow.js itself computes with them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installCommand, load, locate } from '../../bench/peers/install.ts';
import { toHalfBits } from '../../src/device/half.ts';
import { FormatError } from '../../src/errors.ts';
import { dequantize, readLayersModel, writeLayersModel } from '../../src/formats/layers-model.ts';
import type { LayersModel, StoredWeight } from '../../src/formats/layers-model.ts';
import { loadModel } from '../../src/formats/load-model.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { createVariables, initialize } from '../../src/nn/parameters.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { rejects } from '../support/errors.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

process.env.FOVEA_RUNNERS ??= 'cpu';
const [runner] = (await runners()).present;
const file = 'model.json';

function bytes(weights: StoredWeight[]): Uint8Array {
  return Buffer.concat(weights.map(({ array: { data } }) => Buffer.from(data.buffer)));
}

const stored: Record<string, StoredWeight> = {
  'a/kernel': { dtype: 'float32', quantization: { scale: 0.5, minimum: -3 }, array: { shape: [2, 2], dtype: 'uint8', data: Uint8Array.of(0, 1, 128, 255) } },
  'a/bias': { dtype: 'float32', quantization: { scale: 1e-3, minimum: -30 }, array: { shape: [2], dtype: 'uint16', data: Uint16Array.of(0, 65535) } },
  'b/kernel': { dtype: 'float32', array: { shape: [1, 3], dtype: 'float16', data: toHalfBits([1.5, -2, 65504], 'float16') } },
  'b/bias': { dtype: 'float32', array: { shape: [3], dtype: 'float32', data: Float32Array.of(-0, 1e-45, 3) } },
  'c/steps': { dtype: 'int32', quantization: { scale: 2.5, minimum: -4 }, array: { shape: [3], dtype: 'uint8', data: Uint8Array.of(0, 1, 3) } },
};
const manifest = [{
  paths: ['one', 'two', 'three'],
  weights: [
    { name: 'a/kernel', shape: [2, 2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -3 } },
    { name: 'a/bias', shape: [2], dtype: 'float32', quantization: { dtype: 'uint16', scale: 1e-3, min: -30 } },
    { name: 'b/kernel', shape: [1, 3], dtype: 'float32', quantization: { dtype: 'float16', original_dtype: 'float32' } },
  ],
}, {
  paths: ['four'],
  weights: [{ name: 'b/bias', shape: [3], dtype: 'float32' },
    { name: 'c/steps', shape: [3], dtype: 'int32', quantization: { dtype: 'uint8', scale: 2.5, min: -4 } }],
}];
const first = bytes([stored['a/kernel'], stored['a/bias'], stored['b/kernel']]);
const shards: Record<string, Uint8Array> = {
  // Weights lie across shards.
  one: first.subarray(0, 3), two: first.subarray(3, 3), three: first.subarray(3), four: bytes([stored['b/bias'], stored['c/steps']]),
};
const topology = { class_name: 'Sequential', config: { layers: [] } };
const json = (change: object = {}): string => JSON.stringify({ format: 'layers-model', modelTopology: topology, weightsManifest: manifest, ...change });
const reads = (text: string, from = shards): Promise<LayersModel> => readLayersModel(text, async (name) => from[name], { file });

test('every kind of quantisation, weights across shards', async () => {
  const { weights } = await reads(json());
  const values = Object.fromEntries([...weights].map(([name, weight]) => [name, [...dequantize(weight).data]]));
  assert.equal(values, {
    'a/kernel': [-3, -2.5, 61, 124.5], 'a/bias': [-30, Math.fround(35.535)], 'b/kernel': [1.5, -2, 65504],
    'b/bias': [-0, Math.fround(1e-45), 3], 'c/steps': [-4, -1, 4],
  });
});

test('written as it is stored, it is read the same, bit for bit', async () => {
  const model = await reads(json());
  const written = writeLayersModel(model);
  const again = await readLayersModel(written.json, async (name) => written.shards.get(name)!, { file });
  assert.equal(again.topology, model.topology);
  assert.equal([...again.weights.keys()], [...model.weights.keys()]);
  for (const [name, { array, dtype, quantization }] of model.weights) {
    const got = again.weights.get(name)!;
    assert.equal([got.dtype, got.quantization, [...got.array.shape], got.array.dtype], [dtype, quantization, [...array.shape], array.dtype]);
    assert.ok(Buffer.from(got.array.data.buffer).equals(Buffer.from(array.data.buffer)), name);
  }
  assert.equal(writeLayersModel(again), written);
});

const withWeight = (change: object): string =>
  json({ weightsManifest: [{ paths: ['four'], weights: [{ name: 'b/bias', shape: [6], dtype: 'float32', ...change }] }] });
for (const [what, text, says] of [
  ['no JSON', '{', /not JSON/],
  ['a graph model', json({ format: 'graph-model' }), /format: "graph-model" is not read.*--output_format tfjs_layers_model/],
  ['no topology', json({ modelTopology: null }), /modelTopology: expected/],
  ['a shard outside its folder', json({ weightsManifest: [{ paths: ['../x'], weights: [] }] }),
    /weightsManifest\[0\]\.paths\[0\]: expected the name of a file/],
  ['a weight that is too long', withWeight({ shape: [1e9] }),
    /weights "b\/bias", float32 \[1000000000\], byte 0 of four: truncated: 4000000000 bytes wanted, 15 left/],
  ['bytes of no weight', withWeight({ shape: [1] }), /weightsManifest: 11 bytes of four belong to no weight/],
  ['an unknown dtype', withWeight({ dtype: 'complex64' }), /weightsManifest\[0\]\.weights\[0\]\.dtype: expected one of.*"complex64"/],
  ['an unknown quantisation', withWeight({ quantization: { dtype: 'int4', scale: 1, min: 0 } }), /quantization\.dtype: expected one of.*"int4"/],
  ['a quantisation without a scale', withWeight({ shape: [15], quantization: { dtype: 'uint8', min: 0 } }),
    /quantization\.scale: expected a number, got nothing/],
  ['a negative length', withWeight({ shape: [-1] }), /shape: expected whole numbers, got \[-1\]/],
  ['a name twice', json({ weightsManifest: [...manifest, manifest[1]] }), /weightsManifest\[2\]\.weights\[0\]\.name: "b\/bias" occurs twice/],
] as const) {
  test(`${what}: refused with file and field`, () => rejects(() => reads(text), FormatError, new RegExp(`^model\\.json: .*${says.source}`, 's')));
}

// ---- against TensorFlow.js

interface Artifacts {
  readonly modelTopology: unknown;
  readonly weightSpecs: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[];
  readonly weightData: ArrayBuffer;
}
/** What is used of TensorFlow.js, whose own types are not installed with Fovea. */
interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  sequential(): TfModel & { add(layer: object): void };
  model(options: object): TfModel;
  input(options: object): object;
  layers: Record<string, (options: object) => { apply(input: unknown): object }>;
  io: { withSaveHandler(save: (artifacts: Artifacts) => Promise<object>): unknown; fromMemory(artifacts: object): unknown };
  loadLayersModel(handler: unknown): Promise<TfModel>;
}
interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
}
interface TfModel {
  predict(x: TfTensor): TfTensor;
  save(handler: unknown): Promise<object>;
  getWeights(): { readonly shape: readonly number[] }[];
  setWeights(weights: TfTensor[]): void;
}

/** Models by name: made by TensorFlow.js, for images of 13 x 10. */
const models: Record<string, (tf: Tfjs) => TfModel> = {
  'a chain: "same" and "valid", strides, batch norms, flattened': (tf) => {
    const { layers: l } = tf;
    const model = tf.sequential();
    for (const layer of [
      l.conv2d({ inputShape: [13, 10, 3], filters: 6, kernelSize: [3, 2], strides: 2, padding: 'same', activation: 'relu' }),
      l.batchNormalization({ scale: false, epsilon: 1e-2 }),
      l.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
      l.conv2d({ filters: 5, kernelSize: 2, padding: 'same', useBias: false }),
      l.batchNormalization({ center: false }),
      l.activation({ activation: 'tanh' }),
      l.flatten({}),
      l.dense({ units: 7, activation: 'elu' }),
      l.dropout({ rate: 0.5 }),
      l.dense({ units: 4, activation: 'softmax', useBias: false }),
    ]) model.add(layer);
    return model;
  },
  'branches: concatenated, added, averaged, padded': (tf) => {
    const { layers: l } = tf;
    const x = tf.input({ shape: [13, 10, 3] });
    const a = l.conv2d({ filters: 4, kernelSize: 3, strides: [2, 2], padding: 'valid', name: 'first' })
      .apply(l.zeroPadding2d({ padding: [[1, 2], [0, 3]] }).apply(x));
    const b = l.leakyReLU({ alpha: 0.1 }).apply(a);
    const c = l.averagePooling2d({ poolSize: 3, strides: 1, padding: 'same' }).apply(b);
    const d = l.reLU({ maxValue: 1.5 }).apply(l.add({}).apply([b, c, a]));
    const joined = l.concatenate({}).apply([d, c, l.multiply({}).apply([a, c])]);
    const pooled = l.averagePooling2d({ poolSize: 2, strides: 2, padding: 'same' }).apply(joined);
    const both = [l.globalAveragePooling2d({}).apply(pooled), l.globalMaxPooling2d({}).apply(pooled)];
    return tf.model({ inputs: x, outputs: l.dense({ units: 3, activation: 'sigmoid' }).apply(l.concatenate({}).apply(both)) });
  },
  'images to images: dilated, softmax over channels': (tf) => {
    const { layers: l } = tf;
    const model = tf.sequential();
    model.add(l.conv2d({ inputShape: [null, null, 3], filters: 4, kernelSize: 3, dilationRate: 2, padding: 'same', activation: 'softplus' }));
    model.add(l.conv2d({ filters: 5, kernelSize: 1, activation: 'softmax' }));
    return model;
  },
};

/** The weights as bytes of `dtype` with a scale and a minimum of their own, as TensorFlow's converter makes them. */
function quantized(array: HostArray, dtype: 'uint8' | 'uint16' | 'float16' | 'float32'): StoredWeight {
  const values = array.data as Float32Array;
  if (dtype === 'float32') return { array, dtype: 'float32' };
  if (dtype === 'float16') return { array: { ...array, dtype, data: toHalfBits(values, 'float16') }, dtype: 'float32' };
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const scale = (most - least) / (dtype === 'uint8' ? 255 : 65535) || 1;
  const steps = Array.from(values, (v) => Math.round((v - least) / scale));
  const data = dtype === 'uint8' ? Uint8Array.from(steps) : Uint16Array.from(steps);
  return { array: { ...array, dtype, data }, dtype: 'float32', quantization: { scale, minimum: least } };
}

const absent = locate('@tensorflow/tfjs') === undefined ? `@tensorflow/tfjs is not installed: ${installCommand}` : undefined;
for (const [title, make] of Object.entries(models)) {
  const name = `TensorFlow.js computes the same: ${title}`;
  if (absent !== undefined) {
    skip(name, absent);
    continue;
  }
  test(name, async () => {
    const warn = console.warn;
    console.warn = () => undefined;
    const tf = await load<Tfjs>('@tensorflow/tfjs');
    console.warn = warn;
    await tf.setBackend('cpu');
    const model = make(tf);
    const stream = new PhiloxStream(7, title);
    // Variances must be positive: all weights are.
    model.setWeights(model.getWeights().map(({ shape }) =>
      tf.tensor(Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () =>
      stream.uniform(0.1, 0.9) - (shape.length > 1 ? 0.5 : 0)), shape)));
    let artifacts: Artifacts | undefined;
    await model.save(tf.io.withSaveHandler(async (a) => {
      artifacts = a;
      return { modelArtifactsInfo: {} };
    }));
    let at = 0;
    const floats = new Map(artifacts!.weightSpecs.map(({ name: key, shape }) => {
      const size = shape.reduce((n, d) => n * d, 1);
      const data = new Float32Array(artifacts!.weightData.slice(at, (at += size * 4)));
      return [key, { shape, dtype: 'float32', data } satisfies HostArray];
    }));
    const image = Float32Array.from({ length: 2 * 13 * 10 * 3 }, () => stream.uniform(-1, 1));
    for (const dtype of ['float32', 'uint8', 'uint16', 'float16'] as const) {
      const weights = new Map([...floats].map(([key, array]) => [key, quantized(array, dtype)]));
      const written = writeLayersModel({ topology: artifacts!.modelTopology, weights });
      const { modelTopology, weightsManifest: [{ weights: weightSpecs }] } = JSON.parse(written.json) as
        { modelTopology: object; weightsManifest: { weights: object[] }[] };
      const [shard] = written.shards.values();
      const theirs = (await tf.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData: shard.buffer }))
        ).predict(tf.tensor(image, [2, 13, 10, 3]));
      const loaded = await loadModel('m/model.json', {
        files: {
          read: async (path) => (path === 'm/model.json' ? Buffer.from(written.json) : written.shards.get(path.slice(2))!),
          list: async () => undefined },
      });
      const { all } = createVariables(loaded.symbol, initialize(loaded.symbol, { data: [2, 3, 13, 10] }, { seed: 1, from: loaded.parameters }));
      const output = loaded.symbol.apply(all, wrap(image, [2, 13, 10, 3], 'float32'));
      const { shape } = output;
      const [mine] = await runner.evaluate([output]);
      assert.equal([...shape], [...theirs.shape]);
      const off = (await theirs.data()).reduce((m, v, i) => Math.max(m, Math.abs(v - mine[i])), 0);
      assert.ok(off <= 2e-6, `${dtype}: off by ${off}`);
    }
  });
}

const layer = (className: string, config: object = {}): string => JSON.stringify({
  modelTopology: {
    class_name: 'Sequential',
    config: { layers: [
      { class_name: 'InputLayer', config: { name: 'in', batch_input_shape: [null, 8, 8, 3] } }, { class_name: className, config: { name: 'mine', ...config } },
    ] },
  },
});
for (const [what, text, says] of [
  ['a class that is not known', layer('LSTM'), /layer "mine": Keras' LSTM is not supported; these are: Conv2D/],
  ['channels first', layer('MaxPooling2D', { data_format: 'channels_first' }), /data_format: expected "channels_last"/],
  ['groups', layer('Conv2D', { filters: 3, kernel_size: 3, groups: 3 }), /groups: expected 1: grouped convolutions/],
  ['an activation that is not known', layer('Activation', { activation: 'gelu' }), /activation: expected linear, relu.*"gelu"/],
  ['a weight that is missing', layer('Conv2D', { filters: 3, kernel_size: 3 }), /weightsManifest: no weights for "mine_weight"/],
  ['a kernel larger than the image', layer('Conv2D', { filters: 3, kernel_size: 30 }), /modelTopology: layer "mine" \(Convolution\): .*larger/],
] as const) {
  test(`${what}: refused with file and layer`, () => rejects(
    () => loadModel('model.json', { files: { read: async () => Buffer.from(text), list: async () => undefined } }),
      FormatError, new RegExp(`^model\\.json: .*${says.source}`, 's'),
  ));
}

test.run();
