// time limit: 300 s
// one Node is enough
/**
 * Convolutions on CUDA that normalize their image as they read it, and make the gradient of batch norm likewise (`cuda({ prologues: true })`), run in
 * software: a chain of them never writes what is normalized between two, nor the gradients there, and has the bits of the chain that does.
 */
import * as assert from 'uvu/assert';
import { compile, grad, tensor } from '../../src/fovea.ts';
import { batchNorm } from '../../src/ops/batch-norm.ts';
import { conv2d } from '../../src/ops/conv2d.ts';
import { maxPool2d } from '../../src/ops/max-pool2d.ts';
import { mean } from '../../src/ops/reduce.ts';
import { relu } from '../../src/ops/unary.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Device } from '../../src/device/types.ts';
import { cpu } from '../../src/device/cpu/index.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import type { CudaHostOptions } from '../support/cuda-host.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(await cudaHostAbsent(), 'prologues of convolutions in software');

const stream = new PhiloxStream(5, 'prologues');
const random = (...shape: number[]): Tensor =>
  tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.uniform(-1, 1)), shape);

/** Filters of three convolutions, 3x3 and 1x1 of odd counts and of whole vectors, biases that batch norm takes out, and what scales and shifts then. */
const image = random(2, 9, 7, 5);
const parameters = [
  random(24, 3, 3, 5), random(24), random(24), random(24), random(16, 3, 3, 24), random(16), random(16), random(16), random(7, 1, 1, 16), random(7),
  random(7), random(7),
];

/** The loss, its gradient by all parameters, and where `pooled` another reader of what is normalized first. */
function chain(pooled: boolean): (x: Tensor, ...given: Tensor[]) => Tensor[] {
  return (x, ...given) => {
    const unit = (v: Tensor, at: number, padding: number, stride = 1): Tensor => {
      const [filter, bias, gamma, beta] = given.slice(at);
      return relu(batchNorm(conv2d(v, filter, { bias, padding, stride }), gamma, beta).y);
    };
    const first = unit(x, 0, 1);
    const second = unit(first, 4, 1, 2);
    const last = unit(second, 8, 0);
    let loss = mean(last.mul(last));
    if (pooled) loss = loss.add(mean(maxPool2d(first, { size: 2, stride: 2 })));
    return [loss, ...grad(loss, given)];
  };
}

interface Ran {
  readonly data: Float32Array[];
  readonly rewrites: readonly string[];
}

async function run(device: Device, { pooled = false, mixed = false, recompute = false } = {}): Promise<Ran> {
  const compiled = compile(chain(pooled), { device, mixed, recompute });
  const results = await compiled(image, ...parameters);
  const data = await Promise.all(results.map((t) => t.data() as Promise<Float32Array>));
  const { rewrites } = compiled.programs[0];
  compiled.dispose();
  return { data, rewrites };
}

/** The same on the device with and without prologues, and the kernels that it was asked for with them. */
async function both(options: CudaHostOptions, how: Parameters<typeof run>[1] = {}): Promise<{ fused: Ran; plain: Ran; asked: string[] }> {
  const asked: string[] = [];
  const [without, having] = [
    await openCudaHost({ ...options, prologues: false }),
    await openCudaHost({ ...options, prologues: true, edit: (kernel, source) => (asked.push(kernel), source) }),
  ];
  const [plain, fused] = [await run(without, how), await run(having, how)];
  assert.is(having.fingerprint.prologues, true);
  assert.is(without.fingerprint.prologues, undefined);
  without.dispose();
  having.dispose();
  return { fused, plain, asked };
}

const fusions = ({ rewrites }: Ran): string[] => rewrites.filter((name) => /^normalize \+ conv2d|conv2d's gradients$/.test(name)).sort();
const gradients = Array.from({ length: 3 }, () => "batchNormReluGrad + conv2d's gradients");
const all = [
  ...gradients, 'normalize + conv2dBatchNormGrad', 'normalize + conv2dBatchNormGrad', 'normalize + conv2dStats', 'normalize + conv2dStats',
];

for (const [name, options, how] of [
  ['float32', {}, {}], ['TF32', { tf32: true }, {}], ['plain arithmetic', { rung: 'simt' }, {}], ['mixed precision', {}, { mixed: true }],
  ['plain arithmetic of mixed precision', { rung: 'simt' }, { mixed: true }], ['float32, computed again', {}, { recompute: true }],
] as const) {
  test(`a chain has the bits that it has without: ${name}`, async () => {
    const { fused, plain, asked } = await both(options, how);
    assert.equal(fusions(fused), all);
    assert.equal(fusions(plain), []);
    assert.ok(asked.includes('norm_constants'), 'nothing was normalized on its way');
    assert.not(asked.includes('norm_grad_apply'), 'a gradient was written');
    // what is normalized last is read by the loss
    fused.data.forEach((data, i) => assert.equal(data, plain.data[i], `result ${i}`));
    const isBias = (i: number): boolean => parameters[i].shape.length === 1 && i % 4 === 1;
    assert.ok(fused.data[0][0] > 0 && fused.data.slice(1).every((g, i) => g.some((v) => v !== 0) !== isBias(i)), 'nothing was compared');
  });
}

test('a chain agrees with the cpu device', async () => {
  const { fused } = await both({});
  const device = await cpu();
  const expected = await run(device);
  device.dispose();
  fused.data.forEach((data, i) => {
    const largest = Math.max(...expected.data[i].map(Math.abs));
    data.forEach((v, j) => assert.ok(Math.abs(v - expected.data[i][j]) <= 1e-4 * largest, `result ${i}, element ${j}: ${v}, ${expected.data[i][j]}`));
  });
});

test('what something else reads too is written, and read from there', async () => {
  const { fused, plain } = await both({}, { pooled: true });
  assert.equal(fusions(fused), [...gradients, 'normalize + conv2dBatchNormGrad', 'normalize + conv2dStats']);
  fused.data.forEach((data, i) => assert.equal(data, plain.data[i], `result ${i}`));
});
test.run();
