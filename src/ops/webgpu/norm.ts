/** Lowerings of batch statistics, normalization and its gradients. */
import type { Lowering, Placed, Scratch, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, read, readWrite, sameMemory, storageType, write } from '../../device/webgpu/launch.ts';

interface NormAttrs {
  readonly epsilon: number;
  readonly fixGamma: boolean;
}

/** Rows that one thread sums, at least, and the most runs that a sum is cut into. */
const RUN = 128;
const MAX_SPLITS = 512;

function splitsOf(x: TensorType): { rows: number; channels: number; run: number; splits: number } {
  const channels = x.shape[x.shape.length - 1];
  const rows = sizeOf(x.shape) / channels;
  const run = Math.ceil(rows / Math.min(MAX_SPLITS, Math.max(1, Math.ceil(rows / RUN))));
  return { rows, channels, run, splits: Math.ceil(rows / run) };
}

interface Roles {
  readonly x?: Placed;
  readonly dy?: Placed;
  readonly y?: Placed;
  readonly mean?: Placed;
  readonly variance?: Placed;
  readonly gamma?: Placed;
  readonly beta?: Placed;
}

interface Flags extends Partial<NormAttrs> {
  readonly relu?: boolean;
  readonly frozen?: boolean;
}

const canBeVector = (values: readonly (Placed | undefined)[]): boolean => values.every((v) => v === undefined || isVectorizable(v));

/** A launch over elements or channels of `shape`, vectors of four where all that lie in it allow it. */
function normLaunch(
  shader: string, shape: TensorType, roles: Roles, flags: Flags, threads: 'elements' | 'runs' | 'channels',
  bindings: WebgpuLaunch['bindings'], replace: Readonly<Record<string, string | number>> = {}, vector = canBeVector(Object.values(roles)),
): WebgpuLaunch {
  const { rows, channels, run, splits } = splitsOf(shape);
  const unit = vector ? 4 : 1;
  const at = (v: Placed | undefined): number => (v === undefined ? 0 : boundOffset(v) / unit);
  const stride = (v: Placed | undefined): number => (v === undefined ? 0 : v.stride / unit);
  const c = channels / unit;
  const T = vector ? 'vec4f' : 'f32';
  const typeOf = (v: Placed | undefined): string => (v === undefined ? T : storageType(v, vector));
  const { x, dy, y, mean, variance, gamma, beta } = roles;
  return {
    shader,
    replace: { T, MASK: vector ? 'vec4<bool>' : 'bool', XT: typeOf(x), DYT: typeOf(dy), YT: typeOf(y), ...replace },
    uniforms: [
      rows, c, run, splits, f32(flags.epsilon ?? 0), flags.fixGamma === true ? 1 : 0, flags.relu === true ? 1 : 0,
      flags.frozen === true ? 1 : 0, at(x), stride(x), at(dy), stride(dy), at(y), stride(y), at(mean), at(variance), at(gamma), at(beta),
    ],
    bindings,
    grid: linearGrid(threads === 'elements' ? rows * c : threads === 'runs' ? c * splits : c),
    label: shader,
  };
}

/** Bytes for two partial results of every run. */
export function statisticsScratch(x: TensorType): number {
  const { channels, splits } = splitsOf(x);
  return 8 * channels * splits;
}

/** mean and variance (biased) of x over all but the last axis. */
export function statisticsLaunches(x: Placed, mean: Placed, variance: Placed, scratch: Scratch): WebgpuLaunch[] {
  // Both launches must agree on the unit of the partial results.
  const roles = { x, mean, variance };
  return [
    normLaunch('norm_stats', x, roles, {}, 'runs', [read(x), write(scratch)]),
    normLaunch('norm_combine', x, roles, {}, 'channels', [read(scratch), write(mean), write(variance)]),
  ];
}

function applyLaunch(
  x: Placed, mean: Placed, variance: Placed, gamma: Placed, beta: Placed, y: Placed, flags: Flags,
): WebgpuLaunch {
  const inPlace = sameMemory(x, y);
  const vectors = [read(mean), read(variance), read(gamma), read(beta)];
  const bindings = inPlace ? [...vectors, readWrite(y)] : [...vectors, read(x), write(y)];
  return normLaunch('norm_apply', x, { x, mean, variance, gamma, beta, y }, flags, 'elements', bindings, { IN_PLACE: inPlace ? 1 : 0 });
}

type ActiveAttrs = NormAttrs & { readonly activation: 'none' | 'relu' };

export const batchNormLowering: Lowering<ActiveAttrs, WebgpuLaunch> = {
  scratch: ([x]) => [statisticsScratch(x)],
  launches: ({ inputs: [x, gamma, beta], outputs: [y, mean, variance], scratch: [partial], attrs }) => [
    ...statisticsLaunches(x, mean, variance, partial),
    applyLaunch(x, mean, variance, gamma, beta, y, { ...attrs, relu: attrs.activation === 'relu' }),
  ],
};

export const normalizeLowering: Lowering<ActiveAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [x, mean, variance, gamma, beta], outputs: [y], attrs }) => [
    applyLaunch(x, mean, variance, gamma, beta, y, { ...attrs, relu: attrs.activation === 'relu' }),
  ],
};

function gradient(relu: boolean, frozen: boolean): Lowering<NormAttrs, WebgpuLaunch> {
  return {
    scratch: ([, x]) => [statisticsScratch(x), 8 * x.shape[x.shape.length - 1]],
    launches({ inputs: [dy, x, mean, variance, gamma, ownBeta], outputs: [dx, dgamma, dbeta], scratch: [partial, sums], attrs }) {
      // Without an activation beta does not matter: mean fills its binding.
      const beta = ownBeta ?? mean;
      const flags = { ...attrs, relu, frozen };
      // One unit for all three, since partial results and sums pass between them.
      const all = [dy, x, dx, mean, variance, gamma, beta, dgamma, dbeta];
      const vector = canBeVector(all);
      const others: string[] = [];
      const bindings = [read(sums), read(mean), read(variance), read(gamma), read(beta)];
      const overwrites = [dy, x].find((v) => sameMemory(v, dx));
      bindings.push(overwrites === undefined ? write(dx) : readWrite(dx));
      const names = ([['dy', dy], ['x', x]] as const).map(([name, value]) => {
        if (sameMemory(value, dx)) return 'dx';
        bindings.push(read(value));
        others.push(`@group(0) @binding(${bindings.length}) var<storage, read> ${name}: array<${storageType(value, vector)}>;`);
        return name;
      });
      const inputs = { dy, x, mean, variance, gamma, beta };
      const vectors = [read(dy), read(x), read(mean), read(variance), read(gamma), read(beta)];
      return [
        normLaunch('norm_grad_sums', x, inputs, flags, 'runs', [...vectors, write(partial)], {}, vector),
        normLaunch('norm_grad_combine', x, { gamma: dgamma, beta: dbeta }, flags, 'channels',
          [read(partial), write(sums), write(dgamma), write(dbeta)], {}, vector),
        normLaunch('norm_grad_apply', x, { ...inputs, y: dx }, flags, 'elements', bindings,
          { OTHERS: others.join('\n'), DY: names[0], X: names[1] }, vector),
      ];
    },
  };
}

export const batchNormGradLowering = gradient(false, false);
export const normalizeGradLowering = gradient(false, true);
export const batchNormReluGradLowering = gradient(true, false);
