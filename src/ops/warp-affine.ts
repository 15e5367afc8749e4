/** warpAffine: images resampled under a map of their own: rotation, shear, scale, shift and crop in one pass. */
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

export type WarpAffineAttrs = {
  /** Value of what lies outside of the image. */
  readonly fill: number;
};

/** Calls `visit` for every element of y with its place, the four elements of x around it (undefined outside) and their weights. */
function forEachWarped(
  [x, matrix]: readonly HostTensor[],
  visit: (at: number, corners: readonly (number | undefined)[], weights: readonly number[], travel: number) => void,
): void {
  const [n, height, width, channels] = x.shape;
  for (let image = 0; image < n; image++) {
    const m = matrix.data.subarray(image * 6, image * 6 + 6);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const u = m[0] * j + m[1] * i + m[2];
        const v = m[3] * j + m[4] * i + m[5];
        const [left, top] = [Math.floor(u), Math.floor(v)];
        const [a, b] = [u - left, v - top];
        const travel = Math.abs(m[0] * j) + Math.abs(m[1] * i) + Math.abs(m[2]) + Math.abs(m[3] * j) + Math.abs(m[4] * i) + Math.abs(m[5]);
        for (let c = 0; c < channels; c++) {
          const corner = (row: number, column: number): number | undefined =>
            (row >= 0 && row < height && column >= 0 && column < width
              ? x.data[((image * height + row) * width + column) * channels + c] : undefined);
          visit(
            ((image * height + i) * width + j) * channels + c,
            [corner(top, left), corner(top, left + 1), corner(top + 1, left), corner(top + 1, left + 1)],
            [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], travel,
          );
        }
      }
    }
  }
}

export const warpAffineOp: DifferentiableOp<WarpAffineAttrs> = defineOp<WarpAffineAttrs>({
  name: 'warpAffine',
  inputs: ['x', 'matrix'],
  infer([x, matrix]: readonly TensorType[]) {
    checkFloat('warpAffine', ['x', 'matrix'], [x, matrix]);
    checkRank('warpAffine', 'x', x, 4, '[N,H,W,C]');
    if (matrix.shape.length !== 2 || matrix.shape[0] !== x.shape[0] || matrix.shape[1] !== 6) {
      shapeError('warpAffine', `${named('matrix', matrix)} should be [${x.shape[0]},6], a map for each image of ${named('x', x)}`);
    }
    return [{ shape: x.shape, dtype: 'float32' }];
  },
  reference(inputs: readonly HostTensor[], { fill }) {
    const y = new Float64Array(inputs[0].data.length);
    forEachWarped(inputs, (at, corners, weights) => {
      y[at] = corners.reduce<number>((sum, corner, k) => sum + weights[k] * (corner ?? fill), 0);
    });
    return [y];
  },
  // A place is rounded to so many digits of the products that it is the sum of; that moves the result by the slope between corners.
  magnitude(inputs, { fill }) {
    const m = new Float64Array(inputs[0].data.length);
    forEachWarped(inputs, (at, corners, weights, travel) => {
      const values = corners.map((corner) => corner ?? fill);
      const slope = Math.max(...values) - Math.min(...values);
      m[at] = values.reduce((sum, v, k) => sum + weights[k] * Math.abs(v), 0) + travel * slope;
    });
    return [m];
  },
  kernels: { cpu: cpu.warpAffineLowering, webgpu: gpu.warpAffineLowering, cuda: cuda.warpAffineLowering },
  cost: elementwiseCost(8),
  samples(): Sample<WarpAffineAttrs>[] {
    const maps = (...values: number[]): SampleInput => ({ shape: [values.length / 6, 6], dtype: 'float32', values, differentiable: false });
    const image = { low: 0, high: 255, differentiable: false };
    const turned = [0.8, 0.45, -1.3, -0.5, 0.9, 2.1];
    return [
      { inputs: [f32([1, 5, 7, 3], image), maps(1, 0, 0, 0, 1, 0)], attrs: { fill: 255 }, note: 'identity' },
      { inputs: [f32([2, 6, 4, 3], image), maps(-1, 0, 3, 0, -1, 5, 1, 0, 2.25, 0, 1, -1.5)], attrs: { fill: 9 }, note: 'turned, shifted' },
      { inputs: [f32([3, 9, 11, 3], image), maps(...turned, 0.5, 0, 3, 0, 0.5, 2, 3, 0, -9, 0, 2, -4)], attrs: { fill: 0 } },
      { inputs: [f32([1, 3, 3, 1], image), maps(1, 0, 1e6, 0, 1, 0)], attrs: { fill: 4 }, note: 'far outside' },
      { inputs: [f32([2, 33, 40, 4], image), maps(...turned, ...turned.map((v) => -v))], attrs: { fill: 128 } },
    ];
  },
});

/**
 * Images x [N,H,W,C] resampled: y at row i, column j is x at column m0 j + m1 i + m2 and row m3 j + m4 i + m5, m being its image's
 * line of `matrix` [N,6]: from the four pixels around, by bilinear weights; what lies outside of the image counts as `fill`.
 */
export function warpAffine(x: TensorLike, matrix: TensorLike, options: { readonly fill?: number } = {}): Tensor {
  return apply1(warpAffineOp, [x, matrix], { fill: options.fill ?? 0 });
}
