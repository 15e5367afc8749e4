import type { Shape } from '../device/types.ts';
import type { OperatorKind } from './operator.ts';
import { attributesOf, isLabel, operatorOf } from './symbol-graph.ts';
import type { SymbolNode } from './symbol-graph.ts';
import type { ModelSymbol } from './symbol.ts';

/** Fill colours by kind, after ColorBrewer's Set3. */
const colours: Readonly<Record<OperatorKind | 'input', string>> = {
  input: '#8dd3c7', convolution: '#fb8072', dense: '#fb8072', normalization: '#bebada', activation: '#ffffb3',
  pooling: '#80b1d3', join: '#fdb462', shape: '#fdb462', arithmetic: '#d9d9d9', loss: '#b3de69', random: '#fccde5',
};

export interface DotOptions {
  readonly title?: string;
  /** Shapes of the inputs in MXNet's axes; edges then bear shapes, without the batch. */
  readonly inputs?: Readonly<Record<string, Shape>>;
}

/** The network as a Graphviz graph, data flowing upward as in MXNet's drawings. Parameters and labels are left out. */
export function toDot(symbol: ModelSymbol, options: DotOptions = {}): string {
  const shapes = options.inputs === undefined ? undefined : symbol.inferShape(options.inputs).internals;
  const given = options.inputs;
  const states = new Set(symbol.listAuxiliaryStates());
  const drawn = (node: SymbolNode): boolean => {
    if (node.op !== 'null') return true;
    if (isLabel(node.name) || states.has(node.name)) return false;
    if (given !== undefined) return Object.hasOwn(given, node.name);
    return !/_(weight|bias|gamma|beta)$/.test(node.name);
  };
  const ids = new Map(symbol.nodes.filter(drawn).map((node, i) => [node, `n${i}`]));
  const lines = [
    `digraph ${quote(options.title ?? 'network')} {`,
    '  rankdir=BT;',
    '  node [shape=box, style="rounded,filled", color="#00000040", fontname="Helvetica", fontsize=11];',
    '  edge [color="#666666", fontname="Helvetica", fontsize=9, arrowsize=0.7];',
  ];
  for (const [node, id] of ids) {
    const kind = node.op === 'null' ? 'input' : operatorOf(node).kind;
    lines.push(`  ${id} [label=${quote(label(node))}, fillcolor="${colours[kind]}"];`);
  }
  for (const [node, id] of ids) {
    for (const { node: input, index } of node.inputs) {
      const from = ids.get(input);
      if (from === undefined) continue;
      const shape = shapes?.get(input)?.[index];
      // Spaces beside a shape keep it off the line where a viewer's font is wider than Graphviz takes it to be.
      lines.push(`  ${from} -> ${id}${shape === undefined ? '' : ` [label=${quote(`  ${shape.slice(1).join('×')}  `)}]`};`);
    }
  }
  return `${[...lines, '}'].join('\n')}\n`;
}

function label(node: SymbolNode): string {
  if (node.op === 'null') return node.name;
  const a = attributesOf(node);
  const times = (value: unknown): string => (value as number[]).join('x');
  switch (node.op) {
    case 'Convolution': return `${node.name}\n${times(a.kernel)}/${times(a.stride)}, ${String(a.num_filter)}`;
    case 'Pooling':
      return a.global_pool
        ? `${node.name}\nglobal ${String(a.pool_type)}`
        : `${node.name}\n${String(a.pool_type)}, ${times(a.kernel)}/${times(a.stride)}`;
    case 'FullyConnected': return `${node.name}\n${String(a.num_hidden)}`;
    case 'Activation': case 'LeakyReLU': return `${node.name}\n${String(a.act_type)}`;
    default: return `${node.name}\n${node.op}`;
  }
}

function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}
