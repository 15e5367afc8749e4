/** Training steps of Inception-BN: f32, cross-entropy, SGD with momentum; the problem for all, and our own contestant. */
import { performance as nodePerformance } from 'node:perf_hooks';
import { BenchmarkError } from '../errors.ts';
import { compile, grad, wrap } from '../fovea.ts';
import { writeSymbol } from '../formats/mxnet-symbol.ts';
import type { Arena } from '../graph/arena.ts';
import { arenaOf } from '../graph/arena.ts';
import { inceptionBN } from '../models/index.ts';
import { createVariables, initialize } from '../nn/parameters.ts';
import { summarize } from '../nn/summary.ts';
import { internals } from '../nn/symbol.ts';
import { softmaxCrossEntropy } from '../ops/softmax-cross-entropy.ts';
import { sgd } from '../optim/index.ts';
import type { CompileOptions } from '../tensor/compile.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ResultCheck } from './contest.ts';
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

/**
 * Losses against those of the first contestant that is asked about: the first step's within 0.1 %, and by how much the second, which
 * has seen an update, is lower, within 5 % (ReLUs at zero flip). Where the last batch norms see fewer than 16 pixels, as with one image
 * of 64 x 64, their gradients magnify rounding until no two engines agree in the fall: there the first loss alone is held.
 */
export function lossCheck({ batch, side }: Pick<StepProblem, 'batch' | 'side'>): ResultCheck {
  const isFallHeld = batch * Math.ceil(side / 32) ** 2 >= ENOUGH_PIXELS;
  let expected: ArrayLike<number> | undefined;
  return ([losses], who) => {
    const wanted = (expected ??= losses);
    const off = (got: number, want: number): number => Math.abs(got - want) / Math.abs(want);
    const fall = (of: ArrayLike<number>): number => of[0] - of[1];
    const said = (of: ArrayLike<number>): string => `${of[0].toFixed(5)}, ${of[1].toFixed(5)}`;
    if (off(losses[0], wanted[0]) <= 1e-3 && Number.isFinite(losses[1]) && (!isFallHeld || off(fall(losses), fall(wanted)) <= 0.05)) return;
    throw new BenchmarkError(`${who}: the losses of two steps are ${said(losses)}, expected ${said(wanted)}`);
  };
}

/** Ways to compile one step, measured side by side. */
export const variants = {
  plain: {},
  recompute: { recompute: true },
} as const satisfies Record<string, Pick<CompileOptions, 'recompute'>>;

export type StepVariant = keyof typeof variants;

export const stepContestantName = (contestant: string, variant: StepVariant): string => (variant === 'plain' ? contestant : `${contestant}, ${variant}`);

/**
 * The step on a device of ours, by `compile`. The loss of every step is read, so all work is done when the clock stops. It is begun and
 * its first step made before others are on the device, so that times of the start and the peak of memory are its own.
 */
export async function stepContestant(target: Target, problem: StepProblem, width: number, variant: StepVariant): Promise<Contestant> {
  const { device, contestant, openSeconds } = target;
  const { batch, side, images, labels, learningRate, momentum, parameters } = problem;
  const network = internals(inceptionBN({ classes, width })).fc1_output;
  const { counters } = device;
  const arena = arenaOf(device);
  const others = sizesOf(arena);
  arena.release();
  const before = { ...counters };
  counters.peakBytes = counters.bytesAllocated;
  const { all, trainable } = createVariables(network, parameters);
  const optimizer = sgd(trainable, { momentum, device });
  const step = compile((pixels: Tensor, classOf: Tensor, rate: Tensor | number) => {
    const logits = network.apply(all, pixels.cast('float32').div(255), { training: true });
    const loss = softmaxCrossEntropy(logits, classOf).losses.mean();
    optimizer.update(grad(loss, trainable), rate);
    return loss;
  }, { device, name: 'training step', ...variants[variant] });
  const arguments_ = [wrap(images, [batch, side, side, 3], 'uint8'), wrap(labels, [batch], 'int32'), learningRate] as const;
  const dispose = (): void => {
    step.dispose();
    optimizer.dispose();
    for (const variable of all.values()) variable.dispose();
    arena.release();
  };
  const history: number[] = [];
  const once = async (): Promise<void> => void history.push(await (await step(...arguments_)).item());
  try {
    const marks = [performance.now()];
    const mark = (): void => void marks.push(performance.now());
    await step.plan(...arguments_);
    mark();
    // Traces and plans again: what is left of its time is allocation, encoding and compilation.
    const { planned, bound, variables, own, staging } = await step.prepare(...arguments_);
    mark();
    await once();
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
      async run(times) {
        // eventLoopUtilization counts what the main thread does, and not what it waits for.
        const from = nodePerformance.eventLoopUtilization();
        const encoded = counters.encodeMs;
        const milliseconds = await timed(times, once);
        busy += nodePerformance.eventLoopUtilization(from).active;
        encoding += counters.encodeMs - encoded;
        counted += times;
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
          mainThreadMs: busy / counted, ...(device.kind === 'webgpu' && { encodeMs: encoding / counted }),
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
