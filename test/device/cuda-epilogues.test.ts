// time limit: 300 s
// one Node is enough
/**
 * Convolutions on CUDA whose result is normalized as it is stored, run in software: inference never writes what is convolved, and has the bits of
 * the chain that does, siblings merged or not.
 */
import * as assert from 'uvu/assert';
import { apply, compile, getOp, grad, tensor } from '../../src/fovea.ts';
import { cpu } from '../../src/device/cpu/index.ts';
import type { DType, Device } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import { concat } from '../../src/ops/concat.ts';
import { conv2d } from '../../src/ops/conv2d.ts';
import { normalize } from '../../src/ops/normalize.ts';
import { mean, sum } from '../../src/ops/reduce.ts';
import { relu } from '../../src/ops/unary.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { placed, sampleValues } from '../../src/testing/inputs.ts';
import { equalBits } from '../support/bits.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import type { CudaHostOptions } from '../support/cuda-host.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(await cudaHostAbsent(), 'epilogues of convolutions in software');

const stream = new PhiloxStream(7, 'epilogues');
const random = (low: number, ...shape: number[]): Tensor =>
  tensor(Float32Array.from({ length: sizeOf(shape) }, () => stream.uniform(low, 1)), shape);

/** A convolution's filter, and what normalizes its result: mean, variance, gamma, beta. */
const unit = (...filter: number[]): Tensor[] => [random(-1, ...filter), ...[-1, 0.2, 0.5, -1].map((low) => random(low, filter[0]))];
const image = random(-1, 2, 9, 7, 5);
const bias = random(-1, 24);
const parameters = [...unit(24, 3, 3, 5), ...unit(16, 3, 3, 24), ...unit(9, 1, 1, 16), ...unit(7, 1, 1, 16)];

type Step = (x: Tensor, ...given: Tensor[]) => Tensor[];

/** A net's results: two convolutions in a row, and two of one pixel that both read the second. With `asked` also all that is convolved. */
const chain = (asked: boolean): Step => (x, ...given) => {
  const convolved: Tensor[] = [];
  const layer = (v: Tensor, at: number, options: Parameters<typeof conv2d>[2], active = true): Tensor => {
    const [filter, ...vectors] = given.slice(5 * at);
    const y = conv2d(v, filter, options);
    convolved.push(y);
    const [m, variance, gamma, beta] = vectors;
    const normalized = normalize(y, m, variance, gamma, beta, { fixGamma: at === 1 });
    return active ? relu(normalized) : normalized;
  };
  const trunk = layer(layer(x, 0, { padding: 1, bias }), 1, { padding: 1, stride: 2 });
  const y = concat([layer(trunk, 2, {}), layer(trunk, 3, {})], 3);
  const behind = layer(x, 0, { padding: 1, bias }, false);
  return [y, behind, ...asked ? convolved : []];
};

interface Ran {
  readonly data: Float32Array[];
  readonly rewrites: readonly string[];
}

async function run(device: Device, step: Step): Promise<Ran> {
  const compiled = compile(step, { device });
  const results = await compiled(image, ...parameters);
  const data = await Promise.all(results.map((t) => t.data() as Promise<Float32Array>));
  const { rewrites } = compiled.programs[0];
  compiled.dispose();
  return { data, rewrites };
}

const count = ({ rewrites }: Ran, name: string): number => rewrites.filter((one) => one === name).length;
const fusions = (ran: Ran): number => count(ran, 'conv2d + normalize');

/** A device, and the texts of kernels that it was asked for. */
async function open(options: CudaHostOptions): Promise<{ device: Device; asked: string[] }> {
  const asked: string[] = [];
  return { device: await openCudaHost({ ...options, edit: (kernel, source) => (asked.push(`${kernel}\n${source}`), source) }), asked };
}

for (const [name, options] of [
  ['float32', {}], ['TF32', { tf32: true }], ['plain arithmetic', { rung: 'simt' }], ['copies', { rung: 'async' }],
  ['images normalized as they are read besides', { prologues: true }],
] as const) {
  test(`inference has the bits that it has where what is convolved is asked for: ${name}`, async () => {
    const { device, asked } = await open(options);
    const [fused, plain] = [await run(device, chain(false)), await run(device, chain(true))];
    assert.is(fusions(fused), 5);
    assert.is(count(fused, 'conv2dNormalize of one image'), 1);
    assert.is(fusions(plain), 0);
    for (const kernel of ['conv_forward', 'gemm']) {
      assert.ok(asked.some((text) => text.startsWith(`${kernel}\n`) && text.includes('#define NORM 1\n')), `${kernel} was not asked for with NORM`);
    }
    fused.data.forEach((data, i) => equalBits(data, plain.data[i], `result ${i}`));
    assert.ok(fused.data[0].some((v) => v > 0) && fused.data[0].includes(0), 'nothing was compared');
    device.dispose();
  });
}

test('inference agrees with the cpu device, which fuses no such thing', async () => {
  const { device } = await open({});
  const [got, expected] = [await run(device, chain(false)), await run(await cpu(), chain(false))];
  assert.is(fusions(expected), 0);
  got.data.forEach((data, i) => {
    const largest = Math.max(...expected.data[i].map(Math.abs));
    data.forEach((v, j) => assert.ok(Math.abs(v - expected.data[i][j]) <= 1e-5 * largest, `result ${i}, element ${j}: ${v}, ${expected.data[i][j]}`));
  });
  device.dispose();
});

test('what something else reads too is written, and normalized from there', async () => {
  const { device } = await open({});
  const step = (twice: boolean): Step => (x, filter, ...[m, variance, gamma, beta]) => {
    const y = conv2d(x, filter, { padding: 1 });
    return [normalize(y, twice ? mean(y, [0, 1, 2]) : m, variance, gamma, beta)];
  };
  assert.is(fusions(await run(device, step(false))), 1);
  const ran = await run(device, step(true));
  assert.is(fusions(ran), 0);
  device.dispose();
});

test('in training, layers that no gradient passes through have epilogues, those that one passes have none', async () => {
  const { device } = await open({});
  const trained = (from: number): Step => (x, ...given) => {
    const [y] = chain(false)(x, ...given);
    const loss = sum(y.mul(y));
    return [loss, ...grad(loss, given.slice(5 * from, 5 * from + 1))];
  };
  // Of the third, the gradient passes through its own normalization; the two below, and its sibling, are frozen.
  assert.is(fusions(await run(device, trained(2))), 3);
  assert.is(fusions(await run(device, trained(0))), 0);
  device.dispose();
});

/** Halves are rounded once: as without, where what is convolved is kept in float32. */
const halves: readonly [name: string, kernels: readonly string[], options: CudaHostOptions][] = [
  ['tensor', ['conv_forward', 'gemm'], {}], ['simt', ['conv_forward', 'gemm'], { rung: 'simt' }],
  ['hopper', ['conv_hopper', 'gemm_hopper'], { capability: 90, rung: 'hopper' }],
];
for (const [rung, kernels, options] of halves) {
  for (const dtype of ['float16', 'bfloat16'] as const) {
    test(`an epilogue of ${dtype} has the bits of float32 that is normalized: rung ${rung}`, async () => {
      const { device, asked } = await open(options);
      for (const filter of [[136, 3, 3, 40], [264, 1, 1, 40]]) {
        const given = (shape: number[], type: DType, at: number, low = -1): Tensor =>
          placed(sampleValues({ shape, dtype: type, low }, 'epilogue', at), { shape, dtype: type }, 'plain');
        const [x, w] = [given([2, 13, 11, 40], dtype, 0), given(filter, dtype, 1)];
        const vectors = [-1, 0.2, 0.5, -1].map((low, i) => given([filter[0]], 'float32', 2 + i, low));
        const added = given([filter[0]], 'float32', 6);
        const pad = (filter[1] - 1) / 2;
        const conv = { stride: [1, 1], padding: [pad, pad, pad, pad], dilation: [1, 1] };
        const how = { epsilon: 1e-3, fixGamma: false, activation: 'relu' };
        const [y] = apply(getOp('conv2d'), [x, w, added], { ...conv, activation: 'none', store: 'float32' });
        const [expected] = apply(getOp('normalize'), [y, ...vectors], { ...how, store: dtype });
        const [got] = apply(getOp('conv2dNormalize'), [x, w, ...vectors, added], { ...conv, normalize: how });
        assert.is(got.dtype, dtype);
        const [a, b] = await evaluate([got.value, expected.value], device);
        equalBits(a as Float32Array, b as Float32Array, `[${filter}]`);
        assert.ok(a.some((v) => v > 0), 'nothing was compared');
      }
      for (const kernel of kernels) {
        assert.ok(asked.some((text) => text.startsWith(`${kernel}\n`) && text.includes('#define NORM 1\n')), `${kernel} was not asked for with NORM`);
      }
      device.dispose();
    });
  }
}
test.run();
