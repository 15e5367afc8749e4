/** How long rows are likely to take: what each asks of a contestant, and of whom. */
import type { Device } from '../device/types.ts';
import type { BenchmarkOptions } from './options.ts';
import type { Paces, RowWork } from './pace.ts';
import type { RowPlan } from './plans.ts';
import { operandHalf } from './problems.ts';
import { leastMilliseconds, limitsOf } from './roofline.ts';
import type { StepVariant } from './step.ts';
import { checkedSteps } from './step.ts';
import type { Target } from './targets.ts';
import { isGpu, isTf32 } from './targets.ts';
import type { AbsentPeer, Peer, Probe } from './types.ts';

type Kind = Device['kind'];

/** Who competes, and how quick they were so far. */
export interface Field {
  readonly options: BenchmarkOptions;
  readonly targets: readonly Target[];
  readonly peers: readonly (Peer | AbsentPeer)[];
  readonly paces: Paces;
}

export const competes = (peer: Peer, { op, half }: RowWork): boolean => peer.ops.includes(op) && (peer.half === true || half === undefined);

/** Runs before results are compared. */
export const warmUps = { kernel: 1, step: checkedSteps } as const;

/** Of a device that was not probed, for estimates of time alone. */
const unprobed = { cpu: { peak: 100, bandwidth: 20 }, webgpu: { peak: 50, bandwidth: 10 }, cuda: { peak: 20_000, bandwidth: 1000 } } as const;

/** What a row asks of each contestant. */
export function workAsked(plan: RowPlan, kind: Kind, options: BenchmarkOptions, targets: readonly Target[], probes: readonly Probe[]): RowWork {
  const { op, flop, bytes } = plan;
  const { name, device } = targets.findLast((t) => t.device.kind === kind && !isTf32(t))!;
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
export function secondsOf(asked: RowWork, kind: Kind, { targets, peers, paces, options }: Field): number {
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

/** Mixed precision is that of GPUs: adapters that lack float16 are named, the cpu never has it; with TF32 it would be the same as without. */
export function variantsOf({ recompute }: BenchmarkOptions, device: Device): StepVariant[] {
  const mixed = device.kind !== 'cpu' && !isTf32({ device });
  return ['plain', ...(recompute === true ? ['recompute' as const] : []), ...(mixed ? ['mixed' as const] : [])];
}
