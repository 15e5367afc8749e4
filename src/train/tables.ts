/** The figures of a run as rows of text, for terminals and pages alike. */
import type { ConstantMetrics, Metrics } from './metrics.ts';
import type { PartResult, TrainRunResult } from './train-run.ts';

export interface TextTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A figure, or a dash where it has no value. */
export function figure(value: number, digits = 3): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

function interval({ auc }: Metrics): string {
  const { value, low, high } = auc;
  return Number.isFinite(low) ? `${figure(value)} (${figure(low)} to ${figure(high)})` : figure(value);
}

const columns = (classes: readonly string[]): string[] => ['', 'images', 'loss', 'accuracy', ...classes, 'AUC', 'sens. at 90 % spec.'];

/** Figures of one set of predictions, under `columns`. */
function row(name: string, m: Metrics): string[] {
  return [name, String(m.samples), figure(m.loss), figure(m.accuracy), ...m.perClass.map((x) => figure(x)), interval(m),
    figure(m.sensitivityAt90.sensitivity)];
}

function alwaysRow(name: string, m: ConstantMetrics, samples: number): string[] {
  return [name, String(samples), figure(m.loss), figure(m.accuracy), ...m.perClass.map((x) => figure(x)), figure(m.auc), figure(m.sensitivityAt90)];
}

/** The parts, what always saying "healthy" scores, and the baselines. */
export function metricsTable({ config, parts, baselines }: Pick<TrainRunResult, 'config' | 'parts' | 'baselines'>): TextTable {
  const judged = parts.test ?? parts.validation;
  const where = parts.test ? 'test' : 'validation';
  const rows = Object.entries(parts).map(([part, { metrics }]) => row(part, metrics));
  if (judged) rows.push(alwaysRow(`${where}, "${config.classes[0]}" always`, judged.always, judged.metrics.samples));
  if (config.classes.length === 2) {
    for (const { name, metrics } of baselines) rows.push(row(`${where}, logistic on ${name}`, metrics));
  }
  return { head: columns(config.classes), rows };
}

/** One set of predictions beside what always saying "healthy" scores. */
export function evaluationTable(name: string, classes: readonly string[], { metrics, always }: PartResult): TextTable {
  return { head: columns(classes), rows: [row(name, metrics), alwaysRow(`"${classes[0]}" always`, always, metrics.samples)] };
}
