/** The goals that the kernels are held to, each with its figure from one run, and of those missed what the run shows of their bound. */
import { inceptionBNLayers, inceptionBNSide, multiplyAdds } from './layers.ts';
import { LARGE_SIDE, operandHalf, kernelProblems, squareProduct } from './problems.ts';
import { microKernelName } from './micro-kernel.ts';
import { geometricMean, median } from './statistics.ts';
import { torchWays } from './torch-ways.ts';
import type { DeviceFacts, Entry, Probe, Report, Row, StepFacts } from './types.ts';

export interface Goal {
  readonly what: string;
  readonly goal: number;
  /** The figure should be no larger than the goal; else no smaller. */
  readonly atMost: boolean;
  /** Undefined where the run did not measure it. */
  readonly value: number | undefined;
  readonly verdict: 'met' | 'missed' | 'not measured';
  /** Of how many rows the figure is. */
  readonly rows: number;
  readonly note?: string;
  /** Where it is missed. */
  readonly bound?: Bound;
}

/** What a run shows of why a goal is missed. */
export interface Bound {
  /** The rows' own rooflines forbid the goal: it is explained. Else it is open. */
  readonly explained: boolean;
  readonly shows: readonly string[];
}

/** A row's part of a goal. */
interface Figure {
  readonly row: Row;
  readonly value: number;
  /** What it would be if the row took no longer than its roofline says; undefined where no proven limit is known. */
  readonly best?: number | undefined;
  /** Of PyTorch's ways, those that the row has no time of: the best of them all may be another. */
  readonly without?: readonly string[];
}

interface Asked {
  readonly what: string;
  readonly goal: number;
  readonly atMost?: boolean;
  readonly figures: readonly Figure[];
  readonly of: (values: readonly number[]) => number;
  /** Rows that it takes: a part of them has a figure, and no verdict. */
  readonly all?: number;
  /** Of which of ours the rows tell. */
  readonly device?: DeviceFacts | undefined;
  /** Why there is no verdict, whatever the figure. */
  readonly withheld?: string | undefined;
  /** Says which rows they are. */
  readonly named?: boolean;
}

/** Images of the steps that the goals of the cpu are about, and of memory's, and of those of GPUs. */
const batches = { cpu: 16, memory: 32, gpu: 128 } as const;

/** Of the right matrix: both are asked for, each beside a peer that has it so too. */
const layouts = [['rows by columns', false], ['right transposed', true]] as const;

const least = (values: readonly number[]): number => Math.min(...values);
const greatest = (values: readonly number[]): number => Math.max(...values);

/** Every goal, whether this run has what it takes to tell or not. */
export function goalsOf(report: Report): Goal[] {
  return asked(report).map((one) => judge(one, report));
}

function asked(report: Report): Asked[] {
  const { devices, probes } = report;
  // The goals of kernels are about float32.
  const rows = report.rows.filter((r) => operandHalf(r) === undefined);
  const processor = devices.filter((d) => d.kind === 'cpu').reduce<DeviceFacts | undefined>((a, b) => (a && a.threads >= b.threads ? a : b), undefined);
  // Peers stand beside the first adapter.
  const adapter = devices.find((d) => d.kind === 'webgpu');
  const llvmpipe = /llvmpipe/i.test(String(adapter?.fingerprint.adapter)) ? adapter : undefined;
  const gpu = adapter?.software === false ? adapter : undefined;
  const cuda = devices.find((d) => d.kind === 'cuda');
  const on = (of: readonly Row[], device: DeviceFacts | undefined): Row[] => (device === undefined ? [] : of.filter((r) => r.device === device.kind));
  const forward = rows.filter((r) => r.name.startsWith('conv2d ') && r.layers.some((l) => l.startsWith('inception-bn')));
  // Smaller images or a narrower network are another task.
  const steps = rows.filter((r) => r.group === 'step' && r.name.startsWith(`inception-bn ${inceptionBNSide}x${inceptionBNSide},`));
  const large = steps.filter((r) => r.batch! >= batches.cpu);
  const layers = inceptionBNLayers().convolutions.length;
  const isTfjs = (name: string): boolean => name === 'tfjs-webgpu';
  const over = (of: readonly Row[], device: DeviceFacts | undefined, isPeer: (name: string) => boolean): Figure[] => ratios(on(of, device), device, isPeer);
  const wasm = over(forward, processor, (name) => name === 'tfjs-wasm');
  const mxnet = over(large, processor, (name) => name === `MXNet, ${processor?.contestant.slice('fovea, '.length)}`);
  const count = (group: Row['group']): number => kernelProblems(1).filter((p) => p.group === group).length;
  const convolutions = ([['the cpu, all threads', processor], ['webgpu', adapter], ['cuda', cuda]] as const).flatMap(([name, device]): Asked[] => {
    const figures = on(rows.filter((r) => r.group === 'conv'), device).flatMap((row) => attained(row, device!));
    const one = { goal: 0.7, figures, all: count('conv'), device, withheld: device && doubt(probes, device) };
    return [
      { ...one, what: `convolutions on ${name}, all directions, of what is attainable`, of: geometricMean },
      { ...one, what: 'the same, least row', of: least },
    ];
  });
  const memory = steps.filter((r) => r.batch === batches.memory).flatMap((row) => row.entries.flatMap(({ contestant, facts }) =>
    (facts?.step === undefined || contestant.endsWith(', mixed') ? [] : [{ row, recompute: contestant.endsWith(', recompute'), memory: facts.step.memory }])));
  const bytes = (recompute: boolean): Figure[] =>
    memory.filter((m) => m.recompute === recompute).map(({ row, memory: m }) => ({ row, value: (m.peak - (m.textures ?? 0)) / 1e9 }));
  const ofMemory = { atMost: true, of: greatest };
  return [
    {
      what: 'GEMM on the cpu, all threads, over the micro-kernel in the first cache', goal: 0.75, figures: ofMicroKernel(on(rows, processor), processor),
      of: geometricMean, all: count('gemm'), device: processor,
    },
    {
      what: "convolution forward, Inception-BN's layers, over tfjs-wasm, all threads", goal: 3.5, figures: wasm, of: geometricMean, all: layers,
      device: processor,
    },
    { what: 'the same, least layer', goal: 2, figures: wasm, of: least, all: layers, device: processor },
    {
      what: `training step on the cpu, ${batches.cpu} images or more, over MXNet with oneDNN`, goal: 0.5, figures: mxnet, of: least,
      device: processor, named: true,
    },
    { what: 'the same, stretch', goal: 0.6, figures: mxnet, of: least, device: processor, named: true },
    {
      what: "convolution forward on llvmpipe, Inception-BN's layers, over tfjs-webgpu", goal: 3, figures: over(forward, llvmpipe, isTfjs),
      of: geometricMean, all: layers, device: llvmpipe,
    },
    { what: 'training step on llvmpipe, over tfjs-webgpu', goal: 10, figures: over(steps, llvmpipe, isTfjs), of: least, device: llvmpipe, named: true },
    {
      what: `training step on a GPU, ${batches.gpu} images or more, over the best of PyTorch with cuDNN`, goal: 0.5, of: least, device: gpu, named: true,
      figures: bestRatios(on(steps.filter((r) => r.batch! >= batches.gpu), gpu), gpu),
    },
    { what: 'training step on a GPU, over tfjs-webgpu', goal: 10, figures: over(steps, gpu, isTfjs), of: least, device: gpu, named: true },
    {
      what: `training step with CUDA, ${batches.gpu} images or more, over the best of PyTorch with cuDNN`, goal: 1, of: least, device: cuda, named: true,
      figures: bestRatios(on(steps.filter((r) => r.batch! >= batches.gpu), cuda), cuda),
    },
    ...layouts.flatMap(([layout, transposed]): Asked[] => {
      const { name } = squareProduct(LARGE_SIDE, transposed);
      const large = on(report.rows.filter((r) => r.name === `${name} bfloat16`), cuda);
      return [
        {
          what: `product of ${LARGE_SIDE} with CUDA in bfloat16, ${layout}, TFLOP/s`, goal: 700, of: greatest, device: cuda,
          figures: large.flatMap((row) => measured(row.entries, (one) => one === cuda!.contestant)
            .map((e) => ({ row, value: row.flop / median(e.milliseconds) / 1e9 }))),
        },
        { what: 'the same, over the best of PyTorch in that layout', goal: 1, of: least, device: cuda, figures: bestRatios(large, cuda) },
      ];
    }),
    ...convolutions,
    {
      ...ofMemory, what: `memory of a step of ${batches.memory} images: planned, over what lives at once`, goal: 1.05,
      figures: memory.map(({ row, memory: m }) => ({ row, value: m.arena / m.bound })),
    },
    { ...ofMemory, what: 'the same, GB, all counted', goal: 1.2, figures: bytes(false) },
    { ...ofMemory, what: 'the same, GB, with recomputation', goal: 0.9, figures: bytes(true) },
    {
      ...ofMemory, what: "the same, the device's own total off what was planned", goal: 0.02,
      figures: memory.map(({ row, memory: m }) => ({ row, value: Math.abs((m.peak - (m.textures ?? 0)) / totalOf(m) - 1) })),
    },
  ];
}

function judge({ what, goal, atMost = false, figures, of, all = 1, device, withheld, named }: Asked, report: Report): Goal {
  const common = { what, goal, atMost, rows: figures.length };
  const none = withheld === undefined ? {} : { note: withheld };
  if (figures.length === 0) return { ...common, value: undefined, verdict: 'not measured', ...none };
  const value = of(figures.map((f) => f.value));
  if (withheld !== undefined) return { ...common, value, verdict: 'not measured', note: withheld };
  if (figures.length < all) return { ...common, value, verdict: 'not measured', note: `${figures.length} of ${all} rows alone` };
  const reaches = (x: number): boolean => (atMost ? x <= goal : x >= goal);
  const notes = figures.map(({ row, without = [] }) => [
    ...(named ? [row.name.replace(/^.*, /, '')] : []), ...(without.length > 0 ? [`without ${without.join('; ')}`] : []),
  ].join(' '));
  const note = notes.some((text) => text !== '') ? { note: notes.join(', ') } : {};
  if (reaches(value)) return { ...common, value, verdict: 'met', ...note };
  const bests = figures.flatMap((f) => f.best ?? []);
  const best = bests.length === figures.length ? of(bests) : undefined;
  const shows = [
    ...(best === undefined ? [] : [`if every row took what the roofline allows its method, it would be ${best.toPrecision(3)}`]),
    ...(device === undefined ? [] : evidence(figures.map((f) => f.row), device, report)),
  ];
  return { ...common, value, verdict: 'missed', ...note, bound: { explained: best !== undefined && !reaches(best), shows } };
}

/** What the run has to say of our own devices of the kind in these rows, and of their limits. */
function evidence(rows: readonly Row[], { kind, name }: DeviceFacts, { devices, probes }: Report): string[] {
  const ours = devices.filter((d) => (kind === 'cpu' ? d.kind === 'cpu' : d.name === name)).sort((a, b) => a.threads - b.threads);
  const of = ({ contestant, threads }: DeviceFacts): string => (kind === 'cpu' ? `on ${threads} thread${threads === 1 ? '' : 's'}` : `by ${contestant}`);
  const shares = ours.flatMap((device) => {
    const values = rows.flatMap((row) => attained(row, device).map((f) => f.value));
    return values.length < rows.length ? [] : [`${geometricMean(values).toFixed(2)} ${of(device)}`];
  });
  const peaks = ours.flatMap((device) => {
    const peak = probes.find((p) => p.device === device.name && p.what === 'multiply-add');
    return peak === undefined ? [] : [{ device, peak }];
  });
  const [first, last] = [peaks[0], peaks.at(-1)];
  const direct = (row: Row): string => (directFlop(row.batch!) / last!.peak.value / 1e6).toPrecision(3);
  const steps = last === undefined ? [] : rows.filter((row) => row.group === 'step').flatMap((row) =>
    measured(row.entries, (contestant) => contestant === last.device.contestant).map(({ milliseconds }) =>
      `${row.name}: ${median(milliseconds).toPrecision(3)} ms, direct convolution alone at that peak ${direct(row)}`));
  const probed = peaks.map(({ device, peak }) => `${peak.value.toPrecision(3)} GFLOP/s ${of(device)}`).join(', ');
  const scaling = peaks.length < 2 ? '' : ` (${(last!.peak.value / first.peak.value).toFixed(2)} times)`;
  return [
    ...(shares.length === 0 ? [] : [`achieved over attainable ${shares.join(', ')}`]),
    ...(peaks.length === 0 ? [] : [`multiply-add probe ${probed}${scaling}`]),
    ...steps,
  ];
}

/** FLOP of the convolutions of a step by their definition, forward and both gradients: no bound of minimal filtering. */
function directFlop(batch: number): number {
  return 6 * batch * inceptionBNLayers().convolutions.reduce((sum, l) => sum + l.count * multiplyAdds(l), 0);
}

const measured = (entries: readonly Entry[], is: (name: string) => boolean): Entry[] => entries.filter((e) => is(e.contestant) && e.milliseconds.length > 0);

/** A value that is in proportion to the speed, and what it is at the roofline. */
function figure(row: Row, value: number, { milliseconds, attainable, unproven }: Entry): Figure {
  return { row, value, best: attainable === undefined || unproven ? undefined : value * median(milliseconds) / attainable };
}

/** How many times as fast as the peer one of ours is, row by row. */
function ratios(rows: readonly Row[], device: DeviceFacts | undefined, isPeer: (name: string) => boolean): Figure[] {
  return rows.flatMap((row) => {
    const [[mine], [other]] = [measured(row.entries, (name) => name === device!.contestant), measured(row.entries, isPeer)];
    return mine === undefined || other === undefined ? [] : [figure(row, median(other.milliseconds) / median(mine.milliseconds), mine)];
  });
}

/** The best of ours over the best of PyTorch that was there: each in the precision that suits it. */
function bestRatios(rows: readonly Row[], device: DeviceFacts | undefined): Figure[] {
  const quickest = (entries: readonly Entry[]): number => least(entries.map((e) => median(e.milliseconds)));
  return rows.flatMap((row) => {
    const mine = measured(row.entries, (name) => ['', ', mixed', ', tf32'].some((end) => name === `${device!.contestant}${end}`));
    const theirs = measured(row.entries, (name) => name.startsWith('PyTorch, cuda'));
    const asked = torchWays.filter((way) => row.group === 'step' || (operandHalf(row) === undefined ? way.kernels : way.halves));
    const without = asked.filter(({ name }) => !theirs.some((e) => e.contestant === name)).map(({ name }) => name);
    return mine.length === 0 || theirs.length === 0 ? [] : [{ row, value: quickest(theirs) / quickest(mine), without }];
  });
}

/** Achieved over attainable, where a proven limit is known. */
function attained(row: Row, { contestant }: DeviceFacts): Figure[] {
  const [mine] = measured(row.entries, (name) => name === contestant);
  return mine?.attainable === undefined || mine.unproven ? [] : [{ row, value: mine.attainable / median(mine.milliseconds), best: 1 }];
}

function ofMicroKernel(rows: readonly Row[], device: DeviceFacts | undefined): Figure[] {
  return device === undefined ? [] : rows.filter((r) => r.group === 'gemm').flatMap((row) => {
    const [mine] = measured(row.entries, (name) => name === device.contestant);
    const [limit] = measured(row.entries, (name) => name === microKernelName(device.contestant));
    return mine === undefined || limit === undefined ? [] : [figure(row, median(limit.milliseconds) / median(mine.milliseconds), mine)];
  });
}

/** A peak whose probe does not count shows no goal met or missed. */
function doubt(probes: readonly Probe[], { name }: DeviceFacts): string | undefined {
  const probe = probes.find((p) => p.device === name && p.what === 'multiply-add');
  if (probe === undefined || probe.counts === true) return undefined;
  if (probe.share !== undefined && probe.share >= 0.9) return "the cores were not free for the peak's probe";
  return probe.share === undefined ? "the peak's probe has no share of clock times lanes"
    : `the peak's probe reached ${probe.share.toFixed(2)} of clock times lanes, 0.9 is needed`;
}

const totalOf = ({ arena, variables, own, staging = 0 }: StepFacts['memory']): number => arena + variables + own + staging;
