/** shiftHls: images with hue, lightness and saturation moved, each image by amounts of its own. */
import type { TensorType } from '../device/types.ts';
import type { HostTensor, Sample, SampleInput } from '../graph/op.ts';
import { apply1, defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import * as cpu from './cpu/image.ts';
import * as cuda from './cuda/image.ts';
import { elementwiseCost } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, checkRank, named, shapeError } from './support/shapes.ts';
import * as gpu from './webgpu/image.ts';

const clamp = (v: number, high: number): number => Math.min(Math.max(v, 0), high);

/**
 * Of one pixel, in grey levels. Hue in degrees, lightness (max + min) / 2 and saturation as OpenCV's HLS has them; back by the formula
 * of CSS Color 4, section 7.1. Hue does not wrap: it is cut at 0 and 360, as MXNet's iterator cuts it.
 */
function shifted(pixel: Float64Array, [hue, light, saturation]: Float64Array): [number, number, number] {
  const [r, g, b] = [clamp(pixel[0], 255), clamp(pixel[1], 255), clamp(pixel[2], 255)];
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  const span = most - least;
  let h = 0;
  if (span > 0) {
    h = most === r ? (60 * (g - b)) / span : most === g ? 120 + (60 * (b - r)) / span : 240 + (60 * (r - g)) / span;
    if (h < 0) h += 360;
  }
  const sum = most + least;
  const s = span === 0 ? 0 : span / (sum < 255 ? sum : 510 - sum);
  h = clamp(h + hue, 360);
  const l = clamp(sum / 510 + light / 255, 1);
  const a = clamp(s + saturation / 255, 1) * Math.min(l, 1 - l);
  const channel = (n: number): number => {
    const k = (n + h / 30) % 12;
    return 255 * (l - a * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}

export const shiftHlsOp: DifferentiableOp<{}> = defineOp<{}>({
  name: 'shiftHls',
  inputs: ['x', 'shift'],
  infer([x, shift]: readonly TensorType[]) {
    checkFloat('shiftHls', ['x', 'shift'], [x, shift]);
    checkRank('shiftHls', 'x', x, 4, '[N,H,W,3]');
    if (x.shape[3] !== 3) shapeError('shiftHls', `${named('x', x)} should have 3 channels: red, green, blue`);
    if (shift.shape.length !== 2 || shift.shape[0] !== x.shape[0] || shift.shape[1] !== 3) {
      shapeError('shiftHls', `${named('shift', shift)} should be [${x.shape[0]},3], a line for each image of ${named('x', x)}`);
    }
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  reference([x, shift]: readonly HostTensor[]) {
    const y = new Float64Array(x.data.length);
    const perImage = x.data.length / x.shape[0];
    for (let at = 0; at < y.length; at += 3) {
      const image = Math.floor(at / perImage);
      y.set(shifted(x.data.subarray(at, at + 3), shift.data.subarray(image * 3, image * 3 + 3)), at);
    }
    return [y];
  },
  // hue has up to 360, of which 60 take a channel from end to end: an error of its last digit is six of the channel's
  magnitude: ([x]) => [new Float64Array(x.data.length).fill(6 * 255)],
  kernels: { cpu: cpu.shiftHlsLowering, webgpu: gpu.shiftHlsLowering, cuda: cuda.shiftHlsLowering },
  inPlace: () => [[0, 0]],
  cost: elementwiseCost(20),
  samples(): Sample<{}>[] {
    const shift = (...values: number[]): SampleInput => ({ shape: [values.length / 3, 3], dtype: 'float32', values, differentiable: false });
    const image = { low: 0, high: 255, differentiable: false };
    const corners = [0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 90, 90, 90, 255, 255, 0, 0, 255, 255, 255, 0, 255, -9, 300, 80];
    return [
      { inputs: [{ shape: [1, 2, 5, 3], dtype: 'float32', values: corners, differentiable: false }, shift(0, 0, 0)], attrs: {}, note: 'unmoved' },
      { inputs: [{ shape: [1, 10, 1, 3], dtype: 'float32', values: corners, differentiable: false }, shift(-50, 30, -80)], attrs: {} },
      { inputs: [f32([3, 5, 7, 3], image), shift(20, -10, 15, 0, 40, -255, 350, -255, 255)], attrs: {} },
      { inputs: [f32([2, 40, 33, 3], image), shift(11, 5, 60, -30, -7, -20)], attrs: {} },
    ];
  },
});

/**
 * Images x [N,H,W,3], red, green, blue in grey levels of 0 to 255 (cut to that), with hue, lightness and saturation moved by `shift`
 * [N,3]: degrees of 360, and two amounts in grey levels. Each is cut to its range.
 */
export function shiftHls(x: TensorLike, shift: TensorLike): Tensor {
  return apply1(shiftHlsOp, [x, shift], {});
}
