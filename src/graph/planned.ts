import type { Device, Launch, Lowering } from '../device/types.ts';
import { allocate, apartOf, livenessBound } from './allocate.ts';
import type { Rank } from './group.ts';
import type { Leaf } from './leaves.ts';
import { halfOf } from './half.ts';
import { mixed } from './mixed.ts';
import type { Attrs, Node, Value } from './node.ts';
import type { Op, Stage } from './op.ts';
import type { Assignment } from './order.ts';
import { schedule } from './order.ts';
import type { Plan } from './plan.ts';
import { plan } from './plan.ts';
import type { Scheduled } from './recompute.ts';
import { recompute } from './recompute.ts';
import { rewrite } from './rewrite.ts';
import type { VariableCell } from './variable-cell.ts';

/** What a Program holds and would hold, in bytes. */
export interface ProgramMemory {
  /** Temporaries as planned in the arena. */
  readonly planned: number;
  /** The same without sharing. */
  readonly naive: number;
  /** The most that is alive at one step: a lower bound of `planned`. */
  readonly bound: number;
  /** Inputs, constants, outputs and the flat gradient arena. */
  readonly own: number;
  /** Variables that the Program reads or writes. */
  readonly variables: number;
  /** Encoded launches and results kept for reading; in a plan, launches alone, by rule of thumb. */
  readonly staging: number;
  /** All that the Program takes, the arena included. */
  readonly total: number;
  /** Each buffer of the arena, the largest first. */
  readonly arena: readonly number[];
  /** The largest value. */
  readonly largest: number;
}

export interface ProgramSpec {
  readonly device: Device;
  readonly requested: readonly Value[];
  readonly assignments: readonly Assignment[];
  /** Leaves written before each run, in the order of `run`'s argument. All other host leaves are uploaded once. */
  readonly inputs: readonly Leaf[];
  /** False keeps the graph as recorded; tests compare both. */
  readonly fuse?: boolean;
  /** Computes cheap values twice where that lowers the peak of memory; see recompute.ts. Default false. */
  readonly recompute?: boolean;
  /** Rewrites the graph for mixed precision (mixed.ts). Default false. */
  readonly mixed?: boolean;
  /** The group whose ranks its all-reduces sum over, of which this is one. Default: none but this. */
  readonly group?: Rank;
}

/** Bytes that a step's launches take encoded: 200 on the cpu device, 430 on WebGPU, in the networks here. */
const encodedBytes = 400;

/** All that is decided about a Program before any memory is allocated. */
export interface Planned {
  readonly plan: Plan;
  /** Names of the rewrites that were applied. */
  readonly rewrites: readonly string[];
  readonly cells: readonly VariableCell[];
  readonly memory: ProgramMemory;
}

/** Stages of rewriting that the device's kernels gain by. */
const stagesOf = ({ features }: Device): Stage[] =>
  (features?.cuda === undefined ? [] : features.cuda.prologues ? ['epilogue', 'gradient-prologue', 'prologue'] : ['epilogue']);

/** Rewrites, orders and plans; allocates nothing. */
export function planProgram({ device, requested, assignments, fuse, mixed: half = false, recompute: again = false }: ProgramSpec): Planned {
  const values = [...requested, ...assignments.map((a) => a.value)];
  const { roots: fused, applied } = fuse === false ? { roots: values, applied: [] } : rewrite(values, again, stagesOf(device));
  const roots = half ? mixed(fused, halfOf(device, 'mixed precision')) : fused;
  const { arena: kind, alignment, maxBuffer } = device.memory;
  const options = {
    arena: kind,
    scratch: (node: Node) => scratchOf(node, device),
    runsOnHost: (node: Node) => kernelsOf(node, device.kind) === undefined,
  };
  const replan = (values: readonly Value[]): Scheduled => {
    const wanted = values.slice(0, requested.length);
    const assigned = assignments.map(({ cell }, i) => ({ cell, value: values[requested.length + i] }));
    const ordered = schedule(wanted, assigned);
    return { roots: values, schedule: ordered, plan: plan(ordered, wanted, assigned, options) };
  };
  const { plan: made } = again ? recompute(roots, replan) : replan(roots);
  const temporaries = made.roots.filter((r) => r.pinned === undefined && r.last >= 0);
  const arena = allocate(temporaries, { alignment, maxBuffer, apart: kind === 'slots' ? apartOf(made.steps) : undefined });
  const cells = [...new Set(made.roots.flatMap(({ pinned }) => (pinned?.kind === 'variable' ? [pinned.cell] : [])))];
  const sum = (bytes: readonly number[]): number => bytes.reduce((a, b) => a + b, 0);
  const planned = sum(arena);
  const own = sum(made.roots.filter((r) => r.pinned !== undefined && r.pinned.kind !== 'variable').map((r) => r.bytes));
  const variables = sum(cells.map((c) => c.bytes));
  const staging = encodedBytes * made.steps.length;
  return {
    plan: made, rewrites: applied, cells,
    memory: {
      planned, naive: made.naiveBytes, bound: livenessBound(temporaries, alignment), own, variables, staging,
      total: planned + own + variables + staging, arena, largest: Math.max(0, ...made.roots.map((r) => r.bytes)),
    },
  };
}

export function kernelsOf(node: Node, kind: Device['kind']): Lowering<Attrs, Launch> | undefined {
  const kernels: Op<Attrs>['kernels'] = node.op.kernels;
  return kernels?.[kind];
}

function scratchOf(node: Node, { kind, features }: Device): number[] {
  return kernelsOf(node, kind)?.scratch?.(node.inputs, node.outputs, node.attrs, features) ?? [];
}

/** Estimated operations of a node. */
export function costOf(node: Node): number {
  return node.op.cost?.(node.inputs, node.outputs, node.attrs).flop ?? node.outputs[0].size;
}
