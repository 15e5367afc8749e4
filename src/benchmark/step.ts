/** Training steps of Inception-BN: f32, cross-entropy, SGD with momentum; the problem for all, and our own contestant. */
import { performance as nodePerformance } from 'node:perf_hooks';
import type { Device } from '../device/types.ts';
import { BenchmarkError } from '../errors.ts';
import { compile, grad, wrap } from '../fovea.ts';
import { writeSymbol } from '../formats/mxnet-symbol.ts';
import { arenaOf } from '../graph/arena.ts';
import { inceptionBN } from '../models/index.ts';
import { createVariables, initialize } from '../nn/parameters.ts';
import { internals } from '../nn/symbol.ts';
import { softmaxCrossEntropy } from '../ops/softmax-cross-entropy.ts';
import { sgd } from '../optim/index.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { timed } from './contest.ts';
import type { Check } from './check.ts';
import type { Contestant, StepProblem } from './types.ts';
import { generator } from './values.ts';

export interface StepSizes {
  readonly batch: number;
  readonly side: number;
  readonly width: number;
}

const classes = 2;

export function stepProblem({ batch, side, width }: StepSizes): StepProblem {
  const symbol = inceptionBN({ classes, width });
  const random = generator(1);
  return {
    kind: 'step', group: 'step', name: `inception-bn${width === 1 ? '' : ` width ${width}`} ${side}x${side}, batch ${batch}`, layers: [],
    symbol: writeSymbol(symbol), batch, side, classes, learningRate: 1e-4, momentum: 0.9,
    parameters: initialize(internals(symbol).fc1_output, { data: [batch, 3, side, side] }, { seed: 1 }),
    images: Uint8Array.from({ length: batch * side * side * 3 }, () => random() * 256),
    labels: Int32Array.from({ length: batch }, (_, i) => i % classes),
  };
}

/** Steps whose losses are compared: the second has seen an update. */
export const checkedSteps = 2;

/**
 * Losses against those of the first contestant that is asked about: the first step's within 0.1 %, and by how much the second, which
 * has seen an update, is lower, within 5 %. The learning rate is so low that this is it times the squared norm of all gradients, to
 * which the rule for whole networks allows 2 % (ReLUs at zero flip).
 */
export function lossCheck(problem: StepProblem): Check {
  let expected: ArrayLike<number> | undefined;
  return ([losses], who) => {
    const wanted = (expected ??= losses);
    const off = (got: number, want: number): number => Math.abs(got - want) / Math.abs(want);
    const fall = (of: ArrayLike<number>): number => of[0] - of[1];
    const said = (of: ArrayLike<number>): string => `${of[0].toFixed(5)}, ${of[1].toFixed(5)}`;
    if (off(losses[0], wanted[0]) <= 1e-3 && off(fall(losses), fall(wanted)) <= 0.05) return;
    throw new BenchmarkError(`${problem.name}, ${who}: the losses of two steps are ${said(losses)}, expected ${said(wanted)}`);
  };
}

/** The step on a device of ours, by `compile`. The loss of every step is read, so all work is done when the clock stops. */
export async function stepContestant(name: string, device: Device, problem: StepProblem, width: number): Promise<Contestant> {
  const { batch, side, images, labels, learningRate, momentum, parameters } = problem;
  const network = internals(inceptionBN({ classes, width })).fc1_output;
  const { counters } = device;
  const before = { ...counters };
  counters.peakBytes = counters.bytesAllocated;
  const started = performance.now();
  const { all, trainable } = createVariables(network, parameters);
  const optimizer = sgd(trainable, { momentum, device });
  const step = compile((pixels: Tensor, classOf: Tensor, rate: Tensor | number) => {
    const logits = network.apply(all, pixels.cast('float32').div(255), { training: true });
    const loss = softmaxCrossEntropy(logits, classOf).losses.mean();
    optimizer.update(grad(loss, trainable), rate);
    return loss;
  }, { device, name: 'training step' });
  const arguments_ = [wrap(images, [batch, side, side, 3], 'uint8'), wrap(labels, [batch], 'int32'), learningRate] as const;
  const { planned, bound, variables, own } = await step.prepare(...arguments_);
  const history: number[] = [];
  let firstStepSeconds: number | undefined;
  let compilations = 0;
  let busy = 0;
  let counted = 0;
  const once = async (): Promise<void> => {
    history.push(await (await step(...arguments_)).item());
    if (firstStepSeconds !== undefined) return;
    firstStepSeconds = (performance.now() - started) / 1000;
    compilations = counters.compilations - before.compilations;
  };
  return {
    name,
    async run(times) {
      // eventLoopUtilization counts what the main thread does, and not what it waits for.
      const from = nodePerformance.eventLoopUtilization();
      const milliseconds = await timed(times, once);
      busy += nodePerformance.eventLoopUtilization(from).active;
      counted += times;
      return milliseconds;
    },
    async result() {
      // Asked for before the counted runs: tracing and the first step do not count as a step's time.
      busy = counted = 0;
      return [history];
    },
    facts: async () => ({
      step: {
        firstStepSeconds: firstStepSeconds!, compilations, launches: step.programs[0].launchCount, mainThreadMs: busy / counted,
        memory: { arena: planned, bound, variables, own, peak: counters.peakBytes - before.bytesAllocated },
        rss: process.memoryUsage.rss(),
      },
    }),
    dispose() {
      step.dispose();
      optimizer.dispose();
      for (const variable of all.values()) variable.dispose();
      arenaOf(device).release();
    },
  };
}
