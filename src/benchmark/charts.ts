/** The charts of a report: the article's own, and what stands beside them. */
import { barChart } from '../train/bar-chart.ts';
import type { Bar } from '../train/bar-chart.ts';
import { colors, lineChart } from '../train/chart.ts';
import type { Series } from '../train/chart.ts';
import { nodeFiles, writeWhole } from '../train/files.ts';
import { geometricMean, median } from './statistics.ts';
import { short } from './table.ts';
import type { DeviceFacts, Report, Row } from './types.ts';

const isOurs = (contestant: string): boolean => contestant.startsWith('fovea');

/** By file name. */
export function charts(report: Report): Map<string, string> {
  const made = new Map<string, string>();
  const steps = report.rows.filter((r) => r.group === 'step');
  for (const batch of new Set(steps.map((r) => r.batch!))) {
    made.set(`training-time-batch-${batch}.svg`, trainingTime(steps.filter((r) => r.batch === batch), report));
    const byThreads = threadsChart(steps.filter((r) => r.batch === batch && r.device === 'cpu'), report);
    if (byThreads !== undefined) made.set(`threads-batch-${batch}.svg`, byThreads);
  }
  const attained = attainedChart(report);
  if (attained !== undefined) made.set('attained.svg', attained);
  return made;
}

/** Writes them into the folder, which is made where there is none; gives their paths. */
export async function writeCharts(folder: string, report: Report): Promise<string[]> {
  const files = await nodeFiles();
  await files.fs.mkdir(folder, { recursive: true });
  const written: string[] = [];
  for (const [name, svg] of charts(report)) {
    const file = files.path.join(folder, name);
    await writeWhole(files, file, `${svg}\n`);
    written.push(file);
  }
  return written;
}

const notice = ({ machine }: Report): string => `${machine.processor}, ${machine.cores} cores; medians`;

/** The device of a contestant, whose steps may be mixed or recomputed: `fovea, lavapipe, mixed`. */
const deviceOf = ({ devices }: Report, { device }: Row, contestant: string): DeviceFacts | undefined =>
  devices.find((d) => d.kind === device && (contestant === d.contestant || contestant.startsWith(`${d.contestant}, `)));

/** The article's chart: how long the same network takes to train, CPU against each GPU device, and against other engines. */
function trainingTime(rows: readonly Row[], report: Report): string {
  const bars = rows.flatMap((row) => row.entries.filter((e) => e.milliseconds.length > 0).map((e): Bar => {
    const value = median(e.milliseconds) / row.batch!;
    const { adapter = row.device } = deviceOf(report, row, e.contestant)?.fingerprint ?? {};
    const device = isOurs(e.contestant) ? `${String(adapter).split('-')[0]}: ` : '';
    const color = isOurs(e.contestant) ? colors.blue : colors.orange;
    return { name: `${device}${e.contestant}`, value, text: `${short(value)} ms`, color };
  }));
  return barChart({
    title: `Training time of ${rows[0].name}`, x: 'milliseconds an image', bars: bars.sort((a, b) => a.value - b.value), notice: notice(report),
  });
}

/** Images a second by number of threads, of all who ran with more than one number of them. */
function threadsChart([row]: readonly Row[], report: Report): string | undefined {
  const series = new Map<string, [number, number][]>();
  for (const { contestant, milliseconds } of row?.entries ?? []) {
    const found = /^(.*), (\d+) threads?$/.exec(contestant);
    if (found === null || milliseconds.length === 0) continue;
    series.set(found[1], [...(series.get(found[1]) ?? []), [Number(found[2]), (1000 * row.batch!) / median(milliseconds)]]);
  }
  const shown = [...series].filter(([, points]) => points.length > 1);
  if (shown.length === 0) return undefined;
  const palette = [colors.blue, colors.orange, colors.green, colors.grey];
  return lineChart({
    title: 'Training speed by number of threads', x: 'threads', y: 'images a second', counted: true, notice: `${row.name}; ${notice(report)}`,
    series: shown.map(([name, points], i): Series => ({ name, color: palette[i % palette.length], points: points.sort((a, b) => a[0] - b[0]) })),
  });
}

const above = ['Above 100 %: quicker than the probes of the run allow, by clocks that changed or by caches: no limit of the machine there.'];

/** How much of what the roofline allows each op attains: geometric means over its shapes. What no proven limit allows has no bar. */
function attainedChart(report: Report): string | undefined {
  const shares = new Map<string, number[]>();
  for (const row of report.rows) {
    for (const e of row.entries) {
      if (e.attainable === undefined || e.unproven || e.milliseconds.length === 0) continue;
      const name = `${row.device}, ${row.name.split(' ')[0]}, ${e.contestant.replace(/^fovea,? ?/, '')}`.replace(/, $/, '');
      shares.set(name, [...(shares.get(name) ?? []), e.attainable / median(e.milliseconds)]);
    }
  }
  if (shares.size === 0) return undefined;
  const bars = [...shares].map(([name, values]): Bar => {
    const value = geometricMean(values) * 100;
    return { name, value, text: `${value.toFixed(0)} %`, color: name.startsWith('cpu') ? colors.blue : colors.green };
  });
  const notes = bars.some((b) => b.value > 100) ? above : [];
  return barChart({ title: 'Achieved of what the roofline allows', x: '%, geometric mean over shapes', bars, notice: notice(report), notes });
}
