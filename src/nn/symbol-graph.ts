/** The plain data of a Symbol: nodes and entries, and what their operators say of them. */
import { OptionError } from '../errors.ts';
import { parseAttributes } from './attributes.ts';
import type { Operator } from './operator.ts';
import { findOperator } from './operators.ts';

/** One layer, or a variable where `op` is 'null'. Attributes are texts in MXNet's spelling. */
export interface SymbolNode {
  readonly op: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly inputs: readonly SymbolEntry[];
}

/** One output of a node. */
export interface SymbolEntry {
  readonly node: SymbolNode;
  readonly index: number;
}

/** What lowering and inference walk: nodes with inputs before users, and the outputs asked for. */
export interface SymbolGraph {
  readonly nodes: readonly SymbolNode[];
  readonly entries: readonly SymbolEntry[];
}

const single = ['output'] as const;

/** Names of the outputs that one can use. */
export function outputNames(node: SymbolNode): readonly string[] {
  if (node.op === 'null') return single;
  return operatorOf(node).outputs?.(attributesOf(node)) ?? single;
}

/** `LAYER_output`; a variable's is its name. */
export function outputName(entry: SymbolEntry): string {
  const { op, name } = entry.node;
  if (op === 'null') return name;
  const output = outputNames(entry.node)[entry.index];
  return name === '' ? output : `${name}_${output}`;
}

export function operatorOf(node: SymbolNode): Operator {
  return findOperator(node.op, node.name);
}

const parsed = new WeakMap<SymbolNode, Record<string, unknown>>();

/** The attributes of a layer as its operator reads them. */
export function attributesOf(node: SymbolNode): Record<string, unknown> {
  let found = parsed.get(node);
  if (found === undefined) {
    found = parseAttributes(node.name, node.op, operatorOf(node).schema, node.attributes);
    parsed.set(node, found);
  }
  return found;
}

/** Names that MXNet's modules take for labels. */
export function isLabel(name: string): boolean {
  return name.endsWith('label');
}

/**
 * Variables by name.
 *
 * @throws OptionError where two of them have one name
 */
export function variablesByName(graph: SymbolGraph): Map<string, SymbolNode> {
  const out = new Map<string, SymbolNode>();
  for (const node of graph.nodes) {
    if (node.op !== 'null') continue;
    if (out.has(node.name)) throw new OptionError(`two variables of the symbol are named "${node.name}"`);
    out.set(node.name, node);
  }
  return out;
}

/** Depth first from the roots, inputs left to right, each node after its inputs: the order of MXNet's files. */
export function topological(roots: readonly SymbolNode[]): SymbolNode[] {
  const order: SymbolNode[] = [];
  const next = new Map<SymbolNode, number>();
  for (const root of roots) {
    if (next.has(root)) continue;
    const stack = [root];
    next.set(root, 0);
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      const at = next.get(node)!;
      if (at === node.inputs.length) {
        order.push(node);
        stack.pop();
        continue;
      }
      next.set(node, at + 1);
      const input = node.inputs[at].node;
      if (!next.has(input)) {
        next.set(input, 0);
        stack.push(input);
      }
    }
  }
  return order;
}
