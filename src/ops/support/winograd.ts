/** What both devices' lowerings of minimal filtering F(m x m, 3x3) share: its cost, and where its rounding rules the smaller tile out. */
import type { Shape } from '../../device/types.ts';

/** How a convolution is done, for tables, and its FLOP. */
export interface ConvWork {
  readonly method: string;
  readonly flop: number;
}

/**
 * Method and FLOP of F(m x m, 3x3) over so many blocks of m x m outputs, n = m + 2: a multiply-add in each of n^2 planes for every block
 * and pair of channels, and the transforms' additions and multiplications by constants, counted as multiply-adds of their matrices
 * (n x n of input, m x m of output, n x 3 of filters, on both sides). The gradient by the filter has the same transforms, transposed.
 */
export function minimalWork(m: number, blocks: number, c: number, k: number): ConvWork {
  const n = m + 2;
  const flop = 2 * (n * n * blocks * c * k + blocks * (2 * n * n * n * c + m * n * (n + m) * k) + 3 * n * (3 + n) * c * k);
  return { method: `F(${m}x${m},3x3)`, flop };
}

/**
 * Pixels of a channel, over the batch, from which F(2x2, 3x3) serves ahead of batch statistics in training. With fewer, one ReLU that its
 * rounding flips at zero weighs more than the rule for networks allows; with more, flips are as rare as between two orders of a direct
 * product's terms (docs/rejected.md has the figures).
 */
const LEAST_PIXELS = 512;

/** Whether an output has so many pixels that F(2x2, 3x3) may compute it ahead of batch statistics in training. */
export const filtersBeforeStatistics = ([n, h, w]: Shape): boolean => n * h * w >= LEAST_PIXELS;
