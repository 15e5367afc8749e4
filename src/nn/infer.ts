/** Shape inference: the lowering of a Symbol over types alone, so that every rule is the op table's. */
import type { Shape, TensorType } from '../device/types.ts';
import { FoveaError, OptionError, ShapeError } from '../errors.ts';
import type { Attrs } from '../graph/node.ts';
import { getOp } from '../fovea.ts';
import { tuple } from './attributes.ts';
import type { Emitter } from './operator.ts';
import { shapeInMemory, shapeInMXNet } from './operator.ts';
import { attributesOf, operatorOf, outputName, variablesByName } from './symbol-graph.ts';
import type { SymbolGraph, SymbolNode } from './symbol-graph.ts';

/** Shapes in MXNet's axes (NCHW, OIHW), by name. */
export interface InferredShapes {
  readonly arguments: ReadonlyMap<string, Shape>;
  readonly auxiliary: ReadonlyMap<string, Shape>;
  readonly outputs: ReadonlyMap<string, Shape>;
  /** Of each output of each layer. */
  readonly internals: ReadonlyMap<SymbolNode, readonly Shape[]>;
  /** Multiply-adds of convolutions and products, by layer, for the batch given. */
  readonly multiplyAdds: ReadonlyMap<SymbolNode, number>;
}

class TypeEmitter implements Emitter<TensorType> {
  readonly training = false;
  multiplyAdds = 0;

  emit(name: string, inputs: readonly TensorType[], attrs: Attrs): TensorType[] {
    const op = getOp(name);
    const outputs = op.infer(inputs, attrs);
    if (op.precision === 'matrix' && op.cost !== undefined) {
      this.multiplyAdds += op.cost(inputs, outputs, attrs).flop / 2;
    }
    return outputs;
  }

  typeOf(value: TensorType): TensorType {
    return value;
  }

  scalar(): TensorType {
    return { shape: [], dtype: 'float32' };
  }

  detach(value: TensorType): TensorType {
    return value;
  }

  update(): void {
    // Statistics keep their shape.
  }

  random(samples: number): { seed: TensorType; step: TensorType; ids: TensorType } {
    const scalar: TensorType = { shape: [], dtype: 'int32' };
    return { seed: scalar, step: scalar, ids: { shape: [samples], dtype: 'int32' } };
  }
}

/** Shapes of everything in the symbol; see `ModelSymbol.inferShape`. */
export function inferTypes(graph: SymbolGraph, inputs: Readonly<Record<string, Shape>>): InferredShapes {
  const variables = variablesByName(graph);
  for (const name of Object.keys(inputs)) {
    if (!variables.has(name)) throw new OptionError(`inferShape: the symbol has no argument "${name}"`);
  }
  const shapes = new Map<SymbolNode, readonly (Shape | undefined)[]>();
  const states = new Set<SymbolNode>();
  const multiplyAdds = new Map<SymbolNode, number>();
  const emitter = new TypeEmitter();
  for (const node of graph.nodes) {
    if (node.op === 'null') {
      shapes.set(node, [inputs[node.name] ?? statedShape(node)]);
      continue;
    }
    const operator = operatorOf(node);
    const context = { name: node.name, attributes: attributesOf(node), inputCount: node.inputs.length };
    const names = operator.inputs?.(context.attributes);
    let known = node.inputs.map((e) => shapes.get(e.node)![e.index]);
    const before = emitter.multiplyAdds;
    inLayer(node, () => {
      if (known.includes(undefined) && operator.completeShapes !== undefined) {
        known = known.map(((completed) => (shape, i) => shape ?? completed[i])(operator.completeShapes(known, context)));
      }
      node.inputs.forEach((entry, i) => {
        if (known[i] === undefined) {
          throw new ShapeError(`the shape of "${entry.node.name}" does not follow from the inputs given ` +
            `(${Object.keys(inputs).join(', ') || 'none'})`);
        }
        if (entry.node.op === 'null') shapes.set(entry.node, [known[i]]);
        if (names !== undefined && operator.auxiliary?.includes(names[i])) states.add(entry.node);
      });
      const types = known.map((shape): TensorType => ({ shape: shapeInMemory(shape!), dtype: 'float32' }));
      shapes.set(node, operator.lower(emitter, types, context).map((t) => shapeInMXNet(t.shape)));
    });
    if (emitter.multiplyAdds > before) multiplyAdds.set(node, emitter.multiplyAdds - before);
  }

  const argumentShapes = new Map<string, Shape>();
  const auxiliary = new Map<string, Shape>();
  for (const [name, node] of variables) {
    const shape = shapes.get(node)![0];
    if (shape === undefined) throw new ShapeError(`the shape of "${name}" is not given`);
    (states.has(node) ? auxiliary : argumentShapes).set(name, shape);
  }
  const all = shapes as Map<SymbolNode, readonly Shape[]>;
  const outputs = new Map(graph.entries.map((e) => [outputName(e), all.get(e.node)![e.index]]));
  return { arguments: argumentShapes, auxiliary, outputs, internals: all, multiplyAdds };
}

/** Runs `work` for a layer; errors of ops are thrown again with the layer's name in front. */
export function inLayer<T>(node: SymbolNode, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    const Kind = error.constructor as new (message: string, options: ErrorOptions) => FoveaError;
    throw new Kind(`layer "${node.name}" (${node.op}): ${error.message}`, { cause: error });
  }
}

function statedShape(node: SymbolNode): Shape | undefined {
  const text = node.attributes.__shape__;
  if (text === undefined) return undefined;
  const shape = tuple().parse(text);
  if (shape === undefined) throw new OptionError(`variable "${node.name}": __shape__: "${text}" is no shape`);
  // MXNet writes 0 for a length that is not known.
  return shape.length === 0 || shape.some((d) => !(d > 0)) ? undefined : shape;
}
