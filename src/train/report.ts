/** `report.html`: a run as pictures. Loss and AUC by epoch, ROC curves, and the images that the network is most sure of. */
import type { Dataset } from '../data/dataset.ts';
import { loadCodec } from '../data/decode.ts';
import { SIMULATED_NOTICE } from '../data/phantom/types.ts';
import type { Part, Split } from '../data/split.ts';
import { parts } from '../data/split.ts';
import { MissingPackageError } from '../errors.ts';
import { colors, escapeXml, lineChart } from './chart.ts';
import type { Series } from './chart.ts';
import { softmaxRows } from './metrics.ts';
import type { RunDirectory } from './run-directory.ts';
import { RankedScores } from './statistics.ts';
import type { TrainRunResult } from './train-run.ts';
import { metricsTable } from './tables.ts';

export interface ReportData {
  readonly dataset: Dataset;
  readonly split: Split;
  /** Of each part, samples x classes. */
  readonly logits: Partial<Record<Part, ArrayLike<number>>>;
}

/** Writes `report.html` and its charts, `loss.svg`, `auc.svg` and `roc.svg`, into the run's directory. */
export async function writeReport(directory: RunDirectory, run: TrainRunResult, data: ReportData): Promise<void> {
  const notice = data.dataset.simulated ? SIMULATED_NOTICE : undefined;
  const [loss, auc] = curves(run, notice);
  const roc = rocChart(data, notice);
  await directory.write('loss.svg', loss);
  await directory.write('auc.svg', auc);
  await directory.write('roc.svg', roc);
  await directory.write('report.html', await page(run, data, [loss, auc, roc], notice));
}

function curves({ history }: TrainRunResult, notice?: string): [string, string] {
  const series = (name: string, color: string, value: (r: (typeof history)[number]) => number | undefined, dashed = false): Series =>
    ({ name, color, dashed, points: history.map((r) => [r.epoch, value(r) ?? NaN]) });
  const loss = lineChart({
    title: 'Cross-entropy', x: 'epoch', y: 'loss', notice,
    series: [
      series('training', colors.orange, (r) => r.train.loss), series('validation', colors.blue, (r) => r.validation?.loss),
      series('class shares alone', colors.grey, (r) => r.always.loss, true),
    ],
  });
  const auc = lineChart({
    title: 'Area under the ROC curve', x: 'epoch', y: 'AUC', yRange: [0.4, 1], notice,
    series: [
      series('training', colors.orange, (r) => r.train.auc.value), series('validation', colors.blue, (r) => r.validation?.auc.value),
      series('"healthy" always', colors.grey, () => 0.5, true),
    ],
  });
  return [loss, auc];
}

const partColors: Record<Part, string> = { train: colors.orange, validation: colors.blue, test: colors.green };

function rocChart({ dataset, split, logits }: ReportData, notice?: string): string {
  const series = parts.flatMap((part): Series[] => {
    const values = logits[part];
    if (values === undefined) return [];
    const scores = infectedScores(values, dataset.classes.length);
    const positive = Array.from(split[part], (i) => Number(dataset.labels[i] > 0));
    const all = positive.reduce((a, b) => a + b, 0);
    const points: [number, number][] = [[0, 0]];
    new RankedScores(scores, positive).walk(undefined, (_, tp, fp) => points.push([fp / (positive.length - all), tp / all]));
    return [{ name: part, color: partColors[part], points }];
  });
  const chance: Series = { name: 'chance', color: colors.grey, dashed: true, points: [[0, 0], [1, 1]] };
  return lineChart({
    title: 'ROC by part', x: '1 - specificity', y: 'sensitivity', xRange: [0, 1], yRange: [0, 1], series: [...series, chance], notice,
  });
}

/** 1 - p(healthy). */
export function infectedScores(logits: ArrayLike<number>, classes: number): Float64Array {
  const p = softmaxRows(logits, classes);
  return Float64Array.from({ length: logits.length / classes }, (_, i) => p.subarray(i * classes + 1, (i + 1) * classes).reduce((a, b) => a + b, 0));
}

const shownImages = 6;

/** Rows of images from the test part: sure and right, sure and wrong. */
async function gallery({ dataset, split, logits }: ReportData): Promise<string> {
  const part: Part = logits.test ? 'test' : 'validation';
  const values = logits[part];
  if (values === undefined) return '';
  const scores = infectedScores(values, dataset.classes.length);
  const samples = Array.from(split[part], (index, k) => ({ index, score: scores[k], infected: dataset.labels[index] > 0 }));
  const rows: [string, typeof samples][] = [
    ['Infected, and highest scored', samples.filter((s) => s.infected).sort((a, b) => b.score - a.score)],
    ['Healthy, and lowest scored', samples.filter((s) => !s.infected).sort((a, b) => a.score - b.score)],
    ['Infected, but lowest scored', samples.filter((s) => s.infected).sort((a, b) => a.score - b.score)],
    ['Healthy, but highest scored', samples.filter((s) => !s.infected).sort((a, b) => b.score - a.score)],
  ];
  const html = await Promise.all(rows.map(async ([title, list]) => {
    const figures = await Promise.all(list.slice(0, shownImages).map(async ({ index, score }) => {
      const name = escapeXml(dataset.ids[index]);
      return `<figure><img src="${await imageUrl(dataset, index)}" alt="${name}"><figcaption>${name}<br>${score.toFixed(3)}</figcaption></figure>`;
    }));
    return `<h3>${title}</h3><div class="row">${figures.join('')}</div>`;
  }));
  return `<h2>Images of the ${part} part, with their scores</h2>${html.join('\n')}`;
}

async function imageUrl(dataset: Dataset, index: number): Promise<string> {
  const sharp = await loadCodec();
  const [height, width, channels] = dataset.shape;
  const pixels = new Uint8Array(height * width * channels);
  dataset.readInto(index, pixels);
  const jpeg = await sharp(pixels, { raw: { width, height, channels: channels as 3 } }).jpeg({ quality: 85 }).toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

async function page(run: TrainRunResult, data: ReportData, charts: readonly string[], notice?: string): Promise<string> {
  let images: string;
  try {
    images = await gallery(data);
  } catch (error) {
    if (!(error instanceof MissingPackageError)) throw error;
    images = `<p>Images are left out: ${escapeXml(error.message)}</p>`;
  }
  const { head, rows } = metricsTable(run);
  const cell = (tag: string) => (text: string): string => `<${tag}>${escapeXml(text)}</${tag}>`;
  const { options, device, parameters } = run.config;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fovea run</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 960px; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; } td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left; }
.notice { background: #fff3cd; padding: .6rem 1rem; border-left: 4px solid #d55e00; }
.row { display: flex; gap: .6rem; flex-wrap: wrap; } figure { margin: 0; font-size: 12px; } img { width: 140px; image-rendering: auto; }
</style></head><body>
<h1>Fovea: ${escapeXml(run.config.name)}</h1>
${notice ? `<p class="notice">${escapeXml(notice)}. Nothing here is about patients.</p>` : ''}
<p>${parameters.toLocaleString('en')} parameters, ${options.size} x ${options.size} pixels, ${run.history.length} epochs, batches of
${options.batch}, ${escapeXml(device)}. Judged: epoch ${run.best?.epoch ?? '-'}, the best by the validation part.</p>
<table><tr>${head.map(cell('th')).join('')}</tr>
${rows.map((row) => `<tr>${row.map(cell('td')).join('')}</tr>`).join('\n')}</table>
<p>Intervals are 95 % bootstrap intervals over patients. The threshold for 90 % specificity is chosen on the part itself.</p>
<div class="row">${charts.join('\n')}</div>
${images}
</body></html>
`;
}
