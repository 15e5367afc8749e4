/** The goals that the kernels are held to, each with its figure from one run. */
import { inceptionBNLayers, inceptionBNSide } from './layers.ts';
import { kernelProblems } from './problems.ts';
import { geometricMean, median } from './statistics.ts';
import { limitsOf } from './roofline.ts';
import type { DeviceFacts, Entry, Report, Row } from './types.ts';

export interface Goal {
  readonly what: string;
  readonly goal: number;
  /** Undefined where the run did not measure it. */
  readonly value: number | undefined;
  readonly verdict: 'met' | 'missed' | 'not measured';
  /** Of how many rows the figure is. */
  readonly rows: number;
  readonly note?: string;
}

/** Every goal, whether this run has what it takes to tell or not. */
export function goalsOf(report: Report): Goal[] {
  const { rows, devices } = report;
  const processor = devices.filter((d) => d.kind === 'cpu').reduce<DeviceFacts | undefined>((a, b) => (a && a.threads >= b.threads ? a : b), undefined);
  const ours = processor?.contestant ?? 'fovea';
  const isLlvmpipe = devices.some((d) => d.kind === 'webgpu' && /llvmpipe/i.test(String(d.fingerprint.adapter)));
  const convolution = rows.filter((r) => r.name.startsWith('conv2d ') && r.layers.some((l) => l.startsWith('inception-bn')));
  const cpu = (of: readonly Row[]): Row[] => of.filter((r) => r.device === 'cpu');
  const llvmpipe = (of: readonly Row[]): Row[] => (isLlvmpipe ? of.filter((r) => r.device === 'webgpu') : []);
  // Smaller images or a narrower network are another task.
  const steps = rows.filter((r) => r.group === 'step' && r.name.startsWith(`inception-bn ${inceptionBNSide}x${inceptionBNSide},`));
  const layers = inceptionBNLayers().convolutions.length;
  const wasm = ratios(cpu(convolution), ours, (name) => name === 'tfjs-wasm');
  const mxnet = ratios(cpu(steps), ours, (name) => name === `MXNet, ${ours.slice('fovea, '.length)}`);
  const isTfjs = (name: string): boolean => name === 'tfjs-webgpu';
  return [
    ofPeak(report, processor),
    goal("convolution forward, Inception-BN's layers, over tfjs-wasm, all threads", 3.5, wasm, geometricMean, layers),
    goal('the same, least layer', 2, wasm, least, layers),
    goal('training step on the cpu, over MXNet with oneDNN', 0.5, mxnet, geometricMean),
    goal('the same, stretch', 0.6, mxnet, geometricMean),
    goal("convolution forward on llvmpipe, Inception-BN's layers, over tfjs-webgpu", 3, ratios(llvmpipe(convolution), 'fovea', isTfjs), geometricMean, layers),
    goal('training step on llvmpipe, over tfjs-webgpu', 10, ratios(llvmpipe(steps), 'fovea', isTfjs), geometricMean),
  ];
}

const least = (values: readonly number[]): number => Math.min(...values);

/** Of `all` rows: a part of them has a figure, and no verdict. */
function goal(what: string, wanted: number, values: readonly number[], of: (values: readonly number[]) => number, all = 1): Goal {
  if (values.length === 0) return { what, goal: wanted, value: undefined, verdict: 'not measured', rows: 0 };
  const value = of(values);
  if (values.length < all) return { what, goal: wanted, value, verdict: 'not measured', rows: values.length, note: `${values.length} of ${all} rows alone` };
  return { what, goal: wanted, value, verdict: value >= wanted ? 'met' : 'missed', rows: values.length };
}

/** How many times as fast as the peer one of ours is, row by row. */
function ratios(rows: readonly Row[], ours: string, isPeer: (contestant: string) => boolean): number[] {
  return rows.flatMap(({ entries }) => {
    const find = (is: (name: string) => boolean): Entry | undefined => entries.find((e) => is(e.contestant) && e.milliseconds.length > 0);
    const [mine, other] = [find((name) => name === ours), find(isPeer)];
    return mine === undefined || other === undefined ? [] : [median(other.milliseconds) / median(mine.milliseconds)];
  });
}

/** A peak whose probe does not count shows no goal met or missed. */
function ofPeak({ rows, probes }: Report, device: DeviceFacts | undefined): Goal {
  const limits = device && limitsOf(probes, device.name);
  const shares = limits === undefined ? [] : rows.filter((r) => r.device === 'cpu' && r.group === 'gemm').flatMap((row) => {
    const entry = row.entries.find((e) => e.contestant === device!.contestant && e.milliseconds.length > 0);
    return entry === undefined ? [] : [row.flop / median(entry.milliseconds) / 1e6 / limits.peak];
  });
  const products = kernelProblems(1).filter((p) => p.group === 'gemm').length;
  const found = goal('GEMM on the cpu, all threads, of the measured multiply-add peak', 0.75, shares, geometricMean, products);
  const probe = probes.find((p) => p.device === device?.name && p.what === 'multiply-add');
  if (found.value === undefined || probe?.counts !== false) return found;
  return { ...found, verdict: 'not measured', note: `the peak's probe reached ${probe.share!.toFixed(2)} of clock times lanes, 0.9 is needed` };
}
