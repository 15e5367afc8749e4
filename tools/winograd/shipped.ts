/** The tiles that kernels use, and the points that are compared before one is chosen. */
import { derive } from './derive.ts';
import type { Filtering } from './derive.ts';
import { parseFractions } from './fractions.ts';

const filtering = (tile: number, filter: number, points: string): Filtering => derive(tile, filter, parseFractions(points));

/** Files are written for these. */
export const shipped: readonly Filtering[] = [
  filtering(2, 3, '0, 1, -1'),
  filtering(4, 3, '0, 5/8, -5/8, 3/2, -3/2'),
];

/** What `--errors` compares: for each tile the shipped or usual points and others of the literature. */
export const candidates: readonly Filtering[] = [
  shipped[0],
  filtering(2, 3, '0, 1/2, -1/2'),
  filtering(4, 3, '0, 1, -1, 2, -2'),
  filtering(4, 3, '0, 1, -1, 1/2, -1/2'),
  filtering(4, 3, '0, 1, -1, 1/2, -2'),
  filtering(4, 3, '0, 1/2, -1/2, 3/2, -3/2'),
  shipped[1],
  filtering(6, 3, '0, 1, -1, 2, -2, 1/2, -1/2'),
  filtering(6, 3, '0, 1, -1, 2, -1/2, 1/2, -2/3'),
  filtering(6, 3, '0, 5/8, -5/8, 3/2, -3/2, 1, -1'),
];
