/** The whole benchmark: devices, probes, then a contest for each problem beside each kind of device. */
import { availableThreads } from '../device/cpu/module.ts';
import type { Device } from '../device/types.ts';
import { BenchmarkError } from '../errors.ts';
import { within } from './contest.ts';
import { secondsOf, workAsked } from './estimate.ts';
import type { Gate } from './gate.ts';
import { coreGate } from './gate.ts';
import { machineOf } from './machine.ts';
import type { BenchmarkOptions } from './options.ts';
import { Paces } from './pace.ts';
import type { RowPlan } from './plans.ts';
import { plansOf } from './plans.ts';
import { probe } from './probes.ts';
import { operandHalf, squareProduct } from './problems.ts';
import { withoutBeatenLimits } from './roofline.ts';
import type { Contest, References } from './row.ts';
import { held, heldOf, measure } from './row.ts';
import type { Target } from './targets.ts';
import { isGpu, isSoftware, isTf32, openTargets } from './targets.ts';
import type { AbsentPeer, Peer, PeerSource, Probe, Report, Row } from './types.ts';
import { inputValues } from './values.ts';

type Kind = Device['kind'];

/** FLOP of a product that takes a processor minutes. */
const TOO_LARGE = 1e11;

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
    targets = await openTargets({ devices: options.device, threads, relaxed: options.plain !== true, tf32: options.tf32, log });
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
    const all: Contest = { signal: hooks.signal, options, targets, peers, probes, gate, paces: new Paces() };
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
  for (const { name, device, threads } of targets.filter((target) => !isTf32(target))) {
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
