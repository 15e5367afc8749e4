// time limit: 600 s
// one Node is enough
/**
 * Each rung of the ladder by which CUDA computes products (src/ops/cuda/tiles.ts, hopper.ts), run in software: plain arithmetic, copies under
 * way, tensor cores in TF32 and float16, Hopper's copy engine and warpgroups. The suite has what a device takes by itself.
 *
 * FOVEA_OPS chooses ops by name, and leaves out the faults of the loop.
 */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { Sample } from '../../src/graph/op.ts';
import { getOp } from '../../src/fovea.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import { apply } from '../../src/tensor/tensor.ts';
import { checkForward, halfSamples, samplesOf } from '../../src/testing/check-op.ts';
import { placed, sampleValues } from '../../src/testing/inputs.ts';
import type { LayoutName } from '../../src/testing/inputs.ts';
import type { Device } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import type { CudaHostOptions } from '../support/cuda-host.ts';
import { half, halvesOf, large, relu } from '../support/cuda/hopper-samples.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(await cudaHostAbsent(), 'rungs of products in software');

const chosen = process.env.FOVEA_OPS?.split(',');
const isChosen = (name: string): boolean => chosen?.includes(name) ?? true;
const products = ['matmul', 'conv2d', 'conv2dNormalize', 'conv2dStats', 'conv2dInputGrad', 'conv2dFilterGrad'].filter(isChosen);
const some: readonly LayoutName[] = ['plain', 'odd'];

/** Opens a device, and gives besides the kernels that it was asked for. */
async function open(options: CudaHostOptions): Promise<{ device: Device; asked: Set<string> }> {
  const asked = new Set<string>();
  const device = await openCudaHost({ ...options, edit: (kernel, source) => (asked.add(`${kernel}\n${source}`), source) });
  return { device, asked };
}

async function pass(device: Device, name: string, samples: readonly Sample[], layouts = some): Promise<void> {
  const report = await checkForward(getOp(name), device, layouts, samples);
  assert.is(report.failures.length, 0, report.failures.slice(0, 5).join('\n'));
  assert.ok(report.checks > 0, 'nothing was compared');
}

for (const [rung, macro] of [['simt', 'ASYNC 0'], ['async', 'ASYNC 1']] as const) {
  for (const name of products) {
    test(`${name} on the rung ${rung}`, async () => {
      const { device, asked } = await open({ rung });
      await pass(device, name, samplesOf(getOp(name)));
      assert.ok([...asked].some((text) => text.includes(`#define ${macro}\n`)), `no kernel has ${macro}`);
      assert.not([...asked].some((text) => text.includes('#define MATH 1\n') || text.includes('#define MATH 2\n')), 'a kernel for tensor cores');
      device.dispose();
    });
  }
}

/** The same with values that TF32 has, so that products are exact and the rule for float32 holds. */
function exact(sample: Sample, name: string): Sample {
  const word = new Uint32Array(1), number = new Float32Array(word.buffer);
  const cut = (v: number): number => {
    number[0] = v;
    word[0] &= 0xffffe000;
    return number[0];
  };
  return { ...sample, inputs: sample.inputs.map((t, i) => (t.dtype === 'float32' ? { ...t, values: Array.from(sampleValues(t, name, i), cut) } : t)) };
}

for (const name of products) {
  test(`${name} in TF32`, async () => {
    const { device, asked } = await open({ tf32: true });
    await pass(device, name, samplesOf(getOp(name)).map((sample) => exact(sample, name)));
    assert.ok([...asked].some((text) => text.includes('#define MATH 1\n')), 'no kernel computes in TF32');
    device.dispose();
  });
}

test('TF32 rounds float32 to the nearest, ties away from zero', async () => {
  const { device } = await open({ tf32: true });
  // 1 + 2^-11 is a tie, which goes to 1 + 2^-10; what is below goes to 1.
  const values = [1 + 2 ** -11, 1 + 2 ** -11 - 2 ** -23, -1 - 2 ** -11, 1 + 3 * 2 ** -11];
  const a = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 65 === 0 ? values[i / 65 % 4] : 0));
  const b = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 65 === 0 ? 1 : 0));
  const input = { shape: [64, 64], dtype: 'float32' as const };
  const [y] = apply(getOp('matmul'), [placed(a, input, 'plain'), placed(b, input, 'plain')], { transposeA: false, transposeB: false });
  const [got] = await evaluate([y.value], device);
  const rounded = [1 + 2 ** -10, 1, -1 - 2 ** -10, 1 + 2 * 2 ** -10];
  assert.equal([...got].filter((_, i) => i % 65 === 0), Array.from({ length: 64 }, (_, i) => rounded[i % 4]));
  device.dispose();
});

/** Kernels that each has to ask for, with a macro of theirs. */
const wanted: Readonly<Record<string, readonly [kernel: string, ...macros: string[]][]>> = {
  matmul: [[true, true], [true, false], [false, false], [false, true]].map(([left, right]) =>
    ['gemm_hopper', `LEFT_ROWS ${left ? 1 : 0}`, `RIGHT_ROWS ${right ? 1 : 0}`] as const),
  conv2d: [['gemm_hopper', 'STATS 0'], ['conv_hopper', 'RIGHT_ROWS 1']],
  conv2dNormalize: [['gemm_hopper', 'NORM 1'], ['conv_hopper', 'NORM 1']],
  conv2dStats: [['gemm_hopper', 'STATS 1'], ['conv_hopper', 'STATS 1']],
  conv2dInputGrad: [['gemm_hopper', 'RIGHT_ROWS 0'], ['conv_hopper', 'RIGHT_ROWS 0'], ['conv_input_grad']],
  conv2dFilterGrad: [['gemm_hopper', 'LEFT_ROWS 0', 'YT float'], ['conv_filter_hopper', 'WT float']],
};

const hopper = { capability: 90, rung: 'hopper' } as const;
for (const dtype of ['float16', 'bfloat16'] as const) {
  for (const [name, samples] of Object.entries(large).filter(([name]) => isChosen(name))) {
    test(`${name} in ${dtype} on Hopper's rung`, async () => {
      const { device, asked } = await open(hopper);
      // Of the second type the samples that differ least would say nothing more.
      const own = dtype === 'float16' ? samples : samples.filter((_, i) => i % 2 === 0).map((sample) => halvesOf(sample, dtype));
      await pass(device, name, own, ['plain']);
      // Of these none is refused, but that strided input gradients are another rung's.
      const kernels = new Set([...asked].map((text) => text.slice(0, text.indexOf('\n'))));
      const others = [...kernels].filter((kernel) => !/_hopper$|^(copy|sum_runs|norm_combine|norm_constants)$/.test(kernel));
      assert.equal(others, name === 'conv2dInputGrad' ? ['conv_input_grad'] : []);
      await pass(device, name, halfSamples(getOp(name), dtype), ['plain']);
      for (const [kernel, ...macros] of dtype === 'float16' ? wanted[name] : []) {
        const found = [...asked].some((text) => text.startsWith(`${kernel}\n`) && macros.every((macro) => text.includes(`#define ${macro}\n`)));
        assert.ok(found, `${kernel} was not asked for with ${macros.join(', ')}`);
      }
      device.dispose();
    });
  }
}

/** Faults in the loop of Hopper's rung, and what is said of each. */
const faults: Readonly<Record<string, readonly [from: string, to: string, says: RegExp]>> = {
  'a producer that waits for the wrong phase': [
    'ring.parity ^ 1u)', 'ring.parity)',
    /deadlock: threads 0 wait at an mbarrier of parity 0 in .*threads 128 to 383 wait at an mbarrier of parity 0/,
  ],
  'consumers that wait for the wrong phase': [
    'await(place.full(ring.stage), ring.parity);', 'await(place.full(ring.stage), ring.parity ^ 1u);',
    /deadlock|which is not waited for|a race in/,
  ],
  'consumers that do not wait': ['await(place.full(ring.stage), ring.parity);', '', /not waited for|a race in shared memory/],
  'a producer that does not wait':
    ['await(place.empty(ring.stage), ring.parity ^ 1u);', '', /not waited for|a race in shared memory|more arrivals/],
  'panels that are given back while they are read':
    ['waitProducts<1>();', 'waitProducts<4>();', /memory of an operand.* not waited for|not waited for|a race in/],
  'a phase that expects too few bytes': [
    'arriveExpecting(place.full(ring.stage), PANEL_BYTES)', 'arriveExpecting(place.full(ring.stage), PANEL_BYTES / 2)',
    /deadlock|not waited for|a race in shared memory/,
  ],
  'barriers that the copy engine is not told of': ['publishBarriers();', '', /tells an mbarrier that was not published/],
  'a barrier for fewer arrivals':
    ['initBarrier(place.empty(s), 8);', 'initBarrier(place.empty(s), 7);', /more arrivals|not waited for|a race in/],
  'a barrier for more arrivals': ['initBarrier(place.empty(s), 8);', 'initBarrier(place.empty(s), 9);', /deadlock/],
  'products without a fence': ['beginProducts();', '', /a product without wgmma.fence/],
  'products that are never waited for': ['waitProducts<0>();', '', /products under way|NaN|ended/],
  'copies of one operand into the other\'s panel': ['left(stage) + ROWS * STEPS * 2', 'left(stage)', /a race in shared memory|not waited for/],
  'panels that are not aligned to the swizzle': ['(shared + 1023u) & ~1023u', '(shared + 127u) & ~127u', /no multiple of 1024/],
};
const product = readFileSync(new URL('../../kernels/cuda/lib/hopper_product.cuh', import.meta.url), 'utf8');
for (const [name, [from, to, says]] of Object.entries(chosen === undefined ? faults : {})) {
  test(`reported on Hopper's rung: ${name}`, async () => {
    assert.ok(product.includes(from), `hopper_product.cuh has no ${from}`);
    const faulty = product.replace(from, to).replace('#pragma once', '');
    const device = await openCudaHost({ ...hopper, edit: (_kernel, source) => source.replace('#include "lib/hopper_product.cuh"', () => faulty) });
    const inputs = half([1, 10, 20, 1040], [120, 1, 1, 1040]);
    const values = inputs.map((input, i) => placed(Float32Array.from({ length: sizeOf(input.shape) }, (_, j) => (i + j) % 5), input, 'plain'));
    const [y] = apply(getOp('conv2d'), values, relu(1, [0, 0, 0, 0], 1));
    const told = await evaluate([y.value], device).then(([data]) => (data.some(Number.isNaN) ? 'NaN' : 'nothing'), (error: Error) => error.message);
    assert.match(told, says);
    device.dispose();
  });
}
test.run();
