// time limit: 900 s
/**
 * Every op that may store halves, on every device that has some: its samples with the device's half in place of float32, in all operands
 * and in some, results stored either way, under the rule of src/testing/tolerance.ts. The suite proper holds them to float32.
 *
 * FOVEA_HALF_RUNNERS chooses devices (default `webgpu,webgpu:lavapipe`; half-cuda.test.ts has CUDA), FOVEA_OPS ops by name.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import type { Device } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { DTypeError, DeviceError } from '../../src/errors.ts';
import { compile, concat, conv2d, grad, matmul, softmax, variable, wrap } from '../../src/index.ts';
import type { Tensor } from '../../src/index.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import type { Op, Sample } from '../../src/graph/op.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { checkForward, halfSamples } from '../../src/testing/check-op.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';
import { openWebgpu } from '../support/webgpu.ts';
import { halfLayouts, isElementwise, isMixtureTried } from './support/halves.ts';

const { present, absent } = await runners(process.env.FOVEA_HALF_RUNNERS ?? 'webgpu,webgpu:lavapipe');
const chosen = process.env.FOVEA_OPS?.split(',');
const ops = registeredOps().filter((op) => op.half !== undefined && (chosen?.includes(op.name) ?? true));
/**
 * Whether a software adapter, which takes long to compile, has to try the sample. Of the elementwise ops most are tried with float16 alone,
 * not in mixtures with float32. Of matrix ops: the rows kernels take seconds, the longer the more columns a thread computes; four columns show
 * each way of loading and storing, but for the few samples whose results are float32, which need eight. The suite in float32 has more,
 * and so have the kernels for hardware below.
 */
function isTried(op: Op, sample: Sample): boolean {
  const { inputs, attrs } = sample;
  if (isElementwise(op)) return isMixtureTried(op, sample);
  if (op.precision !== 'matrix') return true;
  const [{ shape }] = op.infer(inputs, attrs);
  const columns = op.name === 'conv2dFilterGrad' ? Math.max(shape[0], shape[3]) : shape[shape.length - 1];
  return columns <= (attrs.store === 'float32' ? 8 : 4) && sizeOf(shape) <= 1000;
}

function tryAll(name: string, device: Device, tried: readonly Op[], isSample: (op: Op, sample: Sample) => boolean = () => true): void {
  const samplesOf = (op: Op): Sample[] => halfSamples(op, device.half).filter((sample) => isSample(op, sample));
  for (const op of tried) {
    test(`${op.name} on ${name}: ${device.half}`, async () => {
      const report = await checkForward(op, device, halfLayouts(op), samplesOf(op));
      assert.is(report.failures.length, 0, `${report.failures.length}: ${report.failures.slice(0, 5).join('\n')}`);
      assert.ok(report.checks > 0, 'nothing was compared');
    });
  }
}

for (const { name, device } of present) {
  if (device!.half === undefined) absent.set(name, `${device!.name} has no shader-f16`);
  else if (!device!.name.includes('software')) tryAll(name, device!, ops);
  else tryAll(name, device!, ops, isTried);
}
for (const [name, why] of absent) skip(`halves on ${name}`, why);
// on a software adapter the kernels for hardware are tried by name
const hardware = await openWebgpu({ adapter: 'lavapipe', kernels: 'hardware' });
if (hardware.reason === undefined) tryAll('lavapipe, kernels for hardware', hardware.device, ops.filter((op) => op.precision === 'matrix'));
else skip('float16 in the kernels for hardware', hardware.reason);

test('what may not be float16 is refused by op and operand', () => {
  const half = (shape: readonly number[]): Tensor => wrap(new Float32Array(sizeOf(shape)), shape, 'float16');
  const whole = (shape: readonly number[]): Tensor => wrap(new Float32Array(sizeOf(shape)), shape, 'float32');
  assert.throws(() => softmax(half([2, 3])), (e: Error) => e instanceof DTypeError && e.message === 'softmax: x [2,3] is float16, expected float32');
  assert.throws(() => matmul(half([2, 3]), whole([3, 2])), /^matmul: b \[3,2\] is float32, expected float16$/);
  assert.throws(() => matmul(whole([2, 3]), half([3, 2])), /matmul: b \[3,2\] is float16, expected float32/);
  assert.throws(() => concat([half([2, 3]), whole([2, 3])]), /concat: x \[2,3\] is float32, expected float16/);
  assert.throws(() => conv2d(half([1, 4, 4, 2]), half([3, 1, 1, 2]), { bias: half([3]) }), /conv2d: bias \[3\] is float16, expected float32/);
  assert.throws(() => variable(0, [2], { dtype: 'float16', name: 'w' }), /variable "w" is float16/);
});

test('which dtype results have', () => {
  const half = wrap(Float32Array.of(1, 2), [2], 'float16');
  const whole = wrap(Float32Array.of(1, 2), [2], 'float32');
  assert.is(half.add(half).dtype, 'float16');
  assert.is(half.mul(2).dtype, 'float16');
  assert.is(half.add(whole).dtype, 'float32');
  assert.is(half.sum().dtype, 'float32');
  assert.is(half.greater(whole).dtype, 'bool');
  assert.is(half.reshape([1, 2]).dtype, 'float16');
  assert.is(grad(half.cast('float32').sum(), [half])[0].dtype, 'float16');
});

test('the cpu device has no float16 and says so', async () => {
  const cpu = await device('cpu');
  const x = wrap(Float32Array.of(1), [1], 'float32');
  await evaluate([x.cast('float16').add(1).cast('float32').value], cpu).then(() => assert.unreachable(), (error: Error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /op "cast" gives float16, which needs a WebGPU adapter with shader-f16 or a CUDA device, which cpu .* is not/);
  });
  assert.throws(() => compile((a: Tensor) => a.matmul(a), { mixed: true, device: cpu, name: 'step' }),
    /"step": mixed precision needs a WebGPU adapter with shader-f16 or a CUDA device, which cpu .* is not/);
});

test.run();
