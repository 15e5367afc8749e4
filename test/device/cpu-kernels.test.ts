// time limit: 300 s
/**
 * Kernels of the cpu device at sizes at which they cut their work into several tiles, blocks and splits, which the samples of the op
 * suite are too small for: against the float64 reference, in both WASM builds, bit for bit the same on 1, 2 and 4 threads.
 *
 * FOVEA_OPS chooses ops by name.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { cpu } from '../../src/device/cpu/index.ts';
import type { Device, HostData, Placed, Scratch, TensorType } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { hostArray } from '../../src/graph/leaves.ts';
import type { Attrs } from '../../src/graph/node.ts';
import type { HostTensor, Op } from '../../src/graph/op.ts';
import { getOp } from '../../src/graph/op.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { bounds, compare } from '../../src/testing/tolerance.ts';

const builds = [
  { name: 'SIMD', relaxedSimd: false },
  { name: 'relaxed SIMD', relaxedSimd: true },
];
const threadCounts = [1, 2, 4];
const devices: { name: string; devices: Device[] }[] = [];
for (const { name, relaxedSimd } of builds) {
  const made: Device[] = [];
  for (const threads of threadCounts) made.push(await cpu({ threads, relaxedSimd }));
  devices.push({ name, devices: made });
}

interface Case {
  readonly op: string;
  readonly inputs: readonly (readonly number[])[];
  readonly attrs: Attrs;
  /** Lowest values of inputs, where they are not -1. */
  readonly low?: readonly number[];
}

const window = (stride: number, padding: readonly number[], dilation = 1): Attrs =>
  ({ stride: [stride, stride], padding, dilation: [dilation, dilation] });
const same = (n: number): number[] => [n, n, n, n];

/** All three directions and the statistics of one convolution. */
function convolution(x: number[], filter: number[], stride: number, padding: number[], dilation = 1): Case[] {
  const attrs = window(stride, padding, dilation);
  const type = (shape: readonly number[]): TensorType => ({ shape, dtype: 'float32' });
  const [{ shape: y }] = getOp('conv2d').infer([type(x), type(filter)], { ...attrs, activation: 'none' });
  return [
    { op: 'conv2d', inputs: [x, filter, [filter[0]]], attrs: { ...attrs, activation: 'relu' } },
    { op: 'conv2dStats', inputs: [x, filter], attrs },
    { op: 'conv2dInputGrad', inputs: [y, filter], attrs: { ...attrs, inputShape: x } },
    { op: 'conv2dFilterGrad', inputs: [x, y], attrs: { ...attrs, filterShape: filter } },
  ];
}

const cases: Case[] = [
  ...convolution([3, 14, 14, 40], [36, 3, 3, 40], 1, same(1)),
  ...convolution([4, 16, 16, 32], [40, 3, 3, 32], 1, same(1)),
  // the smaller tile of minimal filtering: odd sizes, columns cut, a last panel and a last run of blocks that are short
  ...convolution([3, 15, 17, 36], [76, 3, 3, 36], 1, same(1)),
  ...convolution([2, 15, 13, 37], [33, 3, 3, 37], 1, [0, 1, 1, 0]),
  // both tiles with padding above that is not that on the left, and a number of blocks that leaves a group of rows short
  ...convolution([2, 18, 21, 36], [40, 3, 3, 36], 1, [0, 1, 1, 0]),
  ...convolution([2, 21, 19, 24], [30, 3, 3, 24], 2, same(1)),
  ...convolution([1, 9, 9, 70], [12, 3, 3, 70], 2, same(1)),
  ...convolution([5, 11, 11, 70], [50, 1, 1, 70], 1, same(0)),
  ...convolution([2, 47, 41, 3], [20, 7, 7, 3], 2, same(3)),
  ...convolution([2, 13, 17, 16], [24, 1, 7, 16], 1, [0, 0, 3, 3]),
  ...convolution([2, 15, 15, 20], [18, 3, 3, 20], 1, same(2), 2),
  ...convolution([1, 7, 7, 96], [300, 3, 3, 96], 1, same(1)),
  { op: 'matmul', inputs: [[130, 257], [257, 70]], attrs: { transposeA: false, transposeB: false } },
  { op: 'matmul', inputs: [[257, 130], [70, 257]], attrs: { transposeA: true, transposeB: true } },
  { op: 'sum', inputs: [[9, 31, 29, 20]], attrs: { axes: [0, 1, 2], keepDims: false } },
  { op: 'mean', inputs: [[6, 24, 24, 70]], attrs: { axes: [1, 2], keepDims: false } },
  { op: 'sum', inputs: [[300_001]], attrs: { axes: [0], keepDims: false } },
  { op: 'max', inputs: [[64, 40, 50]], attrs: { axes: [0, 2], keepDims: true } },
  { op: 'mean', inputs: [[500, 301]], attrs: { axes: [0, 1], keepDims: false } },
  { op: 'batchNorm', inputs: [[6, 33, 31, 37], [37], [37]], attrs: { epsilon: 1e-3, fixGamma: false, activation: 'relu' }, low: [5] },
  {
    op: 'batchNormReluGrad', inputs: [[6, 21, 31, 37], [6, 21, 31, 37], [37], [37], [37], [37]], attrs: { epsilon: 1e-3, fixGamma: false },
    low: [-1, -1, -1, 0.5],
  },
  { op: 'maxPool2d', inputs: [[3, 30, 30, 50]], attrs: { size: [3, 3], stride: [2, 2], padding: same(0), ceil: true } },
  { op: 'maxPool2dIndices', inputs: [[3, 30, 30, 50]], attrs: { size: [3, 3], stride: [2, 2], padding: same(1), ceil: true } },
  {
    op: 'avgPool2dGrad', inputs: [[3, 30, 30, 50]],
    attrs: { size: [3, 3], stride: [1, 1], padding: same(1), ceil: false, countPadding: true, inputShape: [3, 30, 30, 50] },
  },
  { op: 'softmax', inputs: [[3000, 11]], attrs: {} },
  { op: 'multiply', inputs: [[9, 40, 1, 50], [9, 1, 60, 1]], attrs: {} },
  { op: 'add', inputs: [[100_003], [100_003]], attrs: {} },
  { op: 'transpose', inputs: [[5, 70, 130]], attrs: { permutation: [0, 2, 1] } },
  { op: 'pad', inputs: [[4, 50, 50, 6]], attrs: { before: [0, 3, 0, 1], after: [0, 1, 2, 0], mode: 'constant', value: 0.5 } },
];

/** Places a value as it comes, or with odd offset and stride. */
function place(device: Device, { shape, dtype }: TensorType, odd: boolean): Placed {
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  const rows = sizeOf(shape) / channels;
  const stride = odd && rows > 1 ? channels + 3 : channels;
  const offset = odd ? 5 : 0;
  return { shape, dtype, buffer: device.allocate((offset + rows * stride) * bytesPerElement[dtype], 'value'), offset, rows, channels, stride };
}

function write(device: Device, v: Placed, data: HostData): void {
  const all = hostArray(v.dtype, v.buffer.bytes / bytesPerElement[v.dtype]);
  if (v.dtype === 'float32') all.fill(NaN);
  for (let r = 0; r < v.rows; r++) all.set(data.subarray(r * v.channels, (r + 1) * v.channels), v.offset + r * v.stride);
  device.write(v.buffer, 0, all);
}

async function read(device: Device, v: Placed): Promise<Float32Array | Uint8Array> {
  const bytes = await device.read(v.buffer, 0, v.buffer.bytes);
  const all = v.dtype === 'uint8' ? bytes : new Float32Array(bytes.buffer);
  const data = v.dtype === 'uint8' ? new Uint8Array(v.rows * v.channels) : new Float32Array(v.rows * v.channels);
  for (let r = 0; r < v.rows; r++) data.set(all.subarray(v.offset + r * v.stride, v.offset + r * v.stride + v.channels), r * v.channels);
  return data;
}

async function run(device: Device, op: Op, types: readonly TensorType[], attrs: Attrs, data: readonly HostData[], odd: boolean) {
  const lowering = op.kernels!.cpu!;
  const inputs = types.map((t) => place(device, t, odd));
  const outputs = op.infer(types, attrs).map((t) => place(device, t, odd));
  inputs.forEach((v, i) => write(device, v, data[i]));
  const sizes = lowering.scratch?.(inputs, outputs, attrs) ?? [];
  const scratch = sizes.map((bytes): Scratch => ({ buffer: device.allocate(bytes, 'scratch'), byteOffset: 0, bytes }));
  const launches = lowering.launches({ attrs, inputs, outputs, scratch });
  const program = await device.build(launches.map((launch) => ({ launch, node: op.name, flop: 0 })));
  await program.run();
  const results = await Promise.all(outputs.map((v) => read(device, v)));
  program.dispose();
  for (const v of [...inputs, ...outputs, ...scratch]) v.buffer.dispose();
  return results;
}

const chosen = process.env.FOVEA_OPS?.split(',');
for (const { op: name, inputs, attrs, low } of cases) {
  if (chosen?.includes(name) === false) continue;
  test(`${name} ${inputs.map((s) => `[${s.join(',')}]`).join(' ')} ${JSON.stringify(attrs)}`, async () => {
    const op = getOp(name);
    const stream = new PhiloxStream(5, name);
    const types = inputs.map((shape): TensorType => ({ shape, dtype: 'float32' }));
    const data = types.map(({ shape }, i) => {
      const from = low?.[i] ?? -1;
      return Float32Array.from({ length: sizeOf(shape) }, () => stream.uniform(from, from + 2));
    });
    const hosts = types.map((t, i): HostTensor => ({ ...t, data: Float64Array.from(data[i]) }));
    const outputs = op.infer(types, attrs);
    const references = op.reference!(hosts, attrs, outputs);
    const allowed = bounds(op, hosts, attrs, outputs, references);
    for (const build of devices) {
      for (const odd of [false, true]) {
        const [first, ...others] = await Promise.all(build.devices.map((device) => run(device, op, types, attrs, data, odd)));
        first.forEach((got, i) => {
          const { ratio, at, got: value, expected } = compare(got, references[i], allowed[i]);
          assert.ok(ratio <= 1, `${build.name}, output ${i}, element ${at}: ${value}, expected ${expected}: ${ratio} times what is allowed`);
          others.forEach((other, k) => {
            const equal = Buffer.compare(Buffer.from(got.buffer), Buffer.from(other[i].buffer)) === 0;
            assert.ok(equal, `${build.name}, output ${i}: ${threadCounts[k + 1]} threads give other bits than one`);
          });
        });
      }
    }
  });
}

test('a filter of more taps than the table of rows holds is refused', async () => {
  const [{ devices: [device] }] = devices;
  const types = [[1, 100, 100, 8], [4, 91, 91, 8]].map((shape): TensorType => ({ shape, dtype: 'float32' }));
  const data = types.map(({ shape }) => new Float32Array(sizeOf(shape)));
  const attrs = { ...window(1, same(0)), activation: 'none' };
  try {
    await run(device, getOp('conv2d'), types, attrs, data, false);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'conv2d: filters of 8281 taps, the cpu device takes at most 8192');
  }
});

test('a strided gradient of more channels than a group of rows has scratch for is refused', async () => {
  const [{ devices: [device] }] = devices;
  const types = [[1, 2, 2, 4], [4, 1, 1, 45_000]].map((shape): TensorType => ({ shape, dtype: 'float32' }));
  const data = types.map(({ shape }) => new Float32Array(sizeOf(shape)));
  try {
    await run(device, getOp('conv2dInputGrad'), types, { ...window(2, same(0)), inputShape: [1, 4, 4, 45_000] }, data, false);
    assert.unreachable('it was run');
  } catch (error) {
    assert.match((error as Error).message, 'conv2dInputGrad: 45000 channels, the cpu device takes at most 8192');
  }
});

test.after(() => {
  for (const build of devices) for (const device of build.devices) device.dispose();
});
test.run();
