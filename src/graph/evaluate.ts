import { defaultDevice } from '../device/index.ts';
import type { Device, HostData } from '../device/types.ts';
import type { Leaf } from './leaves.ts';
import { hostLeaf, isLeaf } from './leaves.ts';
import type { Node, Value } from './node.ts';
import { topologicalOrder } from './node.ts';
import type { Assignment } from './order.ts';
import { Program } from './program.ts';
import type { VariableCell } from './variable-cell.ts';

/** Programs of uncompiled graphs that are kept ready, by structure; the one not used for longest goes first. */
const cacheSize = 128;
const caches = new WeakMap<Device, Map<string, Program>>();

let queue: Promise<unknown> = Promise.resolve();

/** Runs tasks one after another: an evaluation changes variables, so none may see another half done. */
export function exclusively<T>(task: () => Promise<T>): Promise<T> {
  const result = queue.then(task);
  queue = result.catch(() => undefined);
  return result;
}

/**
 * Evaluates values together, once, and runs the assignments pending on the variables they touch. Each value is replaced by its
 * data, so its history is freed.
 *
 * @returns the data of each value, in order
 */
export function evaluate(values: readonly Value[], device?: Device): Promise<HostData[]> {
  return exclusively(() => evaluateNow(values, device));
}

/** Runs what is pending on the cells, so that their buffers hold their current values. */
export function settle(cells: readonly VariableCell[], device?: Device): Promise<unknown> {
  return exclusively(() => settleNow(cells, device));
}

/** `settle` for a caller that is inside `exclusively` already. */
export async function settleNow(cells: readonly VariableCell[], device?: Device): Promise<void> {
  if (cells.some((c) => c.pending)) await evaluateNow([], device, cells);
}

/** `evaluate` for a caller that is inside `exclusively` already; also runs what is pending on `cells`. */
export async function evaluateNow(
  values: readonly Value[], device?: Device, cells: readonly VariableCell[] = [],
): Promise<HostData[]> {
  await fetchOutputs(values);
  const requested = values.filter((v, i) => hostDataOf(v) === undefined && values.indexOf(v) === i);
  const graph = collect(requested, cells);
  await fetchOutputs(graph.assignments.map((a) => a.value));
  if (requested.length > 0 || graph.assignments.length > 0) {
    const target = device ?? graph.cells.find((c) => c.device)?.device ?? (await defaultDevice());
    await run(target, requested, graph);
  }
  return values.map((v) => hostDataOf(v) ?? results.get(v)!);
}

/** Data of values that are leaves of variables: they must stay what they are. */
const results = new WeakMap<Value, HostData>();

interface Collected {
  readonly order: readonly Node[];
  readonly cells: readonly VariableCell[];
  readonly assignments: readonly Assignment[];
}

/** The graph under the values, and under all that is pending on the variables in it. */
function collect(requested: readonly Value[], extra: readonly VariableCell[]): Collected {
  const cells = new Set<VariableCell>(extra);
  const values: Value[] = [...requested];
  for (const cell of extra) if (cell.pending) values.push(cell.pending);
  for (;;) {
    const order = topologicalOrder(values.map((v) => v.node));
    let grown = false;
    for (const node of order) {
      if (!isLeaf(node) || node.source.kind !== 'variable' || cells.has(node.source.cell)) continue;
      const { cell } = node.source;
      cells.add(cell);
      if (cell.pending) {
        values.push(cell.pending);
        grown = true;
      }
    }
    if (grown) continue;
    for (const cell of cells) cell.assertAlive();
    const assignments = [...cells].flatMap((cell) => (cell.pending ? [{ cell, value: cell.pending }] : []));
    return { order, cells: [...cells], assignments };
  }
}

async function run(device: Device, requested: readonly Value[], graph: Collected): Promise<void> {
  const { order, assignments } = graph;
  for (const { cell } of assignments) cell.bufferOn(device);
  const { key, inputs } = describe(order, requested, assignments);
  const program = await cached(device, key, () => Program.create({ device, requested, assignments, inputs }));
  const kept: [VariableCell, HostData][] = [];
  for (const { cell } of assignments) {
    if (isReadLater(cell.leaf.value, requested, graph)) kept.push([cell, await cell.read()]);
  }

  await program.run(inputs.map(inputData));
  const data = await Promise.all(requested.map((_, i) => program.readOutput(i)));
  requested.forEach((value, i) => {
    if (isLeaf(value.node) && value.node.source.kind === 'variable') {
      results.set(value, data[i]);
      return;
    }
    const cut = { label: value.node.label, variables: variablesUnder(value) };
    value.become(hostLeaf(data[i], value.shape, value.dtype, { cut }));
  });
  for (const [cell, old] of kept) cell.preserve(old);
  for (const { cell, value } of assignments) cell.commit(value);
}

/** True when something alive may yet ask for `version`, or for what was computed from it and does not become data now. */
function isReadLater(version: Value, requested: readonly Value[], { order, assignments }: Collected): boolean {
  const evaluated = new Set<object>(order);
  const cut = new Set([...requested, ...assignments.map((a) => a.value)]);
  const stale = new Set([version]);
  if (version.isHeldOutside(evaluated)) return true;
  for (const node of order) {
    if (!node.inputs.some((v) => stale.has(v))) continue;
    for (const output of node.outputs) {
      if (cut.has(output)) continue;
      if (output.isHeldOutside(evaluated)) return true;
      stale.add(output);
    }
  }
  return false;
}

function variablesUnder(value: Value): Set<number> {
  const ids = new Set<number>();
  for (const node of topologicalOrder([value.node])) {
    if (!isLeaf(node)) continue;
    if (node.source.kind === 'variable') ids.add(node.source.cell.id);
    if (node.source.kind === 'host') for (const id of node.source.cut?.variables ?? []) ids.add(id);
  }
  return ids;
}

/** Names a graph by its structure: ops, attributes, connections, shapes of the data, identities of the variables. */
function describe(
  order: readonly Node[], requested: readonly Value[], assignments: readonly Assignment[],
): { key: string; inputs: Leaf[] } {
  const index = new Map<Node, number>();
  const inputs: Leaf[] = [];
  const parts: string[] = [];
  const ref = (v: Value): string => `${index.get(v.node)}.${v.index}`;
  for (const node of order) {
    index.set(node, index.size);
    if (!isLeaf(node)) {
      parts.push(`${node.op.name}${JSON.stringify(node.attrs, exactly)}(${node.inputs.map(ref).join()})`);
    } else if (node.source.kind === 'variable') {
      parts.push(`v${node.source.cell.id}`);
    } else {
      inputs.push(node);
      parts.push(`${node.value.dtype}[${node.value.shape.join()}]`);
    }
  }
  parts.push('>', requested.map(ref).join(), ...assignments.map((a) => `${a.cell.id}=${ref(a.value)}`));
  return { key: parts.join(';'), inputs };
}

/** For JSON.stringify, which writes infinities and NaN as null and -0 as 0. */
function exactly(_key: string, x: unknown): unknown {
  return typeof x === 'number' && (!Number.isFinite(x) || Object.is(x, -0)) ? `number ${Object.is(x, -0) ? '-0' : x}` : x;
}

async function cached(device: Device, key: string, create: () => Promise<Program>): Promise<Program> {
  let cache = caches.get(device);
  if (cache === undefined) caches.set(device, (cache = new Map()));
  let program = cache.get(key);
  cache.delete(key);
  if (program === undefined || program.disposed) program = await create();
  cache.set(key, program);
  for (const [oldest, unused] of cache) {
    if (cache.size <= cacheSize) break;
    cache.delete(oldest);
    unused.dispose();
  }
  return program;
}

function inputData(leaf: Leaf): HostData | number {
  if (leaf.source.kind === 'number') return leaf.source.value;
  if (leaf.source.kind === 'host') return leaf.source.data;
  throw new Error(`${leaf.label} has no data on the host`);
}

function hostDataOf(value: Value): HostData | undefined {
  const { node } = value;
  if (!isLeaf(node)) return undefined;
  if (node.source.kind === 'host') return node.source.data;
  if (node.source.kind !== 'number') return undefined;
  return value.dtype === 'int32' ? Int32Array.of(node.source.value) : Float32Array.of(node.source.value);
}

/** Brings what compiled functions returned to the host, where an evaluation needs it. */
async function fetchOutputs(values: readonly Value[]): Promise<void> {
  const leaves = topologicalOrder(values.map((v) => v.node)).filter(isLeaf);
  for (const leaf of leaves) {
    if (leaf.source.kind !== 'output') continue;
    const { shape, dtype } = leaf.value;
    leaf.value.become(hostLeaf(await leaf.source.output.read(), shape, dtype));
  }
}
