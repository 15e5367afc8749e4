import type { Shape } from '../device/types.ts';
import { isLabel } from './symbol-graph.ts';
import type { ModelSymbol } from './symbol.ts';

export interface LayerSummary {
  readonly name: string;
  readonly operator: string;
  /** Of the first output, in MXNet's axes. */
  readonly shape: Shape;
  /** Numbers that are learned. */
  readonly parameters: number;
  /** Of convolutions and products. */
  readonly multiplyAdds: number;
}

/** Layers of a network with shapes, parameters and multiply-adds, for inputs of the shapes given. */
export function summarize(symbol: ModelSymbol, inputs: Readonly<Record<string, Shape>>): LayerSummary[] {
  const shapes = symbol.inferShape(inputs);
  const counted = new Set<object>();
  return symbol.nodes.filter((n) => n.op !== 'null').map((node) => {
    let parameters = 0;
    for (const { node: input } of node.inputs) {
      const given = input.op !== 'null' || Object.hasOwn(inputs, input.name) || isLabel(input.name);
      if (given || counted.has(input) || !shapes.arguments.has(input.name)) continue;
      counted.add(input);
      parameters += shapes.arguments.get(input.name)!.reduce((n, d) => n * d, 1);
    }
    return {
      name: node.name,
      operator: node.op,
      shape: shapes.internals.get(node)![0],
      parameters,
      multiplyAdds: shapes.multiplyAdds.get(node) ?? 0,
    };
  });
}

/** The summary as a table of text with totals. */
export function summaryText(symbol: ModelSymbol, inputs: Readonly<Record<string, Shape>>): string {
  const layers = summarize(symbol, inputs);
  const number = (n: number): string => n.toLocaleString('en-US');
  const total = (of: (l: LayerSummary) => number): number => layers.reduce((n, l) => n + of(l), 0);
  const rows = [
    ['layer', 'operator', 'output', 'parameters', 'multiply-adds'],
    ...layers.map((l) => [l.name, l.operator, l.shape.join(' x '), number(l.parameters), number(l.multiplyAdds)]),
    ['total', `${layers.length} layers`, '', number(total((l) => l.parameters)), number(total((l) => l.multiplyAdds))],
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd());
  const rule = '-'.repeat(widths.reduce((n, w) => n + w + 2, -2));
  return [lines[0], rule, ...lines.slice(1, -1), rule, lines[lines.length - 1]].join('\n');
}
