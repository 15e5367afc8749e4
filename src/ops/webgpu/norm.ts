/** Lowerings of batch statistics, normalization and its gradients. */
import type { AdapterKind, GpuFeatures, Lowering, Placed, Scratch, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { adapterKind, isVectorizable, sizeOf } from '../../device/types.ts';
import {
  boundOffset, f32, linearGrid, loadOf, read, readWrite, rowsOf, sameMemory, storageType, texture, TEXTURE_BYTES, write,
} from '../../device/webgpu/launch.ts';

interface NormAttrs {
  readonly epsilon: number;
  readonly fixGamma: boolean;
}

/**
 * Rows that one thread sums, at least, the most runs that a sum is cut into, and threads of a workgroup that adds up a channel's (0: one
 * thread does). Hardware wants hundreds of thousands of threads, software a few.
 */
const cuts = {
  software: { run: 128, splits: 512, lanes: 0 },
  hardware: { run: 32, splits: 8192, lanes: 64 },
} as const;

function splitsOf(x: TensorType, adapter: AdapterKind): { rows: number; channels: number; run: number; splits: number } {
  const channels = x.shape[x.shape.length - 1];
  const rows = sizeOf(x.shape) / channels;
  const run = Math.ceil(rows / Math.min(cuts[adapter].splits, Math.max(1, Math.ceil(rows / cuts[adapter].run))));
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

/** How a launch reads what it is given: software adapters through textures where they can, hardware from buffers. */
interface Reading {
  readonly adapter: AdapterKind;
  readonly load: typeof read;
  /** Rows that are covered: all, or as many as go through textures at a time. */
  readonly window: readonly [first: number, count: number];
}

/** A launch over elements or channels of `shape`, vectors of four where all that lie in it allow it. */
function normLaunch(
  shader: string, shape: TensorType, roles: Roles, flags: Flags, threads: 'elements' | 'runs' | 'channels',
  bindings: WebgpuLaunch['bindings'], replace: Readonly<Record<string, string | number>>, vector: boolean, { adapter, load, window: [first, count] }: Reading,
): WebgpuLaunch {
  const { rows, channels, run, splits } = splitsOf(shape, adapter);
  const unit = vector ? 4 : 1;
  const at = (v: Placed | undefined): number => (v === undefined ? 0 : boundOffset(v) / unit);
  const stride = (v: Placed | undefined): number => (v === undefined ? 0 : v.stride / unit);
  const c = channels / unit;
  const T = vector ? 'vec4f' : 'f32';
  const typeOf = (v: Placed | undefined): string => (v === undefined ? T : storageType(v, vector));
  const { x, dy, y, mean, variance, gamma, beta } = roles;
  return {
    adapter,
    shader,
    replace: {
      T, MASK: vector ? 'vec4<bool>' : 'bool', XT: typeOf(x), DYT: typeOf(dy), YT: typeOf(y), TEX: load === texture ? 1 : 0, ...replace,
    },
    uniforms: [
      rows, c, run, splits, f32(flags.epsilon ?? 0), flags.fixGamma === true ? 1 : 0, flags.relu === true ? 1 : 0,
      flags.frozen === true ? 1 : 0, at(x), stride(x), at(dy), stride(dy), at(y), stride(y), at(mean), at(variance), at(gamma), at(beta),
      count, first / run,
    ],
    bindings,
    grid: linearGrid(threads === 'elements' ? count * c : threads === 'runs' ? c * Math.ceil(count / run) : c * Math.max(1, cuts[adapter].lanes)),
    label: shader,
  };
}

/** What adds up all runs of each channel: by one thread, or by a workgroup. */
function combineLaunches(
  shader: string, shape: TensorType, roles: Roles, flags: Flags, bindings: WebgpuLaunch['bindings'], vector: boolean,
): WebgpuLaunch[] {
  return (['software', 'hardware'] as const).map((adapter) =>
    normLaunch(shader, shape, roles, flags, 'channels', bindings, { LANES: cuts[adapter].lanes }, vector,
      { adapter, load: read, window: [0, splitsOf(shape, adapter).rows] }));
}

/**
 * The launches of `make` for both kinds of adapter. What a software adapter reads through textures it takes in windows of whole runs of
 * rows, so that each value in `whole` keeps to TEXTURE_BYTES.
 */
function perAdapter(vector: boolean, whole: readonly Placed[], make: (reading: Reading) => WebgpuLaunch): WebgpuLaunch[] {
  const { rows, run } = splitsOf(whole[0], 'software');
  const load = loadOf(vector, ...whole);
  const rowBytes = 4 * Math.max(...whole.map((v) => v.stride));
  const step = load === texture ? run * Math.max(1, Math.floor(TEXTURE_BYTES / rowBytes / run)) : rows;
  return [
    ...Array.from({ length: Math.ceil(rows / step) }, (_, i) =>
      make({ adapter: 'software', load, window: [i * step, Math.min(step, rows - i * step)] })),
    make({ adapter: 'hardware', load: read, window: [0, rows] }),
  ];
}

/** Bytes for two partial results of every run. */
export function statisticsScratch(x: TensorType, features?: GpuFeatures): number {
  const { channels, splits } = splitsOf(x, adapterKind(features));
  return 8 * channels * splits;
}

/** mean and variance (biased) of x over all but the last axis. */
export function statisticsLaunches(x: Placed, mean: Placed, variance: Placed, scratch: Scratch): WebgpuLaunch[] {
  // Both launches must agree on the unit of the partial results.
  const roles = { x, mean, variance };
  const vector = canBeVector([x, mean, variance]);
  return [
    ...perAdapter(vector, [x], (reading) => {
      const part = rowsOf(x, ...reading.window);
      return normLaunch('norm_stats', x, { ...roles, x: part }, {}, 'runs', [reading.load(part), write(scratch)], {}, vector, reading);
    }),
    ...combineLaunches('norm_combine', x, roles, {}, [read(scratch), write(mean), write(variance)], vector),
  ];
}

function applyLaunches(
  x: Placed, mean: Placed, variance: Placed, gamma: Placed, beta: Placed, y: Placed, flags: Flags,
): WebgpuLaunch[] {
  const vector = canBeVector([x, mean, variance, gamma, beta, y]);
  return perAdapter(vector, [x], (reading) => {
    const { load, window } = reading;
    const [from, to] = [x, y].map((v) => rowsOf(v, ...window));
    // Through a texture what was there is read, whatever overwrites it.
    const inPlace = load === read && sameMemory(x, y);
    const vectors = [load(mean), load(variance), load(gamma), load(beta)];
    const bindings = inPlace ? [...vectors, readWrite(to)] : [...vectors, load(from), write(to)];
    return normLaunch('norm_apply', x, { x: from, mean, variance, gamma, beta, y: to }, flags, 'elements', bindings,
      { IN_PLACE: inPlace ? 1 : 0 }, vector, reading);
  });
}

type ActiveAttrs = NormAttrs & { readonly activation: 'none' | 'relu' };

export const batchNormLowering: Lowering<ActiveAttrs, WebgpuLaunch> = {
  scratch: ([x], _outputs, _attrs, features) => [statisticsScratch(x, features)],
  launches: ({ inputs: [x, gamma, beta], outputs: [y, mean, variance], scratch: [partial], attrs }) => [
    ...statisticsLaunches(x, mean, variance, partial),
    ...applyLaunches(x, mean, variance, gamma, beta, y, { ...attrs, relu: attrs.activation === 'relu' }),
  ],
};

export const normalizeLowering: Lowering<ActiveAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [x, mean, variance, gamma, beta], outputs: [y], attrs }) =>
    applyLaunches(x, mean, variance, gamma, beta, y, { ...attrs, relu: attrs.activation === 'relu' }),
};

function gradient(relu: boolean, frozen: boolean): Lowering<NormAttrs, WebgpuLaunch> {
  return {
    scratch: ([, x], _outputs, _attrs, features) => [statisticsScratch(x, features), 8 * x.shape[x.shape.length - 1]],
    launches({ inputs: [dy, x, mean, variance, gamma, ownBeta], outputs: [dx, dgamma, dbeta], scratch: [partial, sums], attrs }) {
      // Without an activation beta does not matter: mean fills its binding.
      const beta = ownBeta ?? mean;
      const flags = { ...attrs, relu, frozen };
      // One unit for all three, since partial results and sums pass between them.
      const all = [dy, x, dx, mean, variance, gamma, beta, dgamma, dbeta];
      const vector = canBeVector(all);
      const inputs = { dy, x, mean, variance, gamma, beta };
      return [
        ...perAdapter(vector, [dy, x], (reading) => {
          const [grads, from] = [dy, x].map((v) => rowsOf(v, ...reading.window));
          const bindings = [...[grads, from, mean, variance, gamma, beta].map((v) => reading.load(v)), write(partial)];
          return normLaunch('norm_grad_sums', x, { ...inputs, dy: grads, x: from }, flags, 'runs', bindings, {}, vector, reading);
        }),
        ...combineLaunches('norm_grad_combine', x, { gamma: dgamma, beta: dbeta }, flags,
          [read(partial), write(sums), write(dgamma), write(dbeta)], vector),
        ...perAdapter(vector, [dy, x], (reading) => {
          const { load, window } = reading;
          const [grads, from, to] = [dy, x, dx].map((v) => rowsOf(v, ...window));
          const inPlace = load === read && [dy, x].some((v) => sameMemory(v, dx));
          const bindings = [load(sums), load(mean), load(variance), load(gamma), load(beta), inPlace ? readWrite(to) : write(to)];
          const others = ([['dy', grads], ['x', from]] as const).map(([name, value]) => {
            const type = storageType(value, vector);
            if (load === read && sameMemory(value, to)) return `fn load${name === 'x' ? 'X' : 'Dy'}(i: u32) -> ${type} { return dx[i]; }`;
            bindings.push(load(value));
            return `//#input ${bindings.length} ${name} ${type} ${load === texture ? 1 : 0}`;
          });
          return normLaunch('norm_grad_apply', x, { ...inputs, dy: grads, x: from, y: to }, flags, 'elements', bindings,
            { OTHERS: others.join('\n') }, vector, reading);
        }),
      ];
    },
  };
}

export const batchNormGradLowering = gradient(false, false);
export const normalizeGradLowering = gradient(false, true);
export const batchNormReluGradLowering = gradient(true, false);
