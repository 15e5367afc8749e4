/** Samples for Hopper's rung, in software (test/device/cuda-rungs.test.ts) and on a GPU (test/device/cuda-hopper-gpu.test.ts). */
import type { DType, HalfType } from '../../../src/device/types.ts';
import type { Sample } from '../../../src/graph/op.ts';
import { convLength } from '../../../src/ops/support/conv.ts';

export const half = (...shapes: number[][]): Sample['inputs'] => shapes.map((shape) => ({ shape, dtype: 'float16' as DType }));
const noTransposes = { transposeA: false, transposeB: true };
const conv = (stride: number | [number, number], padding: number[], dilation: number) =>
  ({ stride: typeof stride === 'number' ? [stride, stride] : stride, padding, dilation: [dilation, dilation] });
export const relu = (...given: Parameters<typeof conv>) => ({ ...conv(...given), activation: 'relu' });

/** Of convolutions: x, filter, attributes. */
const shapes: readonly [x: number[], filter: number[], attrs: ReturnType<typeof conv>][] = [
  [[2, 13, 11, 72], [136, 3, 3, 72], conv(1, [1, 1, 1, 1], 1)],
  [[3, 9, 10, 136], [40, 2, 3, 136], conv(1, [0, 2, 3, 1], 2)],
  [[2, 20, 17, 256], [128, 1, 1, 256], conv(1, [0, 0, 0, 0], 1)],
  // a product that is not cut into runs, for which the ring turns over
  [[1, 10, 20, 1040], [120, 1, 1, 1040], conv(1, [0, 0, 0, 0], 1)],
  [[2, 12, 12, 64], [64, 1, 7, 64], conv(1, [0, 0, 3, 3], 1)],
  // tiles that begin within a row
  [[3, 27, 29, 40], [72, 3, 3, 40], conv(2, [1, 1, 1, 0], 1)],
  [[2, 17, 25, 64], [264, 3, 2, 64], conv([3, 8], [2, 0, 5, 1], 2)],
  [[1, 9, 9, 8], [8, 3, 3, 8], conv(1, [4, 3, 5, 2], 1)],
];
const resultOf = ([n, h, w]: number[], [k, r, s]: number[], { stride, padding: [top, bottom, left, right], dilation }: ReturnType<typeof conv>) => [
  n, convLength(h, r, stride[0], top, bottom, dilation[0]), convLength(w, s, stride[1], left, right, dilation[1]), k,
];

/** Tiles whole and cut, rings that turn over several times, blocks with several tiles; windows at all borders. */
export const large: Readonly<Record<string, Sample[]>> = {
  matmul: [
    { inputs: half([300, 1040], [264, 1040]), attrs: noTransposes },
    { inputs: half([1030, 72], [2056, 72]), attrs: noTransposes, note: 'more tiles than multiprocessors' },
    { inputs: half([8, 8], [8, 8]), attrs: noTransposes },
    { inputs: half([136, 200], [200, 328]), attrs: { transposeA: false, transposeB: false } },
    { inputs: half([1000, 136], [1000, 152]), attrs: { transposeA: true, transposeB: false }, note: 'several runs, the last one short' },
    { inputs: half([72, 264], [136, 72]), attrs: { transposeA: true, transposeB: true } },
  ],
  conv2d: [
    ...shapes.map(([x, filter, attrs]) => ({ inputs: half(x, filter), attrs: { ...attrs, activation: 'none' } })),
    { inputs: [...half([1, 12, 12, 64], [64, 1, 7, 64]), { shape: [64], dtype: 'float32' }], attrs: relu(1, [0, 0, 3, 3], 1) },
  ],
  conv2dNormalize: shapes.map(([x, filter, attrs], i) => {
    const vectors = [-1, 0.2, 0.5, -1, ...(i % 2 === 0 ? [-1] : [])].map((low) => ({ shape: [filter[0]], dtype: 'float32' as DType, low }));
    const normalize = { epsilon: 1e-3, fixGamma: i === 3, activation: i % 3 === 1 ? 'none' : 'relu' };
    return { inputs: [...half(x, filter), ...vectors], attrs: { ...attrs, normalize } };
  }),
  conv2dStats: shapes.map(([x, filter, attrs]) => ({ inputs: half(x, filter), attrs })),
  conv2dInputGrad: shapes.map(([x, filter, attrs]) => ({ inputs: half(resultOf(x, filter, attrs), filter), attrs: { ...attrs, inputShape: x } })),
  conv2dFilterGrad: shapes.map(([x, filter, attrs]) => ({ inputs: half(x, resultOf(x, filter, attrs)), attrs: { ...attrs, filterShape: filter } })),
};

/** The same with the other half. */
export const halvesOf = (sample: Sample, dtype: HalfType): Sample =>
  ({ ...sample, inputs: sample.inputs.map((t) => (t.dtype === 'float16' ? { ...t, dtype } : t)) });
