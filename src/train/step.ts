/** The two compiled functions of training: a step that learns, and a step that only looks. */
import type { Augmenter } from '../data/augmenter.ts';
import type { Batch, TrainBatch } from '../data/loader.ts';
import type { Device, HostData, Shape } from '../device/types.ts';
import { apply, compile, grad, tensor, wrap } from '../fovea.ts';
import { isLeaf } from '../graph/leaves.ts';
import { getOp } from '../graph/op.ts';
import type { ProgramMemory } from '../graph/planned.ts';
import type { LossScale } from '../optim/loss-scale.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import type { CompiledFunction } from '../tensor/compile.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CheckStepOptions, StepCheck } from '../testing/check-step.ts';
import { checkStep } from '../testing/check-step.ts';
import type { Network } from './network.ts';
import type { Normalization } from './preprocess.ts';
import { preprocess } from './preprocess.ts';

export interface StepOptions {
  readonly network: Network;
  readonly device: Device;
  readonly normalization: Normalization;
  readonly classWeights: readonly number[];
}

export interface TrainStepOptions extends StepOptions {
  readonly optimizer: Optimizer;
  /** Makes the step one of mixed precision. */
  readonly lossScale?: LossScale;
  /** Default: images are taken as they are. */
  readonly augmenter?: Augmenter;
  /** Of the random ops: augmentation, dropout. An integer below 2^31. */
  readonly seed: number;
  /** Less memory for a little time, with equal bits; see `CompileOptions`. Default false. */
  readonly recompute?: boolean;
}

/** What a step says when it is asked, one call later or at once. */
export interface StepResult {
  /** Mean over the batch of the class-weighted cross-entropy: what is minimised. */
  readonly loss: number;
  /** Batch x classes, of the network before this step's update. */
  readonly probabilities: Float32Array;
  /** Of a mixed step: the scale that its loss had, and whether its gradients overflowed, so that it was undone. */
  readonly lossScale?: number;
  readonly undone?: boolean;
}

/** Softmax cross-entropy of logits [N, C] with labels int32 [N]: losses [N], times class and sample weights, and [N, C]. */
function crossEntropy(logits: Tensor, labels: Tensor, classWeights: readonly number[], weights: Tensor): [Tensor, Tensor] {
  const inputs = [logits, labels, tensor(Float32Array.from(classWeights)), weights];
  return apply(getOp('softmaxCrossEntropy'), inputs, { ignoreLabel: null }) as [Tensor, Tensor];
}

/** Without draws, random numbers are drawn by sample ids; without `augmentation`, images are taken as they are. */
export type StepBatch = Batch & Partial<Pick<TrainBatch, 'draws' | 'augmentation' | 'epoch'>>;

type Always = [pixels: Tensor, labels: Tensor, weights: Tensor, draws: Tensor, step: Tensor, epoch: Tensor, learningRate: number];
type TrainArguments = [...Always, settings?: Tensor];

/**
 * One step of training: bytes, labels and a learning rate in; loss and probabilities out; parameters, moments and moving
 * statistics updated in place. Compiled once; later calls allocate nothing on the device. Features in place of images are neither
 * normalised nor augmented.
 */
export class TrainStep {
  readonly #run: CompiledFunction<TrainArguments, Tensor[]>;
  readonly #features: Shape | undefined;

  constructor(options: TrainStepOptions) {
    const { network, device, normalization, classWeights, optimizer, lossScale, augmenter, seed, recompute } = options;
    const { features } = network;
    this.#features = features;
    const seedTensor = wrap(Int32Array.of(seed), [], 'int32');
    const step = (
      samples: Tensor, labels: Tensor, weights: Tensor, draws: Tensor, count: Tensor, epoch: Tensor, rate: Tensor, settings?: Tensor,
    ): Tensor[] => {
      const keys = { seed: seedTensor, epoch, draws };
      const augmented = (images: Tensor): Tensor => (augmenter && settings ? augmenter.apply(images, settings, keys, normalization) : images);
      const random = { seed: seedTensor, step: count, ids: draws };
      const x = features ? samples : preprocess(augmented(samples.cast('float32')), normalization);
      const logits = network.logits.apply(network.variables.all, { data: x }, { training: true, random });
      const [losses, probabilities] = crossEntropy(logits, labels, classWeights, weights);
      const loss = losses.mean();
      const { trainable } = network.variables;
      if (lossScale === undefined) {
        optimizer.update(grad(loss, trainable), rate);
        return [loss, probabilities];
      }
      const scale = lossScale.scale.read();
      const { finite } = optimizer.update(grad(lossScale.scaled(loss), trainable), rate, lossScale)!;
      return [loss, probabilities, scale, finite];
    };
    this.#run = compile(step as unknown as (...args: TrainArguments) => Tensor[], {
      device, name: 'training step', mixed: lossScale !== undefined, recompute,
    });
  }

  /**
   * Takes a step. Resolves when the device has taken the work and the batch may be reused; what it gives resolves when the
   * figures are there, so that they may be waited for during the next step.
   *
   * @param count of steps taken before, which random ops draw by
   */
  async run(batch: StepBatch, count: number, learningRate: number): Promise<{ readonly result: Promise<StepResult> }> {
    const outputs = await this.#run(...argumentsOf(batch, count, learningRate, this.#features));
    const result = Promise.all(outputs.map(readLate)).then(([loss, probabilities, scale, finite]) => ({
      loss: loss[0], probabilities: probabilities as Float32Array,
      ...(scale && { lossScale: scale[0], undone: finite[0] === 0 }),
    }));
    result.catch(() => {}); // reported to whoever awaits it
    return { result };
  }

  /** Takes a step as `run` does and holds every op of it to the reference. */
  check(batch: StepBatch, count: number, learningRate: number, options: CheckStepOptions): Promise<StepCheck> {
    return checkStep(this.#run, argumentsOf(batch, count, learningRate, this.#features), options);
  }

  /** Compiles for batches of this form and says what memory the Program takes. */
  prepare(batch: StepBatch): Promise<ProgramMemory> {
    return this.#run.prepare(...argumentsOf(batch, 0, 0, this.#features));
  }

  /** What `prepare` would say for batches of this form; allocates nothing. */
  plan(batch: StepBatch): Promise<ProgramMemory> {
    return this.#run.plan(...argumentsOf(batch, 0, 0, this.#features));
  }

  dispose(): void {
    this.#run.dispose();
  }
}

/** Inference: moving statistics, no augmentation, nothing learnt or changed. */
export class EvaluationStep {
  readonly #run: CompiledFunction<[pixels: Tensor], Tensor>;
  readonly #features: Shape | undefined;
  readonly classes: number;

  constructor({ network, device, normalization }: Omit<StepOptions, 'classWeights'>) {
    const { features } = network;
    this.classes = network.classes;
    this.#features = features;
    this.#run = compile(
      (pixels: Tensor) => network.logits.apply(network.variables.all, { data: features ? pixels : preprocess(pixels, normalization) }),
      { device, name: 'evaluation step' },
    );
  }

  /** Compiles for batches of this form and says what memory the Program takes. */
  prepare(batch: Pick<Batch, 'pixels' | 'shape'>): Promise<ProgramMemory> {
    return this.#run.prepare(samplesOf(batch, this.#features));
  }

  /** What `prepare` would say; allocates nothing. */
  plan(batch: Pick<Batch, 'pixels' | 'shape'>): Promise<ProgramMemory> {
    return this.#run.plan(samplesOf(batch, this.#features));
  }

  /** Logits, batch x classes. The inner promise as of `TrainStep.run`. */
  async run(batch: Pick<Batch, 'pixels' | 'shape'>): Promise<{ readonly logits: Promise<Float32Array> }> {
    const logits = readLate(await this.#run(samplesOf(batch, this.#features))) as Promise<Float32Array>;
    logits.catch(() => {});
    return { logits };
  }

  dispose(): void {
    this.#run.dispose();
  }
}

/** The images of a batch; its features, of which the bytes are given. */
function samplesOf({ pixels, shape }: Pick<Batch, 'pixels' | 'shape'>, features: Shape | undefined): Tensor {
  if (features === undefined) return wrap(pixels, shape, 'uint8');
  return wrap(new Float32Array(pixels.buffer, pixels.byteOffset, pixels.byteLength / 4), [shape[0], ...features], 'float32');
}

function argumentsOf(batch: StepBatch, count: number, learningRate: number, features: Shape | undefined): TrainArguments {
  const n = batch.shape[0];
  const { draws = batch.sampleIds, augmentation, epoch = 0 } = batch;
  const always: Always = [
    samplesOf(batch, features),
    wrap(batch.labels, [n], 'int32'),
    wrap(batch.weights, [n], 'float32'),
    wrap(draws, [n], 'int32'),
    wrap(Int32Array.of(count), [], 'int32'),
    wrap(Int32Array.of(epoch), [], 'int32'),
    learningRate,
  ];
  return augmentation?.length ? [...always, wrap(augmentation, [n, augmentation.length / n], 'float32')] : always;
}

/**
 * Asks for a result of a compiled function without taking a turn in the queue of evaluations, in which the next step would
 * have to wait for it.
 */
function readLate(result: Tensor): Promise<HostData> {
  const { node } = result.value;
  if (isLeaf(node) && node.source.kind === 'output') return node.source.output.read();
  return result.data();
}
