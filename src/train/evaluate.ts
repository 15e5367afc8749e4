/** Running a network over samples in inference mode. */
import type { Dataset } from '../data/dataset.ts';
import type { LoaderOptions } from '../data/loader.ts';
import { evaluationBatches } from '../data/loader.ts';
import type { Metric } from './eval-metric.ts';
import { measure } from './eval-metric.ts';
import type { Metrics } from './metrics.ts';
import { evaluatePredictions, softmaxRows } from './metrics.ts';
import type { BootstrapOptions } from './statistics.ts';
import type { EvaluationStep } from './step.ts';

export interface PredictOptions extends LoaderOptions {
  readonly batch: number;
  /** Called after each batch with how many samples are done. */
  readonly onBatch?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What a network says of some samples. */
export interface PredictedBatch {
  /** Dataset indices, in the order asked for; fewer than a batch at the end. */
  readonly indices: Int32Array;
  /** Samples x classes. */
  readonly logits: Float32Array;
}

/**
 * Logits of samples, batch by batch, in the order given. The last batch is padded to full length; what the network says of the padding is
 * dropped. While one batch is looked at the device works on the next.
 *
 * @throws what `signal` was aborted with
 */
export async function* predictBatches(
  step: EvaluationStep, data: Dataset, indices: ArrayLike<number>, options: PredictOptions,
): AsyncGenerator<PredictedBatch, void, void> {
  const { batch, onBatch, signal, prefetch, workers } = options;
  let done = 0;
  let last: { logits: Promise<Float32Array>; ids: Int32Array } | undefined;
  const settle = async ({ logits, ids }: NonNullable<typeof last>): Promise<PredictedBatch> => {
    const settled = { indices: ids, logits: (await logits).slice(0, ids.length * step.classes) };
    done += ids.length;
    onBatch?.(done, indices.length);
    return settled;
  };
  for await (const one of evaluationBatches(data, indices, batch, { prefetch, workers })) {
    signal?.throwIfAborted();
    const { logits } = await step.run(one);
    const before = last;
    last = { logits, ids: one.sampleIds.slice(0, one.count) };
    if (before !== undefined) yield await settle(before);
  }
  if (last !== undefined) yield await settle(last);
}

/** Those of `predictBatches` as one array, samples x classes. @throws what `signal` was aborted with */
export async function predictLogits(
  step: EvaluationStep, data: Dataset, indices: ArrayLike<number>, options: PredictOptions,
): Promise<Float32Array> {
  const out = new Float32Array(indices.length * step.classes);
  let at = 0;
  for await (const { logits } of predictBatches(step, data, indices, options)) {
    out.set(logits, at);
    at += logits.length;
  }
  return out;
}

export interface JudgeOptions extends PredictOptions {
  readonly bootstrap?: BootstrapOptions;
  readonly metric?: Metric;
}

export interface Judgement {
  readonly metrics: Metrics;
  /** Of the metric that was asked for. */
  readonly measured?: Readonly<Record<string, number>>;
}

/** Figures of a part of a dataset by a network as it is. @throws what `signal` was aborted with */
export async function judge(
  step: EvaluationStep, data: Dataset, indices: ArrayLike<number>,
  { bootstrap, metric, ...options }: JudgeOptions,
): Promise<Judgement> {
  const logits = await predictLogits(step, data, indices, options);
  const { classes } = step;
  return {
    metrics: metricsOf(data, indices, logits, bootstrap),
    ...(metric && {
      measured: measure(metric, {
        labels: Array.from(indices, (i) => data.labels[i]), predictions: softmaxRows(logits, classes), classes,
      }, options.batch),
    }),
  };
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
