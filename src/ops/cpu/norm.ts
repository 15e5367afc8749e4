/** Lowerings of batch normalization to kernels/wasm/norm.ts. */
import type { CpuArg, CpuLaunch, Lowering, Placed, Scratch, TensorType } from '../../device/types.ts';
import { rowsAndChannels } from '../support/shapes.ts';
import { combineMoments, sumRows, tileMoments } from './conv.ts';

interface NormAttrs {
  readonly epsilon: number;
  readonly fixGamma: boolean;
}
type ActivatedAttrs = NormAttrs & { readonly activation: string };

const RELU = 1;
const FIX_GAMMA = 2;
const FROZEN = 4;

const ceil = (a: number, b: number): number => Math.ceil(a / b);

/** Rows of a tile of some 16k elements. */
function mapRows(channels: number): number {
  return Math.max(1, Math.floor(16384 / channels));
}

function partsOf(x: TensorType): number {
  const [rows, channels] = rowsAndChannels(x.shape);
  return ceil(rows, sumRows(rows, channels));
}

const vector = (v: Placed): CpuArg => ({ address: v });

function normalizeLaunch(
  x: Placed, mean: Placed, variance: Placed, gamma: Placed, beta: Placed, y: Placed, { epsilon, fixGamma, activation }: ActivatedAttrs,
): CpuLaunch {
  const perTile = mapRows(x.channels);
  return {
    kernel: 'normalize',
    tiles: ceil(x.rows, perTile),
    args: [
      vector(x), vector(mean), vector(variance), vector(gamma), vector(beta), vector(y), x.rows, x.channels, x.stride * 4,
      y.stride * 4, perTile, { f32: epsilon }, (activation === 'relu' ? RELU : 0) | (fixGamma ? FIX_GAMMA : 0),
    ],
    label: 'normalize',
  };
}

export const normalizeLowering: Lowering<ActivatedAttrs, CpuLaunch> = {
  launches: ({ attrs, inputs: [x, mean, variance, gamma, beta], outputs: [y] }) =>
    [normalizeLaunch(x, mean, variance, gamma, beta, y, attrs)],
};

export const batchNormLowering: Lowering<ActivatedAttrs, CpuLaunch> = {
  scratch: ([x, gamma]) => [partsOf(x) * gamma.shape[0] * 8],
  launches({ attrs, inputs: [x, gamma, beta], outputs: [y, mean, variance], scratch: [stats] }) {
    const perTile = sumRows(x.rows, x.channels);
    return [
      tileMoments(x, stats, perTile),
      combineMoments(stats, x.rows, perTile, x.channels, mean, variance),
      normalizeLaunch(x, mean, variance, gamma, beta, y, attrs),
    ];
  },
};

interface GradParts {
  readonly dy: Placed;
  readonly x: Placed;
  readonly mean: Placed;
  readonly variance: Placed;
  readonly gamma: Placed;
  /** Of the relu variant alone. */
  readonly beta?: Placed;
  readonly outputs: readonly Placed[];
  readonly scratch: readonly Scratch[];
  readonly attrs: NormAttrs;
  readonly flags: number;
}

function gradLaunches({ dy, x, mean, variance, gamma, beta, outputs, scratch, attrs, flags: kind }: GradParts): CpuLaunch[] {
  const [dx, dgamma, dbeta] = outputs;
  const [partials, coefficients] = scratch;
  const { rows, channels } = x;
  const perTile = sumRows(rows, channels);
  const flags = kind | (attrs.fixGamma ? FIX_GAMMA : 0);
  const epsilon: CpuArg = { f32: attrs.epsilon };
  const betas: CpuArg = beta ? vector(beta) : 0;
  const mapTile = mapRows(channels);
  return [
    {
      kernel: 'normGradSums',
      tiles: ceil(rows, perTile),
      args: [
        vector(dy), vector(x), vector(mean), vector(variance), vector(gamma), betas, { address: partials }, rows, channels,
        dy.stride * 4, x.stride * 4, perTile, epsilon, flags,
      ],
      label: 'batchNormGrad: sums',
    },
    {
      kernel: 'normGradCombine',
      tiles: ceil(channels, 32),
      args: [
        { address: partials }, vector(variance), vector(gamma), vector(dgamma), vector(dbeta), { address: coefficients },
        ceil(rows, perTile), rows, channels, 32, epsilon, flags,
      ],
      label: 'batchNormGrad: join',
    },
    {
      kernel: 'normGradApply',
      tiles: ceil(rows, mapTile),
      args: [
        vector(dy), vector(x), vector(mean), { address: coefficients }, betas, vector(dx), rows, channels, dy.stride * 4,
        x.stride * 4, dx.stride * 4, mapTile, flags,
      ],
      label: 'batchNormGrad: dx',
    },
  ];
}

function gradLowering(flags: number): Lowering<NormAttrs, CpuLaunch> {
  return {
    scratch([, x]) {
      const [, channels] = rowsAndChannels(x.shape);
      return [partsOf(x) * channels * 8, channels * 12];
    },
    launches: ({ attrs, inputs: [dy, x, mean, variance, gamma, beta], outputs, scratch }) =>
      gradLaunches({ dy, x, mean, variance, gamma, beta, outputs, scratch, attrs, flags }),
  };
}

export const batchNormGradLowering = gradLowering(0);
export const batchNormReluGradLowering = gradLowering(RELU);
export const normalizeGradLowering = gradLowering(FROZEN);
