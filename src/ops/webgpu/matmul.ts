/**
 * Lowering of matrix products. Each is one of convolution's directions with a 1x1 filter:
 *   A [m,k] B^T, B [n,k]: forward, rows of A as pixels, rows of B as filters;
 *   A [m,k] B [k,n]: input gradient, rows of A as dy's pixels, rows of B as filters of n channels;
 *   A^T [k,m] B [k,n]: filter gradient, rows of A and B as pixels;
 *   A^T B^T: the last, of B transposed by a copy.
 */
import type { GpuFeatures, Lowering, Placed, Scratch, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { bytesPerElement } from '../../device/types.ts';
import { conv2dFilterGradLowering } from './conv-filter-grad.ts';
import { conv2dInputGradLowering, conv2dLowering } from './conv.ts';
import { stridedLaunch } from './elementwise.ts';

interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const plain = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1] } as const;

/** Matrix `index` of a batch. */
function matrix(v: Placed, index: number): Placed {
  const [rows, columns] = v.shape.slice(-2);
  return { ...v, shape: [rows, columns], rows, offset: v.offset + index * rows * v.stride };
}

/** The same memory under another shape of four axes, the last of which stays. */
const as = (v: Placed, shape: Shape): Placed => ({ ...v, shape });

const pixels = (rows: number, channels: number): Shape => [1, rows, 1, channels];
const filters = (rows: number, channels: number): Shape => [rows, 1, 1, channels];

/** How the filter gradient sees A^T B. */
function filterGradTypes(a: TensorType, columns: number): { dy: TensorType; dw: TensorType } {
  const [k, m] = a.shape.slice(-2);
  return { dy: { shape: pixels(k, m), dtype: 'float32' }, dw: { shape: filters(m, columns), dtype: 'float32' } };
}

/** B [n,k] copied to [k,n] in scratch. */
function transposed(b: Placed, scratch: Scratch): { value: Placed; launch: WebgpuLaunch } {
  const [n, k] = b.shape;
  const value: Placed = {
    shape: [k, n], dtype: b.dtype, buffer: scratch.buffer, offset: scratch.byteOffset / bytesPerElement[b.dtype], rows: k, channels: n, stride: n,
  };
  const launch = stridedLaunch([k, n], { value, strides: [n, 1] }, [{ value: b, strides: [1, b.stride] }],
    { expression: 'x', label: 'transpose' });
  return { value, launch };
}

function product(
  a: Placed, b: Placed, c: Placed, { transposeA, transposeB }: MatmulAttrs, scratch: readonly Scratch[], features: GpuFeatures | undefined,
): WebgpuLaunch[] {
  const [m, n] = c.shape;
  const k = transposeA ? a.shape[0] : a.shape[1];
  if (!transposeA && transposeB) {
    return conv2dLowering.launches({
      attrs: { ...plain, activation: 'none' }, inputs: [as(a, pixels(m, k)), as(b, filters(n, k))], outputs: [as(c, pixels(m, n))], scratch: [],
      features,
    });
  }
  if (!transposeA) {
    return conv2dInputGradLowering.launches({
      attrs: { ...plain, inputShape: pixels(m, n) }, inputs: [as(a, pixels(m, k)), as(b, filters(k, n))], outputs: [as(c, pixels(m, n))],
      scratch: [], features,
    });
  }
  const before: WebgpuLaunch[] = [];
  let right = b;
  let rest = scratch;
  if (transposeB) {
    const copy = transposed(b, scratch[0]);
    before.push(copy.launch);
    right = copy.value;
    rest = scratch.slice(1);
  }
  return [...before, ...conv2dFilterGradLowering.launches({
    attrs: { ...plain, filterShape: filters(m, n) }, inputs: [as(right, pixels(k, n)), as(a, pixels(k, m))], outputs: [as(c, filters(m, n))],
    scratch: rest, features,
  })];
}

export const matmulLowering: Lowering<MatmulAttrs, WebgpuLaunch> = {
  scratch([a, b], [c], { transposeA, transposeB }, features) {
    if (!transposeA) return [];
    const n = c.shape[c.shape.length - 1];
    const { dy, dw } = filterGradTypes(a, n);
    const [rows, columns] = b.shape.slice(-2);
    const runs = conv2dFilterGradLowering.scratch!([dy, dy], [dw], { ...plain, filterShape: dw.shape }, features);
    return transposeB ? [4 * rows * columns, ...runs] : runs;
  },
  launches({ inputs: [a, b], outputs: [c], scratch, attrs, features }) {
    const batch = c.shape.length === 3 ? c.shape[0] : 1;
    return Array.from({ length: batch }, (_, i) =>
      product(matrix(a, i), matrix(b, i), matrix(c, i), attrs, scratch, features).map((launch) => ({ ...launch, label: 'matmul' }))).flat();
  },
};
