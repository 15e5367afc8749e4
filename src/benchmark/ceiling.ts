/** What no contestant can reach: a kernel above it was timed without its work, whatever its results say. */
import { outputTypes } from './check.ts';
import { microKernelName } from './micro-kernel.ts';
import { operandHalf } from './problems.ts';
import { median } from './statistics.ts';
import { saysTf32 } from './targets.ts';
import type { Target } from './targets.ts';
import type { Entry, KernelProblem, Peer, Probe } from './types.ts';

/** Peaks are measured, and clocks change between a probe and a row. */
const SLACK = 1.2;

/** Multiplications an output and pair of channels in F(4x4, 3x3): 36 for 16. By as many filters of any size are held to account. */
const LEAST_TAPS = 36 / 16;

/** Native code has vectors of up to 512 bits where WebAssembly has 128; and fused multiply-adds, which kernels without relaxed SIMD have not. */
const NATIVE = { lanes: 4, fused: 2 } as const;

export interface CeilingOf {
  /** Our devices of the row's kind. */
  readonly targets: readonly Pick<Target, 'contestant' | 'name' | 'device' | 'threads'>[];
  readonly probes: readonly Probe[];
  readonly peers: readonly Pick<Peer, 'name' | 'beside'>[];
  /** Of the machine. */
  readonly cores: number;
}

/** The entry, or that it failed: its FLOP/s are more than 1.2 times a peak that counts. Products of halves, and in TF32, have peaks that no probe knows. */
export function belowCeiling(entry: Entry, problem: KernelProblem, flop: number, of: CeilingOf): Entry {
  const { contestant, milliseconds, facts } = entry;
  if (milliseconds.length === 0 || operandHalf(problem) !== undefined || saysTf32(contestant)) return entry;
  const peak = peakOf(contestant, of);
  if (peak === undefined) return entry;
  const least = facts?.flop ?? flop * leastShare(problem);
  const reached = least / median(milliseconds) / 1e6;
  if (!(reached > SLACK * peak)) return entry;
  const failed = `${reached.toPrecision(3)} GFLOP/s, of ${(least / 1e9).toPrecision(3)} GFLOP that any method has, are above the peak of `
    + `${peak.toPrecision(3)}: its work was not done when the clock stopped`;
  return { contestant, milliseconds: [], failed };
}

/** GFLOP/s that a contestant has at most; undefined where no peak that counts is known for it. */
function peakOf(contestant: string, { targets, probes, peers, cores }: CeilingOf): number | undefined {
  const proven = ({ name }: Pick<Target, 'name'>): number | undefined => probes.find((p) => p.device === name && p.what === 'multiply-add' && p.counts)?.value;
  const own = targets.find((t) => t.contestant === contestant || microKernelName(t.contestant) === contestant);
  if (own !== undefined) return proven(own);
  const peer = peers.find((p) => p.name === contestant);
  if (peer === undefined || targets.length === 0) return undefined;
  if (targets[0].device.kind !== 'cpu') {
    // They were handed the first adapter; who stands beside several kinds of device has one of its own.
    const [{ device }] = targets;
    return peer.beside.length > 1 && (device as { software?: boolean }).software === true ? undefined : proven(targets[0]);
  }
  const peaks = targets.flatMap((target) => {
    const peak = proven(target);
    return peak === undefined ? [] : [peak / target.threads * (target.device.fingerprint.relaxedSimd === true ? 1 : NATIVE.fused)];
  });
  return peaks.length === 0 ? undefined : NATIVE.lanes * cores * Math.max(...peaks);
}

/** What part of a convolution's FLOP no method saves: a quarter for 3x3. */
function leastShare(problem: KernelProblem): number {
  const { op, inputs } = problem;
  if (!op.startsWith('conv2d')) return 1;
  const [, r, s] = (op === 'conv2dFilterGrad' ? outputTypes(problem)[0] : inputs[1]).shape;
  return Math.min(1, LEAST_TAPS / (r * s));
}
