/** Whether a run's steps fit on its device, before anything is allocated there. */
import type { Device } from '../device/types.ts';
import { OutOfMemoryError } from '../errors.ts';
import { fits, largestBatch, roomIsKnown, totalOf } from '../graph/out-of-memory.ts';
import type { ProgramMemory } from '../graph/planned.ts';
import type { EvaluationStep, StepBatch, TrainStep } from './step.ts';

export interface Steps {
  readonly device: Device;
  /** Of what the two steps read: an image, or its features. */
  readonly inputShape: readonly [number, number, number];
  readonly train: TrainStep;
  readonly evaluation: EvaluationStep;
  /** What computes features, of images of its shape. */
  readonly features?: { readonly step: EvaluationStep; readonly imageShape: readonly [number, number, number] };
  readonly recompute: boolean;
  /** Of the augmentation; default 0. */
  readonly columns?: number;
}

export interface RunMemory {
  readonly train: ProgramMemory;
  /** Of all steps, which share variables and the arena, in bytes. */
  readonly total: number;
}

/**
 * Plans the steps for a batch.
 *
 * @throws OutOfMemoryError where they are known not to fit, with the largest batch for which they are not
 */
export async function planRun(steps: Steps, batch: number): Promise<RunMemory> {
  const planned = await planAll(steps, batch);
  const total = totalOf(planned);
  if (fits(planned, steps.device)) return { train: planned[0], total };
  const fitting = await largestBatch(batch, async (n) => fits(await planAll(steps, n), steps.device));
  const megabytes = Math.ceil(total / 1e6);
  // Where only bindings are known, a batch that passes may yet find too little memory.
  const verb = roomIsKnown(steps.device) ? 'fits' : 'can be bound';
  throw new OutOfMemoryError(`a batch of ${batch} takes ${megabytes} MB, which do not fit on ${steps.device.name}; `
    + (fitting > 0 ? `the largest batch that ${verb} is ${fitting}` : `not even one image ${verb}`)
    + (steps.recompute ? '' : ', without recomputation'));
}

/** Of the training step first. */
async function planAll({ inputShape, train, evaluation, features, columns = 0 }: Steps, batch: number): Promise<ProgramMemory[]> {
  const form = emptyBatch(batch, inputShape, columns);
  const planned = [await train.plan(form), await evaluation.plan(form)];
  if (features) {
    const { variables, own, ...rest } = await features.step.plan(emptyBatch(batch, features.imageShape, 0));
    // Parameters before the features are no variables of the other steps.
    planned.push({ ...rest, variables: 0, own: own + variables });
  }
  return planned;
}

/** A batch of a form, for planning: zeros. @param columns of the augmentation */
function emptyBatch(n: number, [height, width, channels]: readonly [number, number, number], columns: number): StepBatch {
  return {
    pixels: new Uint8Array(n * height * width * channels), labels: new Int32Array(n), sampleIds: new Int32Array(n),
    weights: new Float32Array(n), shape: [n, height, width, channels], augmentation: new Float32Array(n * columns),
  };
}
