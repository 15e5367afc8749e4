/** Shape arithmetic of two-dimensional convolution, which the three directions share. */
import type { Shape, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { checkFloat, checkPositiveIntegers, checkRank, named, sameShape, shapeError, show } from './shapes.ts';

export type ConvAttrs = {
  /** Rows and columns from one window to the next. */
  readonly stride: readonly [number, number];
  /** Zeros added: top, bottom, left, right. */
  readonly padding: readonly [number, number, number, number];
  /** Rows and columns from one filter tap to the next. */
  readonly dilation: readonly [number, number];
};

/** Output length of a convolution along one axis: floor((n + before + after - dilation (k - 1) - 1) / stride) + 1. */
export function convLength(n: number, k: number, stride: number, before: number, after: number, dilation: number): number {
  return Math.floor((n + before + after - dilation * (k - 1) - 1) / stride) + 1;
}

/** [P,Q] of filters of [R,S] over x [N,H,W,C]. Throws ShapeError for attributes that are none and for filters larger than x. */
export function convLengths(op: string, x: TensorType, filter: TensorType, [r, s]: readonly [number, number], attrs: ConvAttrs): [number, number] {
  checkPositiveIntegers(op, 'stride', attrs.stride);
  checkPositiveIntegers(op, 'dilation', attrs.dilation);
  checkPositiveIntegers(op, 'padding', attrs.padding, 0);
  const [, h, w] = x.shape;
  const [top, bottom, left, right] = attrs.padding;
  const p = convLength(h, r, attrs.stride[0], top, bottom, attrs.dilation[0]);
  const q = convLength(w, s, attrs.stride[1], left, right, attrs.dilation[1]);
  if (p < 1 || q < 1) {
    shapeError(
      op,
      `${named('filter', filter)} with dilation ${show(attrs.dilation)} is larger than ${named('x', x)} ` +
        `with padding ${show(attrs.padding)}`,
    );
  }
  return [p, q];
}

/** [N,P,Q,K] from x [N,H,W,C] and filter [K,R,S,C]. Throws ShapeError where they do not go together. */
export function convOutputShape(op: string, x: TensorType, filter: TensorType, attrs: ConvAttrs): number[] {
  checkRank(op, 'x', x, 4, '[batch, height, width, channels]');
  checkRank(op, 'filter', filter, 4, '[out channels, height, width, in channels]');
  const [n, , , c] = x.shape;
  const [k, r, s, filterC] = filter.shape;
  if (filterC !== c) {
    shapeError(op, `${named('filter', filter)} has ${filterC} input channels, ${named('x', x)} has ${c}`);
  }
  return [n, ...convLengths(op, x, filter, [r, s], attrs), k];
}

export function checkBias(op: string, bias: TensorType | undefined, filter: TensorType): void {
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== filter.shape[0])) {
    shapeError(op, `${named('bias', bias)} should be [${filter.shape[0]}], one for each output channel of ${named('filter', filter)}`);
  }
}

/** For the gradients: dy must have the shape that the convolution gave, `outputShape`'s. */
export function checkConvGradient(
  op: string, dy: TensorType, x: TensorType, filter: TensorType, attrs: ConvAttrs, outputShape = convOutputShape,
): void {
  checkFloat(op, ['dy', 'x', 'filter'], [dy, x, filter]);
  const shape = outputShape(op, x, filter, attrs);
  if (!sameShape(shape, dy.shape)) {
    shapeError(op, `${named('dy', dy)} should be ${show(shape)}, for ${named('x', x)} and ${named('filter', filter)}`);
  }
}

/**
 * Calls `visit(out, in, tap)` with the offsets of the first channel of an output pixel, of an input pixel and of a filter tap
 * (of output channel 0), for each of the pairs that a convolution multiplies. Taps in the padding are left out.
 */
export function forEachTap(
  x: Shape,
  filter: Shape,
  y: Shape,
  { stride, padding, dilation }: ConvAttrs,
  visit: (out: number, input: number, tap: number) => void,
): void {
  const [n, h, w, c] = x;
  const [, r, s] = filter;
  const [, p, q, k] = y;
  for (let image = 0; image < n; image++) {
    for (let oy = 0; oy < p; oy++) {
      for (let ox = 0; ox < q; ox++) {
        const out = ((image * p + oy) * q + ox) * k;
        for (let i = 0; i < r; i++) {
          const iy = oy * stride[0] + i * dilation[0] - padding[0];
          if (iy < 0 || iy >= h) continue;
          for (let j = 0; j < s; j++) {
            const ix = ox * stride[1] + j * dilation[1] - padding[2];
            if (ix < 0 || ix >= w) continue;
            visit(out, ((image * h + iy) * w + ix) * c, (i * s + j) * c);
          }
        }
      }
    }
  }
}

/** Multiplications and additions of one pass in any direction. */
export function convFlop(y: Shape, filter: Shape): number {
  return 2 * sizeOf(y) * filter[1] * filter[2] * filter[3];
}

/** Convolutions that samples try: x, filter and attributes, with every corner of the contract. */
export function convCases(): { x: Shape; filter: Shape; attrs: ConvAttrs; note?: string }[] {
  const one: readonly [number, number] = [1, 1];
  const none: readonly [number, number, number, number] = [0, 0, 0, 0];
  const same = (n: number): readonly [number, number, number, number] => [n, n, n, n];
  return [
    { x: [1, 1, 1, 1], filter: [1, 1, 1, 1], attrs: { stride: one, padding: none, dilation: one } },
    { x: [2, 5, 7, 3], filter: [5, 1, 1, 3], attrs: { stride: one, padding: none, dilation: one } },
    { x: [1, 6, 5, 8], filter: [8, 1, 1, 8], attrs: { stride: [2, 2], padding: none, dilation: one } },
    { x: [2, 5, 6, 4], filter: [8, 3, 3, 4], attrs: { stride: one, padding: same(1), dilation: one } },
    { x: [1, 9, 8, 3], filter: [12, 3, 3, 3], attrs: { stride: [2, 2], padding: same(1), dilation: one } },
    { x: [3, 7, 7, 5], filter: [3, 3, 3, 5], attrs: { stride: [2, 2], padding: none, dilation: one } },
    { x: [1, 11, 10, 3], filter: [4, 7, 7, 3], attrs: { stride: [2, 2], padding: same(3), dilation: one } },
    { x: [2, 6, 6, 2], filter: [5, 5, 5, 2], attrs: { stride: one, padding: same(2), dilation: one } },
    { x: [1, 5, 9, 8], filter: [8, 1, 7, 8], attrs: { stride: one, padding: [0, 0, 3, 3], dilation: one } },
    { x: [1, 9, 5, 8], filter: [12, 7, 1, 8], attrs: { stride: one, padding: [3, 3, 0, 0], dilation: one } },
    { x: [1, 9, 9, 4], filter: [3, 3, 3, 4], attrs: { stride: one, padding: same(2), dilation: [2, 2] } },
    { x: [2, 7, 6, 1], filter: [1, 3, 2, 1], attrs: { stride: [1, 2], padding: [0, 1, 2, 0], dilation: [2, 1] }, note: 'asymmetric' },
    { x: [1, 8, 7, 12], filter: [5, 3, 3, 12], attrs: { stride: [3, 2], padding: [2, 0, 1, 2], dilation: one }, note: 'gaps' },
    { x: [2, 8, 9, 12], filter: [5, 3, 3, 12], attrs: { stride: [1, 2], padding: [2, 1, 0, 3], dilation: [2, 3] }, note: 'dilation by axis' },
    { x: [1, 4, 4, 36], filter: [20, 3, 3, 36], attrs: { stride: one, padding: same(1), dilation: one }, note: 'several tiles' },
    { x: [2, 9, 9, 16], filter: [33, 1, 1, 16], attrs: { stride: one, padding: none, dilation: one }, note: 'several tiles' },
    // filtered minimally on both devices
    { x: [2, 17, 19, 44], filter: [52, 3, 3, 44], attrs: { stride: one, padding: same(1), dilation: one }, note: 'many tiles' },
    { x: [1, 13, 11, 72], filter: [70, 1, 1, 72], attrs: { stride: one, padding: none, dilation: one }, note: 'deep' },
    { x: [3, 23, 21, 3], filter: [17, 7, 7, 3], attrs: { stride: [2, 2], padding: same(3), dilation: one }, note: 'a stem' },
  ];
}
