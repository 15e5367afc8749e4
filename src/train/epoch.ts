/** One epoch of a run: its steps, then its validation and its record. */
import { classCounts } from '../data/dataset.ts';
import { TrainingError } from '../errors.ts';
import type { Judgement } from './evaluate.ts';
import type { FitContext } from './fit-context.ts';
import type { Standing } from './fit-snapshot.ts';
import type { FitCallbacks } from './fit-types.ts';
import { EpochProgress } from './history.ts';
import { constantMetrics } from './metrics.ts';
import type { Stage } from './stage.ts';
import type { StepResult } from './step.ts';

/**
 * Takes the steps of the epoch that are left; false when the run's signal stopped them.
 *
 * @throws TrainingError when the loss is no number any more
 */
export async function takeSteps(
  { options: { signal }, lossScale, schedule }: FitContext, stage: Stage, standing: Standing, callbacks: FitCallbacks,
): Promise<boolean> {
  const { progress } = standing;
  const epoch = standing.history.length + 1;
  let late: { result: Promise<StepResult>; ids: Int32Array; where: string } | undefined;
  let loss = NaN;
  const settle = async (): Promise<void> => {
    if (late === undefined) return;
    const result = await late.result;
    if (result.undone && result.lossScale! <= lossScale!.minimum) {
      throw new TrainingError(`the gradients overflow float16 at ${late.where} although the loss is not scaled up any more; `
        + 'try a lower learning rate, or float32');
    }
    progress.add(result, late.ids, late.where);
    loss = result.loss;
    late = undefined;
  };
  if (progress.taken === 0 && !signal?.aborted) await callbacks.onEpochStart?.({ epoch, updates: standing.updates });
  while (!progress.complete && !signal?.aborted) {
    const begun = performance.now();
    const batch = await stage.loader.next();
    const rate = schedule({ update: standing.updates + 1, epoch });
    const { result } = await stage.trainStep.run(batch, standing.updates, rate);
    standing.updates++;
    standing.learningRate = rate;
    progress.steps = batch.steps;
    progress.taken = batch.step + 1;
    // The figures of the step before are read while the device works on this one.
    await settle();
    late = {
      result, ids: batch.sampleIds,
      where: `epoch ${epoch}, step ${progress.taken} of ${batch.steps} (update ${standing.updates}, learning rate ${rate})`,
    };
    if (progress.complete) await settle();
    progress.seconds += (performance.now() - begun) / 1000;
    const { taken, steps, objective } = progress;
    await callbacks.onBatch?.({ epoch, updates: standing.updates, step: taken, steps, batch: batch.shape[0], loss, objective });
  }
  await settle();
  return progress.complete;
}

/** Validates and records the epoch; false when the run's signal stopped that. */
export async function finishEpoch({ options }: FitContext, stage: Stage, standing: Standing, callbacks: FitCallbacks): Promise<boolean> {
  const { data, train, validation, validationData = data, batch, loader, signal, bootstrap, metric } = options;
  const { history, progress, updates, learningRate } = standing;
  const begun = performance.now();
  let judgement: Judgement | undefined;
  if (validation) {
    try {
      judgement = await stage.judge(validationData, validation, {
        ...loader, batch, signal, bootstrap, metric, onBatch: (done, total) => void callbacks.onValidation?.(done, total),
      });
    } catch (error) {
      if (signal?.aborted && error === signal.reason) return false;
      throw error;
    }
  }
  const judged = validation ? Array.from(validation, (i) => validationData.labels[i]) : Array.from(train, (i) => data.labels[i]);
  const shares = classCounts(data, train).map((count) => count / train.length);
  const seconds = progress.seconds + (performance.now() - begun) / 1000;
  history.push({
    epoch: history.length + 1, updates, learningRate,
    train: progress.metrics(data, { ...bootstrap, resamples: 0 }), objective: progress.objective, validation: judgement?.metrics,
    always: constantMetrics(judged, data.classes, { shares }),
    ...(metric && {
      metric: { train: progress.measure(metric, data, batch), ...(judgement && { validation: judgement.measured }) },
    }),
    seconds, imagesPerSecond: progress.taken * batch / progress.seconds,
  });
  standing.progress = new EpochProgress(stage.network.classes);
  return true;
}
