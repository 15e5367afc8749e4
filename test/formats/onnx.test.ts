/** Exported models, run by onnxruntime: every operator and whole Inceptions give what they give here. */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import type { Checkpoint } from '../../src/formats/mxnet-params.ts';
import { exportOnnx } from '../../src/formats/onnx/export.ts';
import { translationOf } from '../../src/formats/onnx/operators.ts';
import type { Preprocessing } from '../../src/formats/preprocessing.ts';
import { inceptionBN, inceptionV3 } from '../../src/models/index.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import {
  chain, convolution, dropout, findOperator, fromMXNet, fullyConnected, group, internals, operatorNames, pooling, reshape,
} from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { holds } from '../support/conformance.ts';
import { throws } from '../support/errors.ts';
import { toNCHW } from '../support/mxnet.ts';
import { onnxruntimeAbsent, runOnnx } from '../support/onnxruntime.ts';
import { data, image, matrix, of, operatorUses, parametersOf } from '../support/operator-uses.ts';
import type { Inputs } from '../support/operator-uses.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

process.env.FOVEA_RUNNERS ??= 'cpu';
const [runner] = (await runners()).present;

const common = { source: 'onnxruntime 1.30, exported models', measure: 'of the largest value', runner: runner.name };

/** Both on the same inputs; asserts names and shapes, and gives each output's largest difference over its largest value. */
async function compare(symbol: ModelSymbol, inputs: Inputs, options: { positive?: boolean; freeBatch?: boolean; batch?: number } = {}): Promise<number[]> {
  const parameters = parametersOf(symbol, inputs);
  const model = exportOnnx(symbol, parameters, { inputs, freeBatch: options.freeBatch });
  const stream = new PhiloxStream(3, 'inputs');
  const given: Record<string, HostArray> = {};
  for (const [name, shape] of Object.entries(inputs)) {
    const actual = options.batch === undefined ? [...shape] : [options.batch, ...shape.slice(1)];
    const data = Float32Array.from({ length: actual.reduce((n, d) => n * d, 1) }, () => stream.uniform(options.positive ? 0.25 : -2, 2));
    given[name] = { shape: actual, dtype: 'float32', data };
  }
  const memory = Object.entries(given).map(([name, array]) => [name, fromMXNet(array)] as const);
  const tensors = Object.fromEntries(memory.map(([name, a]) => [name, wrap(a.data as Float32Array, a.shape, 'float32')]));
  const all = new Map([...parameters.arguments, ...parameters.auxiliary].map(([name, array]) => {
    const { data, shape } = fromMXNet(array);
    return [name, wrap(data as Float32Array, shape, 'float32')];
  }));
  const outputs = symbol.applyAll(all, tensors);
  const shapes = outputs.map((t) => t.shape);
  const mine = await runner.evaluate(outputs);
  const theirs = await runOnnx(model, given as Record<string, { shape: readonly number[]; data: Float32Array }>);
  assert.equal([...theirs.keys()], symbol.listOutputs());
  return [...theirs.values()].map((theirsOf, i) => {
    const got = toNCHW(mine[i], shapes[i]);
    assert.equal([...theirsOf.dims], shapes[i].length === 4 ? [0, 3, 1, 2].map((axis) => shapes[i][axis]) : [...shapes[i]], symbol.listOutputs()[i]);
    const largest = got.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    return got.reduce((m, v, k) => Math.max(m, Math.abs(v - theirsOf.data[k])), 0) / Math.max(largest, 1e-30);
  });
}

test('every operator is exported, and every one is tried here', () => {
  const tried = new Set(operatorUses.flatMap(({ symbol }) => symbol.nodes.map((n) => n.op)));
  for (const name of operatorNames()) {
    const { name: own } = findOperator(name, 'any');
    assert.type(translationOf(own), 'function');
    assert.ok(tried.has(own), `${own} is not tried`);
  }
});

test('what is to be done to images goes into the metadata, a mean image bit for bit', () => {
  const symbol = chain('data', convolution({ kernel: [3, 3], numFilter: 2, name: 'conv' }));
  const inputs = { data: [1, 3, 80, 60] };
  const metadata = (preprocessing?: Preprocessing): Record<string, string> => {
    const reader = new BinaryReader(exportOnnx(symbol, parametersOf(symbol, inputs), { inputs, preprocessing }));
    const out: Record<string, string> = {};
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field !== 14) {
        reader.skip(type, field);
        continue;
      }
      const entry = new BinaryReader(reader.bytes());
      const texts: string[] = [];
      while (entry.pos < entry.len) texts[entry.tag()[0]] = entry.string();
      out[texts[1]] = texts[2];
    }
    return out;
  };
  assert.equal(metadata(), {});
  assert.equal(metadata({ mean: [1, 2, 3], deviation: [4, 5, 6.5], size: [80, 60] }), { mean: '(1, 2, 3)', deviation: '(4, 5, 6.5)', size: '(80, 60)' });
  const meanImage: HostArray = { shape: [3, 80, 60], dtype: 'float32', data: Float32Array.from({ length: 3 * 80 * 60 }, (_, i) => 100 + i / 7) };
  const { mean_image: text, ...others } = metadata({ mean: [0, 0, 0], deviation: [1, 1, 1], meanImage });
  assert.equal(others, { mean: '(0, 0, 0)', deviation: '(1, 1, 1)', mean_image_shape: '(3, 80, 60)' });
  assert.ok(Buffer.from(meanImage.data.buffer).equals(Buffer.from(text, 'base64')));
});

if (onnxruntimeAbsent !== undefined) {
  for (const title of ['operators', 'Inception-BN', 'Inception v3']) skip(`${title} in onnxruntime`, onnxruntimeAbsent);
} else {
  for (const { title, symbol, inputs, positive } of operatorUses) {
    test(`${title} in onnxruntime`, async () => {
      for (const error of await compare(symbol, inputs, { positive })) holds({ ...common, fixture: 'every operator', error, tolerance: 5e-6 }, title);
    });
  }

  test('several outputs, layers passed through, a batch of another length', async () => {
    const trunk = chain('data', convolution({ kernel: [3, 3], numFilter: 4, name: 'conv' }), dropout({ name: 'drop' }));
    const head = chain(trunk, pooling({ globalPool: true, poolType: 'avg', name: 'pool' }),
      reshape({ shape: [0, -1], name: 'flat' }), fullyConnected({ numHidden: 3, name: 'fc' }));
    for (const off of await compare(group(head, trunk, internals(head).conv_output), image, { batch: 5 })) assert.ok(off <= 5e-6, `off by ${off}`);
  });

  for (const [title, symbol, side] of [
    ['Inception-BN', inceptionBN(), 224], ["Inception v3 as Keras'", inceptionV3(), 299],
    ["Inception v3 as torchvision's", inceptionV3({ variant: 'torchvision' }), 299], ["Inception v3 as MXNet's", inceptionV3({ variant: 'mxnet' }), 299],
  ] as const) {
    test(`${title} in onnxruntime`, async () => {
      const features = internals(symbol).global_pool_output;
      const [probabilities, pooled] = await compare(group(symbol, features), { data: [1, 3, side, side] });
      holds({ ...common, fixture: `${title}, features`, error: pooled, tolerance: 3e-5 }, 'features');
      holds({ ...common, fixture: `${title}, probabilities`, error: probabilities, tolerance: 3e-5 }, 'probabilities');
    });
  }
}

/** The name of the free axis, as ONNX's files have it: a field of its own, one byte long. */
const statesFree = (model: Uint8Array): boolean => Buffer.from(model).includes(Buffer.from([0x12, 1, 0x4e]));

test('a batch that a layer has built in is fixed, and refused where it is to be free', () => {
  const export_ = (codes: number[], freeBatch?: boolean): Uint8Array => {
    const symbol = chain('data', reshape({ shape: codes, name: 'flat' }), fullyConnected({ numHidden: 3, name: 'fc' }));
    const inputs = { data: [4, 3, 2, 2] };
    return exportOnnx(symbol, parametersOf(symbol, inputs), { inputs, freeBatch });
  };
  assert.ok(statesFree(export_([0, -1])));
  assert.ok(statesFree(export_([-1, 12], true)), 'what is left is the batch, whatever it is');
  assert.not.ok(statesFree(export_([0, -1], false)));
  for (const codes of [[4, 12], [-3, 4], [2, -1]]) {
    assert.not.ok(statesFree(export_(codes)), String(codes));
    throws(() => export_(codes, true), OptionError, /^freeBatch: .*(flat|fc).*the model is one of the batch given$/);
  }
});

test('inputs that are missing or no shapes are asked for by name', () => {
  const symbol = chain('data', fullyConnected({ numHidden: 3, name: 'fc' }));
  const parameters = parametersOf(symbol, { data: [2, 5] });
  throws(() => exportOnnx(symbol, parameters, {} as never), OptionError, /^inputs: expected the shapes of data, as in \{ data: \[1, 3, 224, 224\] \}/);
  throws(() => exportOnnx(symbol, parameters, { inputs: {} }), OptionError, /neither inputs nor parameters have "data": inputs has shapes/);
  throws(() => exportOnnx(symbol, parameters, { inputs: { data: 5 } as never }), OptionError, /inputs\.data: expected lengths of axes.*got 5/);
});

test('what cannot be exported is refused by the layer\'s name', () => {
  const none: Checkpoint = { arguments: new Map(), auxiliary: new Map() };
  throws(() => exportOnnx(of('Cast', { dtype: 'int32' })(data), none, { inputs: matrix }), OptionError, /layer "layer" \(Cast\): dtype int32 is not exported/);
  throws(() => exportOnnx(of('Dropout', { mode: 'always' })(data), none, { inputs: matrix }), OptionError, /layer "layer" \(Dropout\): mode "always"/);
  throws(() => exportOnnx(fullyConnected(data, { numHidden: 2, name: 'fc' }), none, { inputs: matrix }), OptionError, /"fc_weight"/);
});

test.run();
