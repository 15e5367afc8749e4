/**
 * Parameters on their way between memory (NHWC, KRSC) and MXNet's files (NCHW, OIHW), and made anew. Only arrays of four
 * axes are permuted; the weight of a fully connected layer never is.
 */
import type { Shape } from '../device/types.ts';
import { DTypeError, OptionError, ShapeError } from '../errors.ts';
import { Variable } from '../tensor/variable.ts';
import type { HostArray } from './host-array.ts';
import { permuteAxes, toFloat32 } from './host-array.ts';
import type { Initializer } from './initializers.ts';
import { byName, xavier } from './initializers.ts';
import { didYouMean } from '../nearest.ts';
import { toMXNetAxes, toMemory } from './operator.ts';
import type { ModelSymbol } from './symbol.ts';
import { trainingAttributes } from './symbol.ts';

/** An array of a file as it lies in memory. */
export function fromMXNet(array: HostArray): HostArray {
  return array.shape.length === 4 ? permuteAxes(array, toMemory(4)) : array;
}

/** An array of memory as files have it. */
export function toMXNet(array: HostArray): HostArray {
  return array.shape.length === 4 ? permuteAxes(array, toMXNetAxes(4)) : array;
}

/** What a network has: parameters to learn and states that are kept, by name, as they lie in memory. */
export interface ParameterArrays {
  readonly arguments: Map<string, HostArray>;
  readonly auxiliary: Map<string, HostArray>;
}

export interface InitializeOptions {
  readonly seed: number;
  /** Of weights; default `xavier()`. Others follow their names, as MXNet's. */
  readonly initializer?: Initializer;
  /** Values to take where name and shape agree, in MXNet's layout: a checkpoint's. */
  readonly from?: { readonly arguments: ReadonlyMap<string, HostArray>; readonly auxiliary: ReadonlyMap<string, HostArray> };
  /** What becomes of an array of `from` whose shape differs: `refuse` (default), or take new values (a new head). */
  readonly onMismatch?: 'refuse' | 'initialize';
}

/**
 * First values of all parameters and states of a network.
 *
 * @param inputs shapes of the inputs in MXNet's axes
 * @throws ShapeError where an array of `from` has another shape
 */
export function initialize(
  symbol: ModelSymbol,
  inputs: Readonly<Record<string, Shape>>,
  options: InitializeOptions,
): ParameterArrays {
  const shapes = symbol.inferShape(inputs);
  const initializer = byName(options.initializer ?? xavier());
  const value = (name: string, shape: Shape, given: HostArray | undefined): HostArray => {
    if (given !== undefined) {
      const same = given.shape.length === shape.length && given.shape.every((d, i) => d === shape[i]);
      if (same) return fromMXNet(toFloat32(given));
      if (options.onMismatch !== 'initialize') {
        throw new ShapeError(`parameter "${name}": the network has [${shape.join(', ')}], the file [${given.shape.join(', ')}]`);
      }
    }
    return fromMXNet({ shape: [...shape], dtype: 'float32', data: initializer(name, shape, options.seed) });
  };
  const out: ParameterArrays = { arguments: new Map(), auxiliary: new Map() };
  for (const name of symbol.listParameters(Object.keys(inputs))) {
    out.arguments.set(name, value(name, shapes.arguments.get(name)!, options.from?.arguments.get(name)));
  }
  for (const [name, shape] of shapes.auxiliary) {
    out.auxiliary.set(name, value(name, shape, options.from?.auxiliary.get(name)));
  }
  return out;
}

/** Parameters of a network as Variables. */
export interface NetworkVariables {
  /** All of them by name: what `symbol.apply` takes. */
  readonly all: ReadonlyMap<string, Variable>;
  /** Learned and not frozen, in the symbol's order. */
  readonly trainable: readonly Variable[];
  /** Moving statistics. */
  readonly states: readonly Variable[];
}

/**
 * Variables of a network's arrays, with their factors on learning rate and weight decay from the symbol's attributes.
 *
 * @throws OptionError where an array is missing or belongs to nothing
 */
export function createVariables(symbol: ModelSymbol, arrays: ParameterArrays): NetworkVariables {
  const all = new Map<string, Variable>();
  const trainable: Variable[] = [];
  const states: Variable[] = [];
  const known = new Set([...symbol.listArguments(), ...symbol.listAuxiliaryStates()]);
  for (const name of [...arrays.arguments.keys(), ...arrays.auxiliary.keys()]) {
    if (!known.has(name)) throw new OptionError(`the network has no parameter "${name}"${didYouMean(name, known, '"')}`);
  }
  for (const name of symbol.listArguments()) {
    const array = arrays.arguments.get(name);
    if (array === undefined) continue;
    const { frozen } = trainingAttributes(symbol, name);
    const made = floatVariable(name, array, !frozen);
    all.set(name, made);
    if (!frozen) trainable.push(made);
  }
  for (const name of symbol.listAuxiliaryStates()) {
    const array = arrays.auxiliary.get(name);
    if (array === undefined) throw new OptionError(`the state "${name}" of the network has no value`);
    const made = floatVariable(name, array, false);
    all.set(name, made);
    states.push(made);
  }
  return { all, trainable, states };
}

function floatVariable(name: string, array: HostArray, trainable: boolean): Variable<'float32'> {
  if (array.dtype !== 'float32') throw new DTypeError(`parameter "${name}" is ${array.dtype}, expected float32`);
  return new Variable(array.data as Float32Array<ArrayBuffer>, array.shape, 'float32', { name, trainable });
}

/** The values of a network's Variables, as they lie in memory. */
export async function readVariables(symbol: ModelSymbol, variables: ReadonlyMap<string, Variable>): Promise<ParameterArrays> {
  const read = async (names: readonly string[]): Promise<Map<string, HostArray>> => {
    const out = new Map<string, HostArray>();
    for (const name of names) {
      const found = variables.get(name);
      if (found === undefined) continue;
      out.set(name, { shape: [...found.shape], dtype: 'float32', data: (await found.data()) as Float32Array<ArrayBuffer> });
    }
    return out;
  };
  return { arguments: await read(symbol.listArguments()), auxiliary: await read(symbol.listAuxiliaryStates()) };
}

/** The arrays of both kinds in MXNet's layout, for a checkpoint. */
export function arraysToMXNet(arrays: ParameterArrays): ParameterArrays {
  const convert = (map: ReadonlyMap<string, HostArray>): Map<string, HostArray> =>
    new Map([...map].map(([name, array]) => [name, toMXNet(array)]));
  return { arguments: convert(arrays.arguments), auxiliary: convert(arrays.auxiliary) };
}

/** Numbers that are learned, and numbers that are kept beside them. */
export function countParameters(
  symbol: ModelSymbol,
  inputs: Readonly<Record<string, Shape>>,
): { readonly learnable: number; readonly states: number } {
  const shapes = symbol.inferShape(inputs);
  const size = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);
  let learnable = 0;
  for (const name of symbol.listParameters(Object.keys(inputs))) learnable += size(shapes.arguments.get(name)!);
  let states = 0;
  for (const shape of shapes.auxiliary.values()) states += size(shape);
  return { learnable, states };
}
