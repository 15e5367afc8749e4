/** The whole benchmark: devices, probes, then a contest for each problem beside each kind of device. */
import { availableThreads } from '../device/cpu/module.ts';
import type { Device, HostData } from '../device/types.ts';
import { BenchmarkError, FoveaError } from '../errors.ts';
import { getOp } from '../fovea.ts';
import { bytesTouched } from '../ops/support/cost.ts';
import { checkOf, outputTypes } from './check.ts';
import type { Check } from './check.ts';
import { contest } from './contest.ts';
import { kernelContestant } from './kernel.ts';
import { machineOf } from './machine.ts';
import type { BenchmarkOptions } from './options.ts';
import { probe } from './probes.ts';
import { kernelProblems } from './problems.ts';
import { leastMilliseconds, limitsOf } from './roofline.ts';
import { checkedSteps, lossCheck, stepContestant, stepProblem } from './step.ts';
import type { Target } from './targets.ts';
import { openTargets } from './targets.ts';
import type { AbsentPeer, Contestant, Entry, KernelProblem, Peer, PeerSource, Probe, Problem, Report, Row } from './types.ts';
import { inputValues } from './values.ts';

export interface RunHooks {
  readonly log: (line: string) => void;
  /** Before each row. */
  readonly onRow?: (done: number, total: number, what: string) => void;
  /** After each. */
  readonly onResult?: (row: Row, report: Report) => void | Promise<void>;
  readonly signal?: AbortSignal;
  readonly peers?: PeerSource;
}

/** @throws BenchmarkError where there is nothing to measure; rows with a wrong output are left out and named in `failures` */
export async function runBenchmark(options: BenchmarkOptions, hooks: RunHooks): Promise<Report> {
  const { log } = hooks;
  const most = await availableThreads(undefined);
  const threads = [...new Set(options.threads ?? [1, most])];
  const targets = await openTargets({ devices: options.device, threads, relaxed: options.plain !== true, log });
  if (targets.length === 0) throw new BenchmarkError('no device to measure');
  const kinds = [...new Set(targets.map((t) => t.device.kind as 'cpu' | 'webgpu'))];
  const peers: readonly (Peer | AbsentPeer)[] = !options.peers || hooks.peers === undefined ? [] : await hooks.peers({
    beside: kinds, threads, python: options.python ?? [], adapter: adapterOf(targets), log,
  });
  try {
    for (const peer of peers) if ('absent' in peer) log(`${peer.name}: absent (${peer.absent})`);
    const probes = options.probes ? await probeAll(targets, options, log) : [];
    const rows: Row[] = [];
    const failures: string[] = [];
    const report: Report = {
      format: 1, machine: machineOf(), options: { ...options, threads },
      devices: targets.map(({ device, openSeconds }) => ({ name: device.name, kind: device.kind, fingerprint: device.fingerprint, openSeconds })),
      peers: peers.map((p) => ('absent' in p ? p : { name: p.name, versions: p.versions })), failures, probes, rows,
    };
    const work = problemsOf(options).flatMap((make) => kinds.map((kind) => ({ make, kind })));
    if (work.length === 0) throw new BenchmarkError(`nothing to measure: no row of ${options.only.join(', ')} has "${options.filter}" in it`);
    for (const [done, { make, kind }] of work.entries()) {
      hooks.signal?.throwIfAborted();
      const problem = make();
      hooks.onRow?.(done, work.length, `${problem.name}, ${kind}`);
      let row: Row;
      try {
        row = await measure(problem, kind, { ...hooks, options, targets, peers, probes });
      } catch (error) {
        // A wrong output, or an engine that fell over, ends its row and is told at the end; the others count.
        hooks.signal?.throwIfAborted();
        failures.push(`${kind}: ${(error as Error).message.split('\n')[0]}`);
        log(`failed: ${failures.at(-1)}`);
        continue;
      }
      rows.push(row);
      await hooks.onResult?.(row, report);
    }
    return report;
  } finally {
    for (const peer of peers) if (!('absent' in peer)) await peer.dispose();
    for (const { device } of targets) device.dispose();
  }
}

const isSoftware = (device: Device): boolean => (device as { software?: boolean }).software === true;

function adapterOf(targets: readonly Target[]): string | undefined {
  const gpu = targets.find((t) => t.device.kind === 'webgpu')?.device;
  return gpu && isSoftware(gpu) ? String(gpu.fingerprint.adapter).split('-')[0] : undefined;
}

/** Problems are made when their turn comes: a batch of images and 11 M parameters are not kept. */
function problemsOf({ only, filter = '', batch, stepBatch, side, width }: BenchmarkOptions): (() => Problem)[] {
  const wanted = (p: Pick<Problem, 'name' | 'layers'>): boolean => p.name.includes(filter) || p.layers.some((l) => l.includes(filter));
  const kernels = kernelProblems(batch).filter((p) => only.includes(p.group) && wanted(p));
  const steps = only.includes('step') && wanted({ name: 'step inception-bn', layers: [] }) ? stepBatch : [];
  return [...kernels.map((p) => () => p), ...steps.map((n) => () => stepProblem({ batch: n, side, width }))];
}

async function probeAll(targets: readonly Target[], { quick, runs }: BenchmarkOptions, log: (line: string) => void): Promise<Probe[]> {
  const probes: Probe[] = [];
  const streamBytes = (quick ? 32 : 128) << 20;
  for (const { device, threads } of targets) {
    const clock = probes.findLast((p) => p.what === 'clock')?.value;
    const most = Math.max(...targets.map((t) => t.threads));
    const processor = isSoftware(device) && clock !== undefined ? { clock, threads: most } : undefined;
    log(`probing ${device.name}`);
    probes.push(...await probe(device, threads, { runs, streamBytes, processor }));
  }
  return probes;
}

interface Contest extends Omit<RunHooks, 'peers'> {
  readonly options: BenchmarkOptions;
  readonly targets: readonly Target[];
  readonly peers: readonly (Peer | AbsentPeer)[];
  readonly probes: readonly Probe[];
}

/** One row: our devices of a kind and the peers beside them, in one contest. */
async function measure(problem: Problem, kind: 'cpu' | 'webgpu', all: Contest): Promise<Row> {
  const { options, probes, log } = all;
  const targets = all.targets.filter((t) => t.device.kind === kind);
  const values: HostData[] = problem.kind === 'kernel' ? inputValues(problem) : [];
  const contestants: Contestant[] = [];
  const left: Entry[] = [];
  const leave = (contestant: string, why: string): void => void left.push({ contestant, milliseconds: [], absent: why });
  try {
    for (const { contestant, device } of targets) {
      try {
        contestants.push(problem.kind === 'kernel' ? await kernelContestant(contestant, device, problem, values)
          : await stepContestant(contestant, device, problem, options.width));
      } catch (error) {
        // A layer that this device has no room for is no reason to stop.
        if (!(error instanceof FoveaError) || error instanceof BenchmarkError) throw error;
        leave(contestant, error.message);
      }
    }
    for (const peer of all.peers) {
      if ('absent' in peer || peer.beside !== kind) continue;
      if (problem.kind === 'step' && peer.smallestStepOnly && problem.batch > Math.min(...options.stepBatch)) continue;
      const entered = await peer.enter(problem, values);
      if ('absent' in entered) leave(peer.name, entered.absent);
      else contestants.push(entered);
    }
    const check: Check = problem.kind === 'kernel' ? checkOf(problem, values) : lossCheck(problem);
    const warmUps = problem.kind === 'kernel' ? 1 : checkedSteps;
    const entries = await contest(contestants, check, { runs: options.runs, warmUps, limit: options.limit, signal: all.signal });
    const { flop, bytes } = problem.kind === 'kernel' ? workOf(problem) : { flop: 0, bytes: 0 };
    const batch = problem.kind === 'step' ? { batch: problem.batch } : {};
    return {
      group: problem.group, device: kind, name: problem.name, layers: problem.layers, flop, bytes, ...batch,
      entries: [...entries.map((e) => withLimit(e, flop, bytes, targets, probes)), ...left],
    };
  } finally {
    for (const one of contestants) await one.dispose();
    for (const one of left) log(`${problem.name}: ${one.contestant}: ${one.absent}`);
  }
}

/** FLOP of the op as it is defined, and its compulsory bytes. */
export function workOf(problem: KernelProblem): { flop: number; bytes: number } {
  const op = getOp(problem.op);
  const outputs = outputTypes(problem);
  return { flop: op.cost?.(problem.inputs, outputs, problem.attrs).flop ?? 0, bytes: bytesTouched(problem.inputs, outputs) };
}

function withLimit(entry: Entry, flop: number, bytes: number, targets: readonly Target[], probes: readonly Probe[]): Entry {
  const own = targets.find((t) => t.contestant === entry.contestant);
  if (own === undefined || bytes === 0) return entry;
  const memory = isSoftware(own.device) ? probes.findLast((p) => p.device.startsWith('cpu'))?.device : undefined;
  const limits = limitsOf(probes, own.device.name, memory);
  return limits === undefined ? entry : { ...entry, attainable: leastMilliseconds(limits, entry.facts?.flop ?? flop, bytes) };
}
