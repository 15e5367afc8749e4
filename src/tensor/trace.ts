import type { Device } from '../device/types.ts';
import { GraphError } from '../errors.ts';
import { Leaf } from '../graph/leaves.ts';
import type { Value } from '../graph/node.ts';
import type { Assignment } from '../graph/order.ts';
import type { VariableCell } from '../graph/variable-cell.ts';
import { callSite } from './site.ts';

/**
 * The recording of one call of a function that is being compiled. Reads and assignments of variables inside it concern the
 * trace alone; the variables themselves change when the Program runs.
 */
export class Trace {
  readonly name: string;
  readonly device: Device | undefined;
  readonly #cells = new Map<VariableCell, { start: Leaf; current: Value }>();

  constructor(name: string, device: Device | undefined) {
    this.name = name;
    this.device = device;
  }

  read(cell: VariableCell): Value {
    return this.#state(cell).current;
  }

  /** The version with which the trace began; gradients are taken with respect to it. */
  start(cell: VariableCell): Value {
    return this.#state(cell).start.value;
  }

  assign(cell: VariableCell, value: Value): void {
    this.#state(cell).current = value;
  }

  get assignments(): Assignment[] {
    return [...this.#cells].flatMap(([cell, { start, current }]) => (current === start.value ? [] : [{ cell, value: current }]));
  }

  get cells(): VariableCell[] {
    return [...this.#cells.keys()];
  }

  owns(leaf: Leaf): boolean {
    return leaf.source.kind === 'variable' && this.#cells.get(leaf.source.cell)?.start === leaf;
  }

  #state(cell: VariableCell): { start: Leaf; current: Value } {
    cell.assertAlive();
    let state = this.#cells.get(cell);
    if (state === undefined) {
      const start = new Leaf({ kind: 'variable', cell, version: cell.version }, { shape: cell.shape, dtype: cell.dtype });
      this.#cells.set(cell, (state = { start, current: start.value }));
    }
    return state;
  }
}

let active: Trace | undefined;

export function activeTrace(): Trace | undefined {
  return active;
}

/** Runs `fn` with the trace recording. */
export function withTrace<T>(trace: Trace, fn: () => T): T {
  if (active) throw new GraphError(`"${trace.name}" is called while "${active.name}" is being traced; call the plain function there`);
  active = trace;
  try {
    return fn();
  } finally {
    active = undefined;
  }
}

/** Refuses what needs a value while there are none. */
export function refuseInTrace(what: string): void {
  if (active === undefined) return;
  throw new GraphError(`${what} inside the traced function "${active.name}" at ${callSite() ?? 'an unknown line'}: `
    + 'nothing is computed while tracing. Return the tensor, or use where() in place of a branch');
}

