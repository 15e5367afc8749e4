/** `predictions.csv`: a line for each image of each part. */
import type * as CsvStringify from 'csv-stringify/sync';
import type { Dataset } from '../data/dataset.ts';
import { importPackage } from '../data/node.ts';
import { parts } from '../data/split.ts';
import type { Part, Split } from '../data/split.ts';
import { softmaxRows } from './metrics.ts';

/** Digits that tell float32 probabilities apart. */
const digits = 7;

/**
 * @param logits of each part, samples x classes, in the order of the split's indices
 */
export async function predictionsCsv(
  data: Dataset, split: Split, logits: Partial<Record<Part, ArrayLike<number>>>,
): Promise<string> {
  const rows: (string | number)[][] = [];
  for (const part of parts) {
    const values = logits[part];
    if (values === undefined) continue;
    const width = data.classes.length;
    const probabilities = softmaxRows(values, width);
    split[part].forEach((i, k) => {
      const row = Array.from(probabilities.subarray(k * width, (k + 1) * width));
      rows.push([
        data.ids[i], data.patients[i], part, data.classes[data.labels[i]], data.classes[mostProbable(row)],
        ...row.map((p) => p.toPrecision(digits)),
      ]);
    });
  }
  const header = ['image', 'patient', 'part', 'label', 'predicted', ...data.classes.map((name) => `p(${name})`)];
  // Said in every line, so that no line can be quoted without it.
  return csv([...header, 'simulated'], rows.map((row) => [...row, data.simulated ? 'yes' : 'no']));
}

export function mostProbable(row: readonly number[]): number {
  return row.indexOf(Math.max(...row));
}

/** @throws MissingPackageError */
export async function csv(header: readonly string[], rows: readonly (readonly (string | number)[])[]): Promise<string> {
  const { stringify } = await importPackage<typeof CsvStringify>('csv-stringify/sync', 'writing a CSV file');
  return stringify([header as string[], ...rows as (string | number)[][]]);
}
