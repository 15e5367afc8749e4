/** Running a network over samples in inference mode. */
import type { Dataset } from '../data/dataset.ts';
import type { LoaderOptions } from '../data/loader.ts';
import { evaluationBatches } from '../data/loader.ts';
import type { Metrics } from './metrics.ts';
import { evaluatePredictions } from './metrics.ts';
import type { BootstrapOptions } from './statistics.ts';
import type { EvaluationStep } from './step.ts';

export interface PredictOptions extends LoaderOptions {
  readonly batch: number;
  /** Called after each batch with how many samples are done. */
  readonly onBatch?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Logits of samples, samples x classes, in the order given. The last batch is padded to full length; what the network says
 * of the padding is dropped.
 *
 * @throws what `signal` was aborted with
 */
export async function predictLogits(
  step: EvaluationStep, data: Dataset, indices: ArrayLike<number>, options: PredictOptions,
): Promise<Float32Array> {
  const { batch, onBatch, signal, prefetch, workers } = options;
  const out = new Float32Array(indices.length * step.classes);
  let done = 0;
  let last: { logits: Promise<Float32Array>; at: number; count: number } | undefined;
  const settle = async (): Promise<void> => {
    if (last === undefined) return;
    const { at, count } = last;
    out.set((await last.logits).subarray(0, count * step.classes), at * step.classes);
    last = undefined;
    onBatch?.(at + count, indices.length);
  };
  for await (const one of evaluationBatches(data, indices, batch, { prefetch, workers })) {
    signal?.throwIfAborted();
    const { logits } = await step.run(one);
    await settle();
    last = { logits, at: done, count: one.count };
    done += one.count;
  }
  await settle();
  return out;
}

/** Figures of a part of a dataset, from its logits. */
export function metricsOf(
  data: Dataset, indices: ArrayLike<number>, logits: ArrayLike<number>, options?: BootstrapOptions,
): Metrics {
  return evaluatePredictions({
    values: logits, kind: 'logits', classes: data.classes,
    labels: Array.from(indices, (i) => data.labels[i]),
    patients: Array.from(indices, (i) => data.patients[i]),
  }, options);
}
