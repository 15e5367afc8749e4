/**
 * Learning rates by time. Those that count updates are MXNet 1.9's lr_scheduler, number for number: the first update is 1
 * (0 gives the first value too).
 */
import type { MathNode } from 'mathjs';
import { OptionError } from '../errors.ts';

export interface ScheduleTime {
  /** Updates so far, this one included. */
  readonly update: number;
  /** The epoch, 1 for the first. */
  readonly epoch: number;
}

/** The learning rate of an update. Pure: asked again it says the same, so a resumed run needs no state of it. */
export type Schedule = (time: ScheduleTime) => number;

/** One rate for all. */
export function fixed(learningRate: number): Schedule {
  positive('learningRate', learningRate);
  return () => learningRate;
}

export interface DecayOptions {
  readonly learningRate: number;
  readonly gamma: number;
  /** What t counts: updates, or epochs less one. Default epochs. */
  readonly per?: 'epoch' | 'update';
}

function elapsed(time: ScheduleTime, per: 'epoch' | 'update' = 'epoch'): number {
  return per === 'epoch' ? Math.max(0, time.epoch - 1) : Math.max(0, time.update - 1);
}

/** learningRate * gamma^t, MXNet.jl's LearningRate.Exp. */
export function exponential({ learningRate, gamma, per }: DecayOptions): Schedule {
  positive('learningRate', learningRate);
  inRange('gamma', gamma, 0, 1);
  return (time) => learningRate * gamma ** elapsed(time, per);
}

/** learningRate * (1 + gamma * t)^-power, MXNet.jl's LearningRate.Inv. Default power 0.5. */
export function inverse({ learningRate, gamma, per, power = 0.5 }: DecayOptions & { readonly power?: number }): Schedule {
  positive('learningRate', learningRate);
  inRange('gamma', gamma, 0, Infinity);
  return (time) => learningRate * (1 + gamma * elapsed(time, per)) ** -power;
}

/**
 * A schedule ahead of which the rate rises linearly, from `begin` to `to`.
 *
 * @param options.to default: what the schedule says at update `steps`
 * @throws OptionError for options out of range
 */
export function warmup(after: Schedule, { steps, begin = 0, to }: {
  /** Updates over which it rises. */
  readonly steps: number; readonly begin?: number; readonly to?: number;
}): Schedule {
  count('warmupSteps', steps, 0);
  inRange('warmupBegin', begin, 0, to ?? Infinity);
  return ({ update, epoch }) => {
    if (update >= steps) return after({ update, epoch });
    return begin + (((to ?? after({ update: steps, epoch })) - begin) * update) / steps;
  };
}

export interface WarmupOptions {
  readonly learningRate: number;
  /** Updates over which the rate rises linearly from `warmupBegin` to `learningRate`; default 0. */
  readonly warmupSteps?: number;
  readonly warmupBegin?: number;
}

function withWarmup({ learningRate, warmupSteps = 0, warmupBegin = 0 }: WarmupOptions, after: (update: number) => number): Schedule {
  positive('learningRate', learningRate);
  return warmup(({ update }) => after(update), { steps: warmupSteps, begin: warmupBegin, to: learningRate });
}

/** The rate times `factor` after every `step` updates (FactorScheduler), or after each of a list of updates (MultiFactorScheduler). */
export function step(options: WarmupOptions & {
  readonly step: number | readonly number[];
  readonly factor: number;
  /** The least rate of the first form; default 1e-8. */
  readonly stopRate?: number;
}): Schedule {
  const { learningRate, step: steps, factor, stopRate = 1e-8 } = options;
  inRange('factor', factor, 0, 1);
  if (typeof steps === 'number') {
    count('step', steps, 1);
    return withWarmup(options, (update) => {
      let rate = learningRate;
      for (let n = Math.ceil(update / steps) - 1; n > 0 && rate > stopRate; n--) rate = Math.max(rate * factor, stopRate);
      return rate;
    });
  }
  steps.forEach((s, i) => {
    count('step', s, 1);
    if (i > 0 && s <= steps[i - 1]) throw new OptionError(`step: expected rising numbers, got ${steps.join(', ')}`);
  });
  return withWarmup(options, (update) => steps.reduce((rate, s) => (update > s ? rate * factor : rate), learningRate));
}

interface ToEnd extends WarmupOptions {
  /** The update from which on the rate is `finalRate`. */
  readonly maxUpdate: number;
  /** Default 0. */
  readonly finalRate?: number;
}

function toEnd(options: ToEnd, shape: (t: number) => number): Schedule {
  const { learningRate, maxUpdate, warmupSteps = 0, finalRate = 0 } = options;
  count('maxUpdate', maxUpdate, warmupSteps + 1);
  inRange('finalRate', finalRate, 0, Infinity);
  return withWarmup(options, (update) => {
    const t = Math.min(1, (update - warmupSteps) / (maxUpdate - warmupSteps));
    return finalRate + (learningRate - finalRate) * shape(t);
  });
}

/** Falls as (1 - t)^power. Default power 2. */
export function polynomial(options: ToEnd & { readonly power?: number }): Schedule {
  const { power = 2 } = options;
  return toEnd(options, (t) => (1 - t) ** power);
}

/** Falls along half a cosine (Loshchilov and Hutter 2017). */
export function cosine(options: ToEnd): Schedule {
  return toEnd(options, (t) => (1 + Math.cos(Math.PI * t)) / 2);
}

/** Names that an expression may use beside functions and numbers. */
const names = ['epoch', 'update', 'pi', 'e'];
const functions = ['abs', 'ceil', 'cos', 'exp', 'floor', 'log', 'max', 'min', 'pow', 'round', 'sin', 'sqrt'];

/**
 * A rate as an expression over `epoch` (from 1) and `update` (from 1): `0.01 * 0.94 ^ epoch`. Parsed by mathjs, once.
 *
 * @param constants further names that it may use, such as the number of epochs
 * @throws OptionError at once for what is no expression, names that are unknown, or a first value that is no rate
 */
export async function expression(text: string, constants: Readonly<Record<string, number>> = {}): Promise<Schedule> {
  const { parse } = await import('mathjs/number');
  let tree: MathNode;
  try {
    tree = (parse as (text: string) => MathNode)(text);
  } catch (error) {
    throw new OptionError(`learning rate "${text}": ${(error as Error).message}`, { cause: error });
  }
  const allowed = [
    'ConstantNode', 'OperatorNode', 'ParenthesisNode', 'FunctionNode', 'SymbolNode', 'ConditionalNode', 'RelationalNode',
  ];
  tree.traverse((node, path) => {
    if (!allowed.includes(node.type)) throw new OptionError(`learning rate "${text}": ${node.toString()} cannot be used here`);
    if (node.type !== 'SymbolNode') return;
    const { name } = node as unknown as { name: string };
    const known = path === 'fn' ? functions : [...names, ...Object.keys(constants)];
    if (!known.includes(name)) {
      throw new OptionError(`learning rate "${text}": unknown ${path === 'fn' ? 'function' : 'name'} "${name}"; ` +
        `expected ${known.join(', ')}`);
    }
  });
  const code = tree.compile();
  const schedule: Schedule = ({ epoch, update }) => {
    const rate: unknown = code.evaluate({ ...constants, epoch, update });
    if (typeof rate !== 'number' || !Number.isFinite(rate) || rate < 0) {
      throw new OptionError(`learning rate "${text}" gives ${String(rate)} at epoch ${epoch}, update ${update}`);
    }
    return rate;
  };
  schedule({ epoch: 1, update: 1 });
  return schedule;
}

function positive(name: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value))) throw new OptionError(`${name}: expected a positive number, got ${value}`);
}

function inRange(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) throw new OptionError(`${name}: expected a number from ${low} to ${high}, got ${value}`);
}

function count(name: string, value: number, low: number): void {
  if (!Number.isSafeInteger(value) || value < low) throw new OptionError(`${name}: expected an integer of ${low} or more, got ${value}`);
}
