/** Shape arithmetic of pooling, which maximum and average and their gradients share. */
import type { Shape, TensorType } from '../../device/types.ts';
import { checkPositiveIntegers, checkRank, named, padding4, pair, shapeError, show } from './shapes.ts';
import type { Padding } from './shapes.ts';

export type PoolAttrs = {
  readonly size: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Top, bottom, left, right. */
  readonly padding: readonly [number, number, number, number];
  /** Rounds output lengths up, MXNet's convention `full`; else down, `valid`. */
  readonly ceil: boolean;
};

/** [N,P,Q,C] of pooling x [N,H,W,C]. */
export function poolOutputShape(op: string, x: TensorType, attrs: PoolAttrs): number[] {
  checkRank(op, 'x', x, 4, '[batch, height, width, channels]');
  checkPositiveIntegers(op, 'size', attrs.size);
  checkPositiveIntegers(op, 'stride', attrs.stride);
  checkPositiveIntegers(op, 'padding', attrs.padding, 0);
  const [n, h, w, c] = x.shape;
  const [top, bottom, left, right] = attrs.padding;
  const length = (d: number, size: number, stride: number, before: number, after: number): number => {
    const steps = (d + before + after - size) / stride;
    const out = (attrs.ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    if (d + before + after < size) {
      shapeError(op, `window ${show(attrs.size)} is larger than ${named('x', x)} with padding ${show(attrs.padding)}`);
    }
    if (before >= size || (out - 1) * stride - before >= d) {
      shapeError(op, `a window ${show(attrs.size)} lies wholly in the padding ${show(attrs.padding)} of ${named('x', x)}`);
    }
    return out;
  };
  return [
    n,
    length(h, attrs.size[0], attrs.stride[0], top, bottom),
    length(w, attrs.size[1], attrs.stride[1], left, right),
    c,
  ];
}

/**
 * Calls `visit(output, inputs, padded)` for every element of the output: the elements of x in its window, row-major, and how many
 * places the window has within the padded image.
 */
export function forEachWindow(
  x: Shape,
  y: Shape,
  { size, stride, padding }: PoolAttrs,
  visit: (output: number, inputs: readonly number[], padded: number) => void,
): void {
  const [n, h, w, c] = x;
  const [, p, q] = y;
  const [top, bottom, left, right] = padding;
  let output = 0;
  for (let image = 0; image < n; image++) {
    for (let oy = 0; oy < p; oy++) {
      const y0 = oy * stride[0] - top;
      const y1 = Math.min(y0 + size[0], h + bottom);
      for (let ox = 0; ox < q; ox++) {
        const x0 = ox * stride[1] - left;
        const x1 = Math.min(x0 + size[1], w + right);
        for (let channel = 0; channel < c; channel++) {
          const inputs: number[] = [];
          for (let iy = Math.max(y0, 0); iy < Math.min(y1, h); iy++) {
            for (let ix = Math.max(x0, 0); ix < Math.min(x1, w); ix++) {
              inputs.push(((image * h + iy) * w + ix) * c + channel);
            }
          }
          visit(output++, inputs, (y1 - y0) * (x1 - x0));
        }
      }
    }
  }
}

export interface PoolOptions {
  /** One number or [h, w]. */
  readonly size: number | readonly [number, number];
  /** Default: the size. */
  readonly stride?: number | readonly [number, number];
  /** One number, [h, w] or [top, bottom, left, right]; default 0. */
  readonly padding?: Padding;
  /** Rounds output lengths up; default false. */
  readonly ceil?: boolean;
}

export function poolAttrs(op: string, options: PoolOptions): PoolAttrs {
  return {
    size: pair(op, 'size', options.size),
    stride: pair(op, 'stride', options.stride ?? options.size),
    padding: padding4(op, options.padding ?? 0),
    ceil: options.ceil ?? false,
  };
}

/** Poolings that samples try. */
export function poolCases(): { x: Shape; attrs: PoolAttrs; note?: string }[] {
  const same = (n: number): readonly [number, number, number, number] => [n, n, n, n];
  return [
    { x: [1, 1, 1, 1], attrs: { size: [1, 1], stride: [1, 1], padding: same(0), ceil: false } },
    { x: [2, 4, 6, 3], attrs: { size: [2, 2], stride: [2, 2], padding: same(0), ceil: false } },
    { x: [2, 7, 6, 5], attrs: { size: [3, 3], stride: [2, 2], padding: same(0), ceil: false } },
    { x: [2, 8, 6, 5], attrs: { size: [3, 3], stride: [2, 2], padding: same(0), ceil: true }, note: 'overhanging' },
    { x: [1, 8, 7, 8], attrs: { size: [3, 3], stride: [2, 2], padding: same(1), ceil: false } },
    { x: [1, 8, 7, 12], attrs: { size: [3, 3], stride: [2, 2], padding: same(1), ceil: true } },
    { x: [1, 5, 5, 4], attrs: { size: [3, 3], stride: [1, 1], padding: same(1), ceil: false }, note: 'overlapping' },
    { x: [3, 7, 7, 3], attrs: { size: [7, 7], stride: [1, 1], padding: same(0), ceil: false }, note: 'global' },
    { x: [1, 6, 9, 1], attrs: { size: [2, 3], stride: [3, 1], padding: [1, 0, 0, 2], ceil: false }, note: 'gaps, asymmetric' },
    { x: [2, 5, 8, 8], attrs: { size: [2, 3], stride: [2, 3], padding: [0, 1, 2, 1], ceil: true }, note: 'asymmetric' },
  ];
}
