/** Training steps of Inception-BN: f32, cross-entropy, SGD with momentum; the problem for all, and our own contestant. */
import { performance as nodePerformance } from 'node:perf_hooks';
import { BenchmarkError, DeviceError } from '../errors.ts';
import { compile, grad, wrap } from '../fovea.ts';
import { writeSymbol } from '../formats/mxnet-symbol.ts';
import type { Arena } from '../graph/arena.ts';
import { arenaOf } from '../graph/arena.ts';
import type { Leaf } from '../graph/leaves.ts';
import { runReference } from '../graph/reference.ts';
import { inceptionBN } from '../models/index.ts';
import { createVariables, initialize } from '../nn/parameters.ts';
import { summarize } from '../nn/summary.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { internals } from '../nn/symbol.ts';
import { softmaxCrossEntropy } from '../ops/softmax-cross-entropy.ts';
import { LossScale, sgd } from '../optim/index.ts';
import type { CompileOptions } from '../tensor/compile.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Variable } from '../tensor/variable.ts';
import type { Check, Outcome } from './contest.ts';
import { timed } from './contest.ts';
import type { Target } from './targets.ts';
import type { Contestant, StepProblem } from './types.ts';
import { generator } from './values.ts';

export interface StepSizes {
  readonly batch: number;
  readonly side: number;
  readonly width: number;
}

const classes = 2;

export const stepName = ({ batch, side, width }: StepSizes): string => `inception-bn${width === 1 ? '' : ` width ${width}`} ${side}x${side}, batch ${batch}`;

/** FLOP of convolutions and products: once forward, and once for each of the two gradients. */
export function stepFlop({ batch, side, width }: StepSizes): number {
  const layers = summarize(inceptionBN({ classes, width }), { data: [batch, 3, side, side] });
  return layers.reduce((sum, l) => sum + l.multiplyAdds, 0) * 2 * 3;
}

export function stepProblem(sizes: StepSizes): StepProblem {
  const { batch, side, width } = sizes;
  const symbol = inceptionBN({ classes, width });
  const random = generator(1);
  return {
    kind: 'step', group: 'step', name: stepName(sizes), layers: [],
    symbol: writeSymbol(symbol), batch, side, classes, learningRate: 1e-4, momentum: 0.9,
    parameters: initialize(internals(symbol).fc1_output, { data: [batch, 3, side, side] }, { seed: 1 }),
    images: Uint8Array.from({ length: batch * side * side * 3 }, () => random() * 256),
    labels: Int32Array.from({ length: batch }, (_, i) => i % classes),
  };
}

/** Steps whose losses are compared: the second has seen an update. */
export const checkedSteps = 2;

/** Pixels over which the last layers' statistics must go for the fall of the loss to be comparable. */
const ENOUGH_PIXELS = 16;

/** Whose figures pass through 16 bits, or the 19 of TF32. */
const isMixed = (who: string): boolean => /, (mixed|bfloat16|tf32|tf32, recompute)$/.test(who);

/**
 * Whether two contestants' losses of two steps are alike: the first step's within 0.1 %, and by how much the second, which has seen an
 * update, is lower, within 5 % (ReLUs at zero flip); with 16 bits in one of them within 1 % and 25 %. Where the last batch norms see fewer
 * than 16 pixels, as with one image of 64 x 64, their gradients magnify rounding until no two engines agree in the fall: there the first
 * loss alone is held.
 */
function alike({ batch, side }: Pick<StepProblem, 'batch' | 'side'>, got: ArrayLike<number>, want: ArrayLike<number>, mixed: boolean): boolean {
  const off = (a: number, b: number): number => Math.abs(a - b) / Math.abs(b);
  const fall = (of: ArrayLike<number>): number => of[0] - of[1];
  const [first, later] = mixed ? [1e-2, 0.25] : [1e-3, 0.05];
  const isFallHeld = batch * Math.ceil(side / 32) ** 2 >= ENOUGH_PIXELS;
  return off(got[0], want[0]) <= first && Number.isFinite(got[1]) && (!isFallHeld || off(fall(got), fall(want)) <= later);
}

const saidOf = (losses: ArrayLike<number>, want?: ArrayLike<number>): string => {
  const both = (of: ArrayLike<number>): string => `${of[0].toFixed(5)}, ${of[1].toFixed(5)}`;
  return `the losses of two steps are ${both(losses)}${want === undefined ? '' : `, expected ${both(want)}`}`;
};

/**
 * Losses are held to each other: right are those that most engines have, each with one vote whatever the number of its contestants; where
 * two lists of engines are as long, the first one's, which is ours (and is held to the float64 reference: `referenceFailure`).
 */
export function lossCheck(problem: Pick<StepProblem, 'batch' | 'side'>): Check {
  const engineOf = (who: string): string => who.split(',')[0];
  return {
    one([losses], who) {
      if (!Number.isFinite(losses[0]) || !Number.isFinite(losses[1])) throw new BenchmarkError(`${who}: ${saidOf(losses)}`);
    },
    among(outcomes) {
      const agree = (a: Outcome, b: Outcome): boolean => alike(problem, a.results[0], b.results[0], isMixed(a.who) || isMixed(b.who));
      const votes = (one: Outcome): number => new Set(outcomes.filter((other) => agree(other, one)).map((o) => engineOf(o.who))).size;
      const [right] = outcomes.filter((o) => !isMixed(o.who)).sort((a, b) => votes(b) - votes(a));
      if (right === undefined) return new Map();
      return new Map(outcomes.filter((o) => !agree(o, right)).map((o) => [o.who, `${o.who}: ${saidOf(o.results[0], right.results[0])}`]));
    },
  };
}

/** Ways to compile one step, measured side by side. */
export const variants = {
  plain: {},
  recompute: { recompute: true },
  mixed: { mixed: true },
} as const satisfies Record<string, Pick<CompileOptions, 'recompute' | 'mixed'>>;

export type StepVariant = keyof typeof variants;

export const stepContestantName = (contestant: string, variant: StepVariant): string => (variant === 'plain' ? contestant : `${contestant}, ${variant}`);

/** Of the loss in mixed steps: low enough that none is undone, so that all steps that are timed do the same. */
const SCALE = 2 ** 10;

const networkOf = (width: number): ModelSymbol => internals(inceptionBN({ classes, width })).fc1_output;

const inputsOf = ({ batch, side, images, labels }: StepProblem): [Tensor, Tensor] =>
  [wrap(images, [batch, side, side, 3], 'uint8'), wrap(labels, [batch], 'int32')];

function lossOf(network: ModelSymbol, variables: ReadonlyMap<string, Variable>, pixels: Tensor, classOf: Tensor): Tensor {
  const logits = network.apply(variables, pixels.cast('float32').div(255), { training: true });
  return softmaxCrossEntropy(logits, classOf).losses.mean();
}

/**
 * The step on a device of ours, by `compile`. The loss of the last step of a row is read, so all work is done when the clock stops. It is begun and
 * its first step made before others are on the device, so that times of the start and the peak of memory are its own.
 *
 * @throws DeviceError for mixed precision on a device without float16
 */
export async function stepContestant(target: Target, problem: StepProblem, width: number, variant: StepVariant): Promise<Contestant> {
  const { device, contestant, openSeconds } = target;
  const { learningRate, momentum, parameters } = problem;
  if (variant === 'mixed' && device.half === undefined) throw new DeviceError(`${device.name} has no float16 (shader-f16) and no bfloat16`);
  const network = networkOf(width);
  const { counters } = device;
  const arena = arenaOf(device);
  const others = sizesOf(arena);
  arena.release();
  const before = { ...counters };
  counters.peakBytes = counters.bytesAllocated;
  const { all, trainable } = createVariables(network, parameters);
  const optimizer = sgd(trainable, { momentum, device });
  const lossScale = variant === 'mixed' ? new LossScale({ device, initial: SCALE }) : undefined;
  const step = compile((pixels: Tensor, classOf: Tensor, rate: Tensor | number) => {
    const loss = lossOf(network, all, pixels, classOf);
    if (lossScale === undefined) optimizer.update(grad(loss, trainable), rate);
    else optimizer.update(grad(lossScale.scaled(loss), trainable), rate, lossScale);
    return loss;
  }, { device, name: 'training step', ...variants[variant] });
  const arguments_ = [...inputsOf(problem), learningRate] as const;
  const dispose = (): void => {
    step.dispose();
    optimizer.dispose();
    lossScale?.dispose();
    for (const variable of all.values()) variable.dispose();
    arena.release();
  };
  const history: number[] = [];
  let last: Tensor | undefined;
  const begin = async (): Promise<void> => void (last = await step(...arguments_));
  const finish = async (): Promise<void> => void history.push(await last!.item());
  try {
    const marks = [performance.now()];
    const mark = (): void => void marks.push(performance.now());
    await step.plan(...arguments_);
    mark();
    // Traces and plans again: what is left of its time is allocation, encoding and compilation.
    const { planned, bound, variables, own, staging } = await step.prepare(...arguments_);
    mark();
    await begin();
    await finish();
    mark();
    const [plan, prepare, first] = marks.slice(1).map((at, i) => (at - marks[i]) / 1000);
    const compilations = counters.compilations - before.compilations;
    const peak = counters.peakBytes - before.bytesAllocated;
    const textures = counters.textureBytes - before.textureBytes;
    // Large enough for all on the device: Programs bind to it while they warm up, and in no run that counts.
    arena.ensure(others);
    let busy = 0;
    let counted = 0;
    let encoding = 0;
    return {
      name: stepContestantName(contestant, variant),
      async run(times, queued = 1) {
        // eventLoopUtilization counts what the main thread does, and not what it waits for.
        const from = nodePerformance.eventLoopUtilization();
        const encoded = counters.encodeMs;
        const milliseconds = await timed(times, begin, queued, finish);
        busy += nodePerformance.eventLoopUtilization(from).active;
        encoding += counters.encodeMs - encoded;
        counted += times * queued;
        return milliseconds;
      },
      async result() {
        // Asked for before the counted runs: warming up does not count as a step's time.
        busy = encoding = counted = 0;
        return [history];
      },
      facts: async () => ({
        step: {
          start: { open: openSeconds, plan, compile: Math.max(0, prepare - plan), first }, compilations, launches: step.programs[0].launchCount,
          mainThreadMs: busy / counted, ...(device.kind !== 'cpu' && { encodeMs: encoding / counted }),
          memory: { arena: planned, bound, variables, own, peak, staging, textures }, rss: process.memoryUsage.rss(),
        },
      }),
      dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

function sizesOf(arena: Arena): number[] {
  const sizes: number[] = [];
  for (let i = 0; arena.bytesOf(i) > 0; i++) sizes.push(arena.bytesOf(i));
  return sizes;
}

/** The step by which ours are held to the float64 reference: small enough for its plain loops, large enough for the fall to be held. */
const small: StepSizes = { batch: 16, side: 64, width: 0.125 };
let smallLosses: [number, number] | undefined;

/** Losses of two steps by the ops' float64 references: the second with parameters that the first one's gradients have moved. */
export function referenceLosses(problem: StepProblem, width: number): [number, number] {
  const { parameters, learningRate } = problem;
  const { all, trainable } = createVariables(networkOf(width), parameters);
  const loss = lossOf(networkOf(width), all, ...inputsOf(problem));
  const held = new Map([...parameters.arguments, ...parameters.auxiliary].map(([name, { data }]) => [name, Float64Array.from(data as Float32Array)]));
  const leafData = (leaf: Leaf): Float64Array | undefined => (leaf.source.kind === 'variable' ? held.get(leaf.source.cell.name) : undefined);
  const [[first], ...gradients] = runReference([loss, ...grad(loss, trainable)].map((t) => t.value), leafData);
  // The momentum of a first step is its gradient.
  trainable.forEach(({ name }, i) => held.set(name, held.get(name)!.map((v, at) => v - learningRate * gradients[i][at])));
  const [[second]] = runReference([loss.value], leafData);
  for (const variable of all.values()) variable.dispose();
  return [first, second];
}

/** What is wrong with two steps of a small network on a device of ours, by the float64 reference; undefined where nothing is. */
export async function referenceFailure(target: Target, variant: StepVariant): Promise<string | undefined> {
  const problem = stepProblem(small);
  const contestant = await stepContestant(target, problem, small.width, variant);
  try {
    await contestant.run(checkedSteps);
    const [losses] = await contestant.result();
    const expected = (smallLosses ??= referenceLosses(problem, small.width));
    return alike(problem, losses, expected, isMixed(contestant.name)) ? undefined
      : `${contestant.name}, ${problem.name}, by the float64 reference: ${saidOf(losses, expected)}`;
  } finally {
    await contestant.dispose();
  }
}
