// time limit: 60 s
/** Where convolutions are filtered minimally, on both devices, and that they say so: by shapes alone, without a device. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DType, GpuFeatures, Launch, Lowering, Placed, Shape } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import * as onCpu from '../../src/ops/cpu/conv.ts';
import { convFlop } from '../../src/ops/support/conv.ts';
import { conv2dFilterGradLowering } from '../../src/ops/webgpu/conv-filter-grad.ts';
import * as onWebgpu from '../../src/ops/webgpu/conv.ts';

/** Bytes that every WebGPU adapter can bind, by the specification. */
const leastBinding = 128 * 2 ** 20;

interface Case {
  /** [images, side, channels in, channels out] of a convolution 3x3 that keeps the side. */
  readonly sizes: readonly [number, number, number, number];
  readonly stride?: number;
  readonly dtype?: DType;
  readonly features?: GpuFeatures;
}

const ops = {
  conv2d: { cpu: onCpu.conv2dLowering, webgpu: onWebgpu.conv2dLowering, method: 'F(4x4,3x3)' },
  conv2dStats: { cpu: onCpu.conv2dStatsLowering, webgpu: onWebgpu.conv2dStatsLowering, method: 'F(2x2,3x3)' },
  conv2dInputGrad: { cpu: onCpu.conv2dInputGradLowering, webgpu: onWebgpu.conv2dInputGradLowering, method: 'F(4x4,3x3)' },
  conv2dFilterGrad: { cpu: onCpu.conv2dFilterGradLowering, webgpu: conv2dFilterGradLowering, method: 'F(4x4,3x3)' },
} as const;
type Name = keyof typeof ops;

/** What a lowering says of itself, what it launches, and the scratch that it asks for. */
function lowered(name: Name, device: 'cpu' | 'webgpu', { sizes: [n, side, c, k], stride = 1, dtype = 'float32', features }: Case) {
  const lowering = ops[name][device] as unknown as Lowering<object, Launch>;
  const place = (shape: Shape, type: DType = 'float32'): Placed => {
    const channels = shape[shape.length - 1];
    const buffer = { bytes: 4 * sizeOf(shape), label: name, dispose: () => {} };
    return { shape, dtype: type, buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const out = Math.ceil(side / stride);
  const [x, y, w]: Shape[] = [[n, side, side, c], [n, out, out, k], [k, 3, 3, c]];
  const attrs = { stride: [stride, stride], padding: [1, 1, 1, 1], dilation: [1, 1], activation: 'none', inputShape: x, filterShape: w };
  const [inputs, outputs] = ({
    conv2d: [[x, w], [y]], conv2dStats: [[x, w], [y, [k], [k]]], conv2dInputGrad: [[y, w], [x]], conv2dFilterGrad: [[x, y], [w]],
  } as Record<Name, [Shape[], Shape[]]>)[name];
  const placed = [inputs.map((shape) => place(shape, dtype)), outputs.map((shape) => place(shape))];
  const bytes = lowering.scratch?.(placed[0], placed[1], attrs) ?? [];
  const scratch = bytes.map((size) => ({ buffer: { bytes: size, label: 'scratch', dispose: () => {} }, byteOffset: 0, bytes: size }));
  const others = features?.hardware ? 'software' : 'hardware';
  const launches = lowering.launches({ attrs, inputs: placed[0], outputs: placed[1], scratch, features })
    .filter((launch) => !('adapter' in launch) || launch.adapter !== others);
  const kernels = launches.map((launch) => ('shader' in launch ? launch.shader : launch.kernel));
  const work = lowering.work?.(placed[0], placed[1], attrs, features);
  return { work, minimal: kernels.some((kernel) => /^winograd/.test(kernel)), bytes, y, w };
}

const names = Object.keys(ops) as Name[];

test('a convolution that is filtered minimally says so, with the FLOP of its method', () => {
  for (const name of names) {
    const [cpu, webgpu] = (['cpu', 'webgpu'] as const).map((device) => lowered(name, device, { sizes: [8, 28, 192, 192] }));
    for (const { work, minimal, y, w } of [cpu, webgpu]) {
      assert.ok(minimal, name);
      assert.is(work?.method, ops[name].method, name);
      const direct = convFlop(y, w);
      assert.ok(work!.flop > 0.25 * direct && work!.flop < 0.7 * direct, `${name}: ${work!.flop} of ${direct}`);
    }
    assert.equal(webgpu.work, cpu.work, name);
  }
});

test('one that is done directly does not: strides, few pixels', () => {
  for (const name of names) {
    for (const device of ['cpu', 'webgpu'] as const) {
      for (const c of [{ sizes: [8, 28, 192, 192], stride: 2 }, { sizes: [1, 3, 64, 64] }] satisfies Case[]) {
        const { work, minimal } = lowered(name, device, c);
        assert.is(work, undefined, `${name} on ${device}`);
        assert.not(minimal, `${name} on ${device}`);
      }
    }
  }
});

test('ahead of batch statistics a channel has 512 pixels at least, on both devices', () => {
  for (const device of ['cpu', 'webgpu'] as const) {
    const methods = ([[2, 16], [2, 15], [8, 8], [7, 8]] as const).map(([n, side]) =>
      lowered('conv2dStats', device, { sizes: [n, side, 320, 320] }).work?.method);
    assert.equal(methods, ['F(2x2,3x3)', undefined, 'F(2x2,3x3)', undefined], device);
    // The larger tile, without kinks behind it, has no such bound.
    assert.is(lowered('conv2d', device, { sizes: [2, 14, 320, 320] }).work?.method, 'F(4x4,3x3)', device);
  }
});

test('webgpu: every adapter can bind the scratch of minimal filtering', () => {
  for (const name of names) {
    const [few, many] = ([512, 1024] as const).map((channels) => lowered(name, 'webgpu', { sizes: [16, 56, channels, channels] }));
    assert.ok(few.minimal, name);
    // 36 planes of 1024 x 1024 are 151 MB, 16 are 67.
    assert.is(many.minimal, name === 'conv2dStats', name);
    for (const bytes of [...few.bytes, ...many.bytes]) assert.ok(bytes <= leastBinding, `${name}: ${bytes}`);
  }
});

test('webgpu: float16 operands go to matrix units, where there are any', () => {
  const features: GpuFeatures = { hardware: true, subgroup: 32, matrices: { M: 16, N: 16, K: 16 } };
  for (const name of names) {
    const c: Case = { sizes: [8, 28, 192, 192], dtype: 'float16' };
    assert.is(lowered(name, 'webgpu', c).work?.method, ops[name].method, name);
    const { work, minimal } = lowered(name, 'webgpu', { ...c, features });
    assert.is(work, undefined, name);
    assert.not(minimal, name);
  }
});

test.run();
