/** One row of the benchmark: who enters, the contest, and what limits each. */
import { availableParallelism } from 'node:os';
import type { Device, HostData } from '../device/types.ts';
import { FoveaError } from '../errors.ts';
import { belowCeiling } from './ceiling.ts';
import { checkOf } from './check.ts';
import { contest, firstLine, tooSlow, within, TooSlow } from './contest.ts';
import type { Field } from './estimate.ts';
import { competes, variantsOf, warmUps } from './estimate.ts';
import type { Gate } from './gate.ts';
import { kernelContestant } from './kernel.ts';
import { microKernelContestant, microKernelName } from './micro-kernel.ts';
import type { RowWork } from './pace.ts';
import { workOf } from './plans.ts';
import { operandHalf } from './problems.ts';
import type { Held } from './roofline.ts';
import { isProven, leastMilliseconds, limitsOf } from './roofline.ts';
import type { StepVariant } from './step.ts';
import { lossCheck, referenceFailure, stepContestant, stepContestantName, variants } from './step.ts';
import type { Target } from './targets.ts';
import { isSoftware, isTf32 } from './targets.ts';
import type { Contestant, Entry, Peer, Probe, Problem, Row } from './types.ts';
import { inputValues } from './values.ts';

type Kind = Device['kind'];

/** Who competes in every row, and under what conditions. */
export interface Contest extends Field {
  readonly probes: readonly Probe[];
  /** Of kernels on the cpu: a step takes longer than cores stay as they are. */
  readonly gate: Gate | undefined;
  readonly signal?: AbortSignal;
}

/** One row: our devices of a kind and the peers beside them, in one contest. */
export async function measure(problem: Problem, kind: Kind, asked: RowWork, all: Contest): Promise<Row> {
  const { options, probes, signal } = all;
  const products = operandHalf(problem) === undefined && ['gemm', 'conv', 'step'].includes(problem.group);
  const targets = all.targets.filter((t) => t.device.kind === kind && (products || !isTf32(t)));
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
    const clock = kind === 'cuda' && problem.kind === 'kernel' ? 'gpu' : 'host';
    const gate = kind === 'cpu' && problem.kind === 'kernel' ? all.gate : undefined;
    const timed = await contest(contestants, check, { runs: options.runs, warmUps: warmUps[problem.kind], limit, queued, clock, gate, signal });
    const { flop, bytes } = problem.kind === 'kernel' ? workOf(problem) : { flop: 0, bytes: 0 };
    const peers = all.peers.filter((p): p is Peer => !('absent' in p));
    const ceiling = { targets, probes, peers, cores: availableParallelism() };
    const entries = problem.kind === 'step' ? timed : timed.map((e) => belowCeiling(e, problem, flop, ceiling));
    const batch = problem.kind === 'step' ? { batch: problem.batch } : {};
    return {
      group: problem.group, device: kind, name: problem.name, layers: problem.layers, flop, bytes, ...batch, ...(queued > 1 && { queued }),
      ...(clock === 'gpu' && { clock }),
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
export type References = Map<string, string | undefined>;

/** A row of steps in which ours count only where a small step of theirs is right. After the row: it would make the first start look quick. */
export async function held(row: Row, targets: readonly Target[], references: References): Promise<Row> {
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
export function heldOf({ contestant, name, device }: Target, probes: readonly Probe[]): Held {
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
