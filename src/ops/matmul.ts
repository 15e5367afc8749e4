/** matmul: products of matrices, one or a batch. */
import type { Shape, TensorType } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import type { HostTensor, Sample } from '../graph/op.ts';
import { apply1, defineOp, toTensor } from '../tensor/define-op.ts';
import type { DifferentiableOp, TensorLike } from '../tensor/define-op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add } from './binary.ts';
import * as cpu from './cpu/matmul.ts';
import * as cuda from './cuda/matmul.ts';
import { bytesTouched } from './support/cost.ts';
import { f32 } from './support/samples.ts';
import { checkFloat, checkRank, checkVector, named, shapeError } from './support/shapes.ts';
import * as gpuMatmul from './webgpu/matmul.ts';

export type MatmulAttrs = { readonly transposeA: boolean; readonly transposeB: boolean };

/** Rows, inner length and columns of the product. */
function dimensions(a: Shape, b: Shape, { transposeA, transposeB }: MatmulAttrs): [m: number, k: number, kOfB: number, n: number] {
  const [a0, a1] = a.slice(-2);
  const [b0, b1] = b.slice(-2);
  return [transposeA ? a1 : a0, transposeA ? a0 : a1, transposeB ? b1 : b0, transposeB ? b0 : b1];
}

export const matmulOp: DifferentiableOp<MatmulAttrs> = defineOp<MatmulAttrs>({
  name: 'matmul',
  inputs: ['a', 'b'],
  infer([a, b]: readonly TensorType[], attrs) {
    checkFloat('matmul', ['a', 'b'], [a, b]);
    const rank = a.shape.length;
    if ((rank !== 2 && rank !== 3) || b.shape.length !== rank) {
      shapeError('matmul', `${named('a', a)} and ${named('b', b)} should both have 2 axes, or 3 with the batch first`);
    }
    if (rank === 3 && a.shape[0] !== b.shape[0]) {
      shapeError('matmul', `${named('a', a)} and ${named('b', b)} are batches of ${a.shape[0]} and ${b.shape[0]}`);
    }
    const [m, k, kOfB, n] = dimensions(a.shape, b.shape, attrs);
    if (k !== kOfB) {
      const flags = [attrs.transposeA && 'a', attrs.transposeB && 'b'].filter(Boolean).join(' and ');
      const note = flags === '' ? '' : ` (${flags} transposed)`;
      shapeError('matmul', `${named('a', a)} and ${named('b', b)}${note} have inner lengths ${k} and ${kOfB}`);
    }
    return [{ shape: [...a.shape.slice(0, -2), m, n], dtype: 'float32' }];
  },
  // C = A B:  dA = dC B^T, dB = A^T dC; where A came transposed, dA is transposed too, and so for B
  gradient({ attrs: { transposeA, transposeB }, inputs: [a, b], grads: [dc], needs }) {
    if (dc === undefined) return [undefined, undefined];
    const product = (x: Tensor, tx: boolean, y: Tensor, ty: boolean) => apply1(matmulOp, [x, y], { transposeA: tx, transposeB: ty });
    return [
      !needs[0] ? undefined : transposeA ? product(b, transposeB, dc, true) : product(dc, false, b, !transposeB),
      !needs[1] ? undefined : transposeB ? product(dc, true, a, transposeA) : product(a, !transposeA, dc, false),
    ];
  },
  reference([a, b]: readonly HostTensor[], attrs, [out]) {
    const { transposeA, transposeB } = attrs;
    const [m, k, , n] = dimensions(a.shape, b.shape, attrs);
    const c = new Float64Array(sizeOf(out.shape));
    for (let o = 0; o < c.length; o++) {
      const batch = Math.floor(o / (m * n));
      const i = Math.floor(o / n) % m;
      const j = o % n;
      for (let l = 0; l < k; l++) {
        const left = a.data[batch * m * k + (transposeA ? l * m + i : i * k + l)];
        c[o] += left * b.data[batch * k * n + (transposeB ? j * k + l : l * n + j)];
      }
    }
    return [c];
  },
  kernels: { cpu: cpu.matmulLowering, webgpu: gpuMatmul.matmulLowering, cuda: cuda.matmulLowering },
  precision: 'matrix',
  float16: { inputs: [0, 1], outputs: [0] },
  reductionLength: ([a, b], attrs) => Math.max(dimensions(a.shape, b.shape, attrs)[1], 1),
  cost: (inputs, outputs, attrs) => ({
    flop: 2 * sizeOf(outputs[0].shape) * dimensions(inputs[0].shape, inputs[1].shape, attrs)[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples(): Sample<MatmulAttrs>[] {
    const sizes: [batch: number[], m: number, k: number, n: number][] = [
      [[], 1, 1, 1], [[], 3, 5, 7], [[], 8, 12, 4], [[], 17, 33, 20], [[3], 5, 4, 3], [[2], 8, 8, 12], [[], 1, 65, 3], [[], 5, 1, 8], [[], 16, 300, 17],
    ];
    const flags: [boolean, boolean][] = [[false, false], [true, false], [false, true], [true, true]];
    return sizes.flatMap(([batch, m, k, n]) =>
      flags.map(([transposeA, transposeB]) => ({
        inputs: [f32([...batch, ...(transposeA ? [k, m] : [m, k])]), f32([...batch, ...(transposeB ? [n, k] : [k, n])])],
        attrs: { transposeA, transposeB },
      })),
    );
  },
});

/** a [M,K] times b [K,N], or batches [B,M,K] and [B,K,N]; either may be given transposed. Throws ShapeError where they do not fit. */
export function matmul(a: TensorLike, b: TensorLike, options: Partial<MatmulAttrs> = {}): Tensor {
  return apply1(matmulOp, [a, b], { transposeA: options.transposeA ?? false, transposeB: options.transposeB ?? false });
}

/** A fully connected layer: x [N,I] times weight [O,I] transposed, plus bias [O]. */
export function linear(x: TensorLike, weight: TensorLike, bias?: TensorLike): Tensor {
  const [tx, tw] = [toTensor(x), toTensor(weight)];
  checkRank('linear', 'x', tx, 2, '[samples, features]');
  checkRank('linear', 'weight', tw, 2, '[out features, in features]');
  if (tx.shape[1] !== tw.shape[1]) {
    shapeError('linear', `${named('weight', tw)} has ${tw.shape[1]} input features, ${named('x', tx)} has ${tx.shape[1]}`);
  }
  const y = matmul(tx, tw, { transposeB: true });
  if (bias === undefined) return y;
  const tb = toTensor(bias);
  checkVector('linear', 'bias', tb, tw.shape[0], `one for each output of ${named('weight', tw)}`);
  return add(y, tb);
}
