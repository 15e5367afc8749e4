/** Whether a run's two steps fit on its device, before anything is allocated there. */
import type { Device } from '../device/types.ts';
import { OutOfMemoryError } from '../errors.ts';
import { fits, largestBatch, roomIsKnown, totalOf } from '../graph/out-of-memory.ts';
import type { ProgramMemory } from '../graph/planned.ts';
import type { EvaluationStep, StepBatch, TrainStep } from './step.ts';

export interface Steps {
  readonly device: Device;
  readonly imageShape: readonly [number, number, number];
  readonly train: TrainStep;
  readonly evaluation: EvaluationStep;
  readonly recompute: boolean;
  /** Of the augmentation; default 0. */
  readonly columns?: number;
}

export interface RunMemory {
  readonly train: ProgramMemory;
  readonly evaluation: ProgramMemory;
  /** Of both, which share variables and the arena, in bytes. */
  readonly total: number;
}

/**
 * Plans both steps for a batch.
 *
 * @throws OutOfMemoryError where they are known not to fit, with the largest batch for which they are not
 */
export async function planRun(steps: Steps, batch: number): Promise<RunMemory> {
  const planned = await planBoth(steps, batch);
  if (fits([planned.train, planned.evaluation], steps.device)) return planned;
  const fitting = await largestBatch(batch, async (n) => {
    const { train, evaluation } = await planBoth(steps, n);
    return fits([train, evaluation], steps.device);
  });
  const megabytes = Math.ceil(planned.total / 1e6);
  // Where only bindings are known, a batch that passes may yet find too little memory.
  const verb = roomIsKnown(steps.device) ? 'fits' : 'can be bound';
  throw new OutOfMemoryError(`a batch of ${batch} takes ${megabytes} MB, which do not fit on ${steps.device.name}; `
    + (fitting > 0 ? `the largest batch that ${verb} is ${fitting}` : `not even one image ${verb}`)
    + (steps.recompute ? '' : ', without recomputation'));
}

async function planBoth({ imageShape, train: trainStep, evaluation: evaluationStep, columns = 0 }: Steps, batch: number): Promise<RunMemory> {
  const form = emptyBatch(batch, imageShape, columns);
  const [train, evaluation] = [await trainStep.plan(form), await evaluationStep.plan(form)];
  return { train, evaluation, total: totalOf([train, evaluation]) };
}

/** A batch of a form, for planning: zeros. @param columns of the augmentation */
function emptyBatch(n: number, [height, width, channels]: readonly [number, number, number], columns: number): StepBatch {
  return {
    pixels: new Uint8Array(n * height * width * channels), labels: new Int32Array(n), sampleIds: new Int32Array(n),
    weights: new Float32Array(n), shape: [n, height, width, channels], augmentation: new Float32Array(n * columns),
  };
}
