/** The whole benchmark: devices, probes, then a contest for each problem beside each kind of device. */
import { availableParallelism } from 'node:os';
import { availableThreads } from '../device/cpu/module.ts';
import type { Device, HostData } from '../device/types.ts';
import { BenchmarkError, FoveaError } from '../errors.ts';
import { belowCeiling } from './ceiling.ts';
import { checkOf } from './check.ts';
import { contest, firstLine, tooSlow, within, TooSlow } from './contest.ts';
import type { Gate } from './gate.ts';
import { coreGate } from './gate.ts';
import { kernelContestant } from './kernel.ts';
import { microKernelContestant, microKernelName } from './micro-kernel.ts';
import { machineOf } from './machine.ts';
import type { BenchmarkOptions } from './options.ts';
import type { RowWork } from './pace.ts';
import { Paces } from './pace.ts';
import type { RowPlan } from './plans.ts';
import { plansOf, workOf } from './plans.ts';
import { probe } from './probes.ts';
import { operandHalf, squareProduct } from './problems.ts';
import type { Held } from './roofline.ts';
import { isProven, leastMilliseconds, limitsOf, withoutBeatenLimits } from './roofline.ts';
import type { StepVariant } from './step.ts';
import { checkedSteps, lossCheck, referenceFailure, stepContestant, stepContestantName, variants } from './step.ts';
import type { Target } from './targets.ts';
import { openTargets } from './targets.ts';
import type { AbsentPeer, Contestant, Entry, Peer, PeerSource, Probe, Problem, Report, Row } from './types.ts';
import { inputValues } from './values.ts';

type Kind = Device['kind'];

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly secondsLeft: number;
}

export interface RunHooks {
  readonly log: (line: string) => void;
  /** Before each row. */
  readonly onRow?: (what: string, progress: Progress) => void;
  /** After each. */
  readonly onResult?: (row: Row, report: Report, progress: Progress) => void | Promise<void>;
  /** Before the first: seconds that all of it is likely to take. */
  readonly onEstimate?: (rows: number, seconds: number) => void;
  readonly signal?: AbortSignal;
  readonly peers?: PeerSource;
}

/** @throws BenchmarkError where there is nothing to measure; entries that failed are without times and named in `failures` */
export async function runBenchmark(options: BenchmarkOptions, hooks: RunHooks): Promise<Report> {
  const { log } = hooks;
  const most = await availableThreads(undefined);
  const threads = [...new Set(options.threads ?? [1, most])];
  let targets: readonly Target[] = [];
  let peers: readonly (Peer | AbsentPeer)[] = [];
  let gate: Gate | undefined;
  try {
    targets = await openTargets({ devices: options.device, threads, relaxed: options.plain !== true, log });
    if (targets.length === 0) throw new BenchmarkError('no device to measure');
    const kinds = [...new Set(targets.map((t) => t.device.kind))];
    if (options.peers && hooks.peers !== undefined) {
      const adapter = targets.find((t) => t.device.kind === 'webgpu')?.adapter;
      peers = await hooks.peers({ beside: kinds, threads, python: options.python ?? [], adapter, only: options.peer, log });
    }
    for (const peer of peers) if ('absent' in peer) log(`${peer.name}: absent (${peer.absent})`);
    const vendor = options.probes ? await vendorPeak(targets, peers, options) : undefined;
    const probes = options.probes ? await probeAll(targets, options, vendor, log) : [];
    const rows: Row[] = [];
    const failures: string[] = [];
    const report: Report = {
      format: 1, machine: machineOf(), options: { ...options, threads },
      devices: targets.map(({ name, device, contestant, threads: count, openSeconds }) =>
        ({ name, contestant, threads: count, kind: device.kind, software: isSoftware(device), fingerprint: device.fingerprint, openSeconds })),
      peers: peers.map((p) => ('absent' in p ? p : { name: p.name, versions: p.versions, ops: p.ops })), failures, probes, rows,
    };
    const takes = (kind: Kind, plan: RowPlan): boolean =>
      operandHalf(plan) === undefined || targets.some(({ device }) => device.kind === kind && device.half === operandHalf(plan)
        && (plan.flop < TOO_LARGE || isGpu(device)));
    const work = plansOf(options).flatMap((plan) => kinds.filter((kind) => takes(kind, plan))
      .map((kind) => ({ plan, kind, asked: workAsked(plan, kind, options, targets, probes) })));
    if (work.length === 0) throw new BenchmarkError(`nothing to measure: no row of ${options.only.join(', ')} has "${options.filter}" in it`);
    const parallel = Math.max(...targets.filter((t) => t.device.kind === 'cpu').map((t) => t.threads));
    if (options.probes && parallel > 1) gate = await coreGate(parallel, options.plain !== true);
    const all: Contest = { ...hooks, options, targets, peers, probes, gate, paces: new Paces() };
    const references: References = new Map();
    const progress = (done: number): Progress =>
      ({ done, total: work.length, secondsLeft: work.slice(done).reduce((sum, { kind, asked }) => sum + secondsOf(asked, kind, all), 0) });
    hooks.onEstimate?.(work.length, progress(0).secondsLeft);
    for (const [done, { plan, kind, asked }] of work.entries()) {
      hooks.signal?.throwIfAborted();
      hooks.onRow?.(`${plan.name}, ${kind}`, progress(done));
      const started = performance.now();
      const row = await held(await measure(plan.make(), kind, asked, all), targets, references);
      all.paces.learn(asked, row.entries, (performance.now() - started) / 1000);
      for (const { contestant, failed } of row.entries) {
        if (failed === undefined) continue;
        failures.push(`${kind}: ${row.name}, ${contestant}: ${failed}`);
        log(`failed: ${failures.at(-1)}`);
      }
      // A later row may beat the limit of earlier ones.
      rows.splice(0, rows.length, ...withoutBeatenLimits([...rows, row], probes, targets.map((target) => heldOf(target, probes))));
      await hooks.onResult?.(rows.at(-1)!, report, progress(done + 1));
    }
    return report;
  } finally {
    gate?.dispose();
    for (const peer of peers) if (!('absent' in peer)) await peer.dispose();
    for (const target of targets) target.close();
  }
}

const isSoftware = (device: Device): boolean => (device as { software?: boolean }).software === true;
const isGpu = (device: Device): boolean => device.kind !== 'cpu' && !isSoftware(device);

/** FLOP of a product that takes a processor minutes. */
const TOO_LARGE = 1e11;

/** Of a device that was not probed, for estimates of time alone. */
const unprobed = { cpu: { peak: 100, bandwidth: 20 }, webgpu: { peak: 50, bandwidth: 10 }, cuda: { peak: 20_000, bandwidth: 1000 } } as const;

function workAsked(plan: RowPlan, kind: Kind, options: BenchmarkOptions, targets: readonly Target[], probes: readonly Probe[]): RowWork {
  const { op, flop, bytes } = plan;
  const { name, device } = targets.findLast((t) => t.device.kind === kind)!;
  const step = op === 'step';
  const least = leastMilliseconds(limitsOf(probes, name) ?? unprobed[kind], flop, bytes);
  // A GPU takes less for many of the kernels than the wait for it does.
  const queued = !isGpu(device) ? 1 : step ? QUEUED_STEPS : Math.min(QUEUED_KERNELS, Math.max(1, Math.ceil(QUEUED_MS / least)));
  const runs = options.runs * queued + warmUps[step ? 'step' : 'kernel'];
  return { op, half: operandHalf(plan), least, runs, queued, limit: step ? options.stepLimit : options.limit };
}

/** Steps in a row on a GPU; and kernels, as many as take this long at their limit. */
const QUEUED_STEPS = 4;
const QUEUED_KERNELS = 64;
const QUEUED_MS = 2;

/** How many times the roofline's least time a kernel takes where nothing is known of it yet: ours, and a peer's. */
const GUESS = { cpu: { ours: 3, peer: 8 }, webgpu: { ours: 10, peer: 50 }, cuda: { ours: 3, peer: 3 } } as const;

/** Seconds that a row is likely to take. */
function secondsOf(asked: RowWork, kind: Kind, { targets, peers, paces, options }: Contest): number {
  let seconds = paces.besides;
  const takes = (device: Device, v: StepVariant): boolean => v !== 'mixed' || device.half !== undefined;
  const ways = (device: Device): number => (asked.op === 'step' ? variantsOf(options, device).filter((v) => takes(device, v)).length : 1);
  for (const { contestant, device } of targets) if (device.kind === kind) seconds += ways(device) * paces.secondsOfRow(contestant, asked, GUESS[kind].ours);
  for (const peer of peers) {
    if ('absent' in peer || !peer.beside.includes(kind) || !competes(peer, asked)) continue;
    seconds += paces.secondsOfRow(peer.name, asked, peer.slowness ?? GUESS[kind].peer);
  }
  return seconds;
}

/** Mixed precision is that of GPUs: adapters that lack float16 are named, the cpu never has it. */
const variantsOf = ({ recompute }: BenchmarkOptions, { kind }: Device): StepVariant[] =>
  ['plain', ...(recompute === true ? ['recompute' as const] : []), ...(kind === 'cpu' ? [] : ['mixed' as const])];

/** Side of the product by which a GPU's vendor shows what it can do, and how many in a row. */
const VENDOR = { side: 4096, queued: 8 } as const;

/** GFLOP/s of a large product in float32 by cuBLAS, where PyTorch is there to ask for it. A limit that it beats is none. */
async function vendorPeak(targets: readonly Target[], peers: readonly (Peer | AbsentPeer)[], { runs, limit }: BenchmarkOptions): Promise<number | undefined> {
  const peer = peers.find((p): p is Peer => !('absent' in p) && p.name === 'PyTorch, cuda');
  if (peer === undefined || !targets.some(({ device }) => isGpu(device))) return undefined;
  const { side, queued } = VENDOR;
  const problem = squareProduct(side);
  try {
    const milliseconds = await within(limit + 60, async () => {
      const contestant = await peer.enter(problem, inputValues(problem));
      if ('absent' in contestant) return [];
      await contestant.run(2, queued);
      const times = await contestant.run(runs, queued);
      await contestant.dispose();
      return times;
    }, () => peer.abandon());
    return milliseconds.length === 0 ? undefined : 2 * side ** 3 / Math.min(...milliseconds) / 1e6;
  } catch {
    return undefined;
  }
}

async function probeAll(
  targets: readonly Target[], { quick, runs }: BenchmarkOptions, vendor: number | undefined, log: (line: string) => void,
): Promise<Probe[]> {
  const probes: Probe[] = [];
  for (const { name, device, threads } of targets) {
    const clocks = probes.filter((p) => p.what === 'clock').map((p) => p.value);
    const [clock, fastest] = [clocks.at(-1), clocks.length > 0 ? Math.max(...clocks) : undefined];
    const most = Math.max(...targets.map((t) => t.threads));
    const single = probes.find((p) => p.what === 'multiply-add' && targets.some((t) => t.name === p.device && t.threads === 1))?.value;
    const processor = isSoftware(device) && clock !== undefined ? { clock, threads: most } : undefined;
    const hardware = isGpu(device);
    // More than the caches hold: a GPU's hold tens of megabytes.
    const streamBytes = (quick ? 32 : hardware ? 256 : 128) << 20;
    log(`probing ${name}`);
    const found = await probe(device, threads, { runs, streamBytes, processor, fastest, single, hardware, ...(hardware && { vendor }) });
    probes.push(...found.map((p) => ({ ...p, device: name })));
  }
  return probes;
}

interface Contest extends Omit<RunHooks, 'peers'> {
  readonly options: BenchmarkOptions;
  readonly targets: readonly Target[];
  readonly peers: readonly (Peer | AbsentPeer)[];
  readonly probes: readonly Probe[];
  /** Of kernels on the cpu: a step takes longer than cores stay as they are. */
  readonly gate: Gate | undefined;
  readonly paces: Paces;
}

const competes = (peer: Peer, { op, half }: RowWork): boolean => peer.ops.includes(op) && (peer.half === true || half === undefined);

/** Runs before results are compared. */
const warmUps = { kernel: 1, step: checkedSteps } as const;

/** One row: our devices of a kind and the peers beside them, in one contest. */
async function measure(problem: Problem, kind: Kind, asked: RowWork, all: Contest): Promise<Row> {
  const { options, probes, signal } = all;
  const targets = all.targets.filter((t) => t.device.kind === kind);
  const values: HostData[] = problem.kind === 'kernel' ? inputValues(problem) : [];
  const entered: (Contestant | Entry)[] = [];
  try {
    for (const target of targets) {
      const { contestant, device } = target;
      if (problem.kind === 'kernel') {
        entered.push(await enter(contestant, () => kernelContestant(contestant, device, problem, values)));
        if (problem.group === 'gemm' && kind === 'cpu') {
          const name = microKernelName(contestant);
          entered.push(await enter(name, () => microKernelContestant(name, device, target.threads, workOf(problem).flop)));
        }
      } else {
        for (const variant of variantsOf(options, device)) {
          entered.push(await enter(stepContestantName(contestant, variant), () => stepContestant(target, problem, options.width, variant)));
        }
      }
    }
    for (const peer of all.peers) {
      if (!('absent' in peer) && peer.beside.includes(kind) && competes(peer, asked)) entered.push(await enterPeer(peer, problem, values, asked, all));
    }
    const contestants = entered.filter((one) => 'run' in one);
    const check = problem.kind === 'kernel' ? checkOf(problem, values) : lossCheck(problem);
    const { queued, limit } = asked;
    const gate = kind === 'cpu' && problem.kind === 'kernel' ? all.gate : undefined;
    const timed = await contest(contestants, check, { runs: options.runs, warmUps: warmUps[problem.kind], limit, queued, gate, signal });
    const { flop, bytes } = problem.kind === 'kernel' ? workOf(problem) : { flop: 0, bytes: 0 };
    const peers = all.peers.filter((p): p is Peer => !('absent' in p));
    const ceiling = { targets, probes, peers, cores: availableParallelism() };
    const entries = problem.kind === 'step' ? timed : timed.map((e) => belowCeiling(e, problem, flop, ceiling));
    const batch = problem.kind === 'step' ? { batch: problem.batch } : {};
    return {
      group: problem.group, device: kind, name: problem.name, layers: problem.layers, flop, bytes, ...batch, ...(queued > 1 && { queued }),
      entries: [
        ...entries.map((e) => withLimit(e, operandHalf(problem) !== undefined, flop, bytes, targets, probes)),
        ...entered.filter((one) => 'milliseconds' in one),
      ],
    };
  } finally {
    // A peer that fell over has nothing left to give back.
    for (const one of entered) if ('run' in one) await leave(one);
  }
}

/** Seconds in which a contestant must have given back what it holds. */
const LEAVING = 5;

async function leave(contestant: Contestant): Promise<void> {
  const dispose = async (): Promise<void> => contestant.dispose();
  await (contestant.abandon === undefined ? dispose() : within(LEAVING, dispose, () => contestant.abandon!())).catch(() => undefined);
}

/** What the float64 reference has to say of each of our steps, by contestant. */
type References = Map<string, string | undefined>;

/** A row of steps in which ours count only where a small step of theirs is right. After the row: it would make the first start look quick. */
async function held(row: Row, targets: readonly Target[], references: References): Promise<Row> {
  if (row.group !== 'step') return row;
  const entries: Entry[] = [];
  for (const entry of row.entries) {
    const { contestant, milliseconds } = entry;
    const own = targets.flatMap((target) => (Object.keys(variants) as StepVariant[]).map((variant) => ({ target, variant })))
      .find(({ target, variant }) => target.device.kind === row.device && stepContestantName(target.contestant, variant) === contestant);
    if (own !== undefined && milliseconds.length > 0 && !references.has(contestant)) {
      references.set(contestant, await referenceFailure(own.target, own.variant).catch((error: unknown) => {
        if (!(error instanceof FoveaError)) throw error;
        return firstLine(error);
      }));
    }
    const failed = references.get(contestant);
    entries.push(failed === undefined || milliseconds.length === 0 ? entry : { contestant, milliseconds: [], failed });
  }
  return { ...row, entries };
}

/** One of ours. A layer that a device has no room or kernel for is no reason to stop. */
async function enter(contestant: string, make: () => Promise<Contestant>): Promise<Contestant | Entry> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return { contestant, milliseconds: [], absent: error.message };
  }
}

/** A peer, unless by its pace in earlier rows it cannot be done within the limit. */
async function enterPeer(peer: Peer, problem: Problem, values: readonly HostData[], asked: RowWork, { paces, signal }: Contest): Promise<Contestant | Entry> {
  const leave = (why: Pick<Entry, 'absent' | 'failed'>): Entry => ({ contestant: peer.name, milliseconds: [], ...why });
  const once = paces.secondsOfRun(peer.name, asked);
  if (once !== undefined && once * (warmUps[problem.kind] + 1) > asked.limit) return leave({ absent: tooSlow(once, asked.limit, ', as earlier rows have it') });
  try {
    const entered = await within(asked.limit, () => peer.enter(problem, values), () => peer.abandon(), signal);
    return 'absent' in entered ? leave(entered) : entered;
  } catch (error) {
    signal?.throwIfAborted();
    return leave(error instanceof TooSlow ? { absent: `too slow: not ready within ${asked.limit} s` } : { failed: firstLine(error) });
  }
}

const hasMatrices = ({ kind, features }: Device): boolean => kind === 'cuda' || features?.matrices !== undefined;

/** A software adapter's memory is the processor's. */
function heldOf({ contestant, name, device }: Target, probes: readonly Probe[]): Held {
  const memory = isSoftware(device) ? probes.findLast((p) => p.device.startsWith('cpu'))?.device : undefined;
  return { contestant, kind: device.kind, device: name, memory };
}

function withLimit(entry: Entry, half: boolean, flop: number, bytes: number, targets: readonly Target[], probes: readonly Probe[]): Entry {
  const own = targets.find((t) => t.contestant === entry.contestant);
  if (own === undefined || bytes === 0) return entry;
  const { device, memory } = heldOf(own, probes);
  const limits = limitsOf(probes, device, memory);
  // Matrix units multiply halves far quicker than the probe's multiply-adds of float32.
  if (limits === undefined || (half && hasMatrices(own.device))) return entry;
  const done = entry.facts?.flop ?? flop;
  return { ...entry, attainable: leastMilliseconds(limits, done, bytes), ...(!isProven(limits, done, bytes) && { unproven: true }) };
}
