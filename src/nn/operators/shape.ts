import type { Shape } from '../../device/types.ts';
import { OptionError, ShapeError } from '../../errors.ts';
import { flag, float, integer, oneOf, optionalTuple, tuple } from '../attributes.ts';
import type { Emitter } from '../operator.ts';
import {
  axisInMemory, defineOperator, inMemoryOrder, permuted, reshapedInMXNetOrder, resolveAxis, shapeInMXNet, toMemory,
} from '../operator.ts';

/** Reshape in MXNet's element order: transposes before and after where four axes are involved. */
function reshapeInMXNet<V>(e: Emitter<V>, x: V, shape: Shape): V {
  return inMemoryOrder(e, reshapedInMXNetOrder(e, x, shape));
}

const flatten = defineOperator({
  name: 'Flatten',
  aliases: ['flatten'],
  kind: 'shape',
  schema: {},
  inputs: () => ['data'],
  lower(e, [x]) {
    const { shape } = e.typeOf(x);
    return [reshapeInMXNet(e, x, [shape[0], shape.slice(1).reduce((n, d) => n * d, 1)])];
  },
});

/**
 * MXNet's codes for a new shape: 0 copies a length, -1 is inferred, -2 copies all that are left, -3 joins two, -4 splits one
 * into the two that follow (one of which may be -1).
 */
export function decodeShape(codes: readonly number[], from: Shape): number[] {
  const out: number[] = [];
  let at = 0;
  let inferred = -1;
  const take = (): number => {
    if (at >= from.length) throw new ShapeError(`shape (${codes.join(', ')}) uses more axes than [${from.join(', ')}] has`);
    return from[at++];
  };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code > 0) {
      out.push(code);
      at++;
    } else if (code === 0) {
      out.push(take());
    } else if (code === -1) {
      if (inferred >= 0) throw new ShapeError(`shape (${codes.join(', ')}) leaves two lengths to be inferred`);
      inferred = out.length;
      out.push(1);
      at++;
    } else if (code === -2) {
      while (at < from.length) out.push(take());
    } else if (code === -3) {
      out.push(take() * take());
    } else if (code === -4) {
      const whole = take();
      let [first, second] = [codes[++i], codes[++i]];
      if (first === -1) first = whole / second;
      if (second === -1) second = whole / first;
      if (!(first > 0 && second > 0 && first * second === whole)) {
        throw new ShapeError(`shape (${codes.join(', ')}) does not split ${whole}`);
      }
      out.push(first, second);
    } else {
      throw new ShapeError(`shape (${codes.join(', ')}): ${code} means nothing`);
    }
  }
  if (inferred >= 0) {
    const total = from.reduce((n, d) => n * d, 1);
    out[inferred] = total / out.reduce((n, d) => n * d, 1);
  }
  if (!out.every((d) => Number.isInteger(d)) || out.reduce((n, d) => n * d, 1) !== from.reduce((n, d) => n * d, 1)) {
    throw new ShapeError(`[${from.join(', ')}] cannot be reshaped to (${codes.join(', ')})`);
  }
  return out;
}

const reshape = defineOperator({
  name: 'Reshape',
  aliases: ['reshape'],
  kind: 'shape',
  schema: { shape: tuple(), reverse: flag(false) },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    if (a.reverse) throw new OptionError('reverse is not supported');
    return [reshapeInMXNet(e, x, decodeShape(a.shape, shapeInMXNet(e.typeOf(x).shape)))];
  },
});

const expandDims = defineOperator({
  name: 'expand_dims',
  kind: 'shape',
  schema: { axis: integer() },
  inputs: () => ['data'],
  lower(e, [x], { name, attributes: a }) {
    const shape = [...shapeInMXNet(e.typeOf(x).shape)];
    shape.splice(resolveAxis(a.axis, shape.length + 1, name), 0, 1);
    return [reshapeInMXNet(e, x, shape)];
  },
});

const squeeze = defineOperator({
  name: 'squeeze',
  kind: 'shape',
  schema: { axis: optionalTuple() },
  inputs: () => ['data'],
  lower(e, [x], { name, attributes: a }) {
    const shape = shapeInMXNet(e.typeOf(x).shape);
    const axes = a.axis?.map((axis) => resolveAxis(axis, shape.length, name)) ??
      shape.flatMap((d, i) => (d === 1 ? [i] : []));
    for (const axis of axes) {
      if (shape[axis] !== 1) throw new ShapeError(`axis ${axis} of [${shape.join(', ')}] is not of length 1`);
    }
    const left = shape.filter((_, i) => !axes.includes(i));
    return [reshapeInMXNet(e, x, left.length === 0 ? [1] : left)];
  },
});

/** `axes[i]` of the input becomes axis i, both in MXNet's order. */
function transposeInMXNet<V>(e: Emitter<V>, x: V, axes: readonly number[]): V {
  const rank = axes.length;
  return permuted(e, x, toMemory(rank).map((out) => axisInMemory(axes[out], rank)));
}

const transpose = defineOperator({
  name: 'transpose',
  kind: 'shape',
  schema: { axes: optionalTuple() },
  inputs: () => ['data'],
  lower(e, [x], { name, attributes: a }) {
    const rank = e.typeOf(x).shape.length;
    const axes = a.axes?.map((axis) => resolveAxis(axis, rank, name)) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
    if (axes.length !== rank || new Set(axes).size !== rank) {
      throw new OptionError(`axes (${axes.join(', ')}) do not permute ${rank} axes`);
    }
    return [transposeInMXNet(e, x, axes)];
  },
});

const swapAxis = defineOperator({
  name: 'SwapAxis',
  aliases: ['swapaxes'],
  kind: 'shape',
  schema: { dim1: integer(0), dim2: integer(0) },
  inputs: () => ['data'],
  lower(e, [x], { name, attributes: a }) {
    const rank = e.typeOf(x).shape.length;
    const [p, q] = [resolveAxis(a.dim1, rank, name), resolveAxis(a.dim2, rank, name)];
    const axes = Array.from({ length: rank }, (_, i) => (i === p ? q : i === q ? p : i));
    return [transposeInMXNet(e, x, axes)];
  },
});

/** The part [begin, end) along MXNet's axes. */
function sliceInMXNet<V>(e: Emitter<V>, x: V, begin: readonly number[], end: readonly number[]): V {
  const from = toMemory(begin.length).map((axis) => begin[axis]);
  const size = toMemory(begin.length).map((axis) => end[axis] - begin[axis]);
  return e.emit('slice', [x], { begin: from, size })[0];
}

/** A bound as Python has it: negative from the end, NaN (None) for the edge. */
export function bound(value: number | undefined, length: number, edge: number): number {
  if (value === undefined || Number.isNaN(value)) return edge;
  return Math.max(0, Math.min(length, value < 0 ? value + length : value));
}

const sliceAxis = defineOperator({
  name: 'slice_axis',
  kind: 'shape',
  schema: { axis: integer(), begin: integer(), end: optionalTuple() },
  inputs: () => ['data'],
  lower(e, [x], { name, attributes: a }) {
    const shape = shapeInMXNet(e.typeOf(x).shape);
    const axis = resolveAxis(a.axis, shape.length, name);
    const begin = shape.map((d, i) => (i === axis ? bound(a.begin, d, 0) : 0));
    const end = shape.map((d, i) => (i === axis ? bound(a.end?.[0], d, d) : d));
    return [sliceInMXNet(e, x, begin, end)];
  },
});

const slice = defineOperator({
  name: 'slice',
  aliases: ['crop'],
  kind: 'shape',
  schema: { begin: tuple(), end: tuple(), step: optionalTuple() },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    if (a.step?.some((s) => !Number.isNaN(s) && s !== 1)) throw new OptionError('step other than 1 is not supported');
    const shape = shapeInMXNet(e.typeOf(x).shape);
    if (a.begin.length > shape.length || a.begin.length !== a.end.length) {
      throw new OptionError(`begin (${a.begin.join(', ')}) and end (${a.end.join(', ')}) do not fit ${shape.length} axes`);
    }
    return [sliceInMXNet(e, x, shape.map((d, i) => bound(a.begin[i], d, 0)), shape.map((d, i) => bound(a.end[i], d, d)))];
  },
});

const sliceChannel = defineOperator({
  name: 'SliceChannel',
  aliases: ['split'],
  kind: 'shape',
  schema: { num_outputs: integer(undefined, 1), axis: integer(1), squeeze_axis: flag(false) },
  inputs: () => ['data'],
  outputs: (a) => (a.num_outputs === 1 ? ['output'] : Array.from({ length: a.num_outputs }, (_, i) => `output${i}`)),
  lower(e, [x], { name, attributes: a }) {
    const shape = shapeInMXNet(e.typeOf(x).shape);
    const axis = resolveAxis(a.axis, shape.length, name);
    const each = shape[axis] / a.num_outputs;
    if (!Number.isInteger(each)) throw new ShapeError(`axis ${axis} of [${shape.join(', ')}] cannot be split in ${a.num_outputs}`);
    if (a.squeeze_axis && each !== 1) throw new ShapeError(`squeeze_axis: parts of axis ${axis} have length ${each}`);
    return Array.from({ length: a.num_outputs }, (_, part) => {
      const begin = shape.map((_d, i) => (i === axis ? part * each : 0));
      const end = shape.map((d, i) => (i === axis ? (part + 1) * each : d));
      const y = sliceInMXNet(e, x, begin, end);
      return a.squeeze_axis ? reshapeInMXNet(e, y, shape.filter((_d, i) => i !== axis)) : y;
    });
  },
});

const concat = defineOperator({
  name: 'Concat',
  aliases: ['concat'],
  kind: 'join',
  schema: { num_args: integer(undefined, 1), dim: integer(1) },
  lower(e, inputs, { name, attributes: a }) {
    const rank = e.typeOf(inputs[0]).shape.length;
    return e.emit('concat', inputs, { axis: axisInMemory(resolveAxis(a.dim, rank, name), rank) });
  },
});

const pad = defineOperator({
  name: 'Pad',
  aliases: ['pad'],
  kind: 'shape',
  schema: { mode: oneOf(['constant', 'edge']), pad_width: tuple(undefined, { minimum: 0 }), constant_value: float(0) },
  inputs: () => ['data'],
  lower(e, [x], { attributes: a }) {
    const rank = e.typeOf(x).shape.length;
    if (a.pad_width.length !== 2 * rank) {
      throw new OptionError(`pad_width: expected ${2 * rank} numbers for ${rank} axes, got ${a.pad_width.length}`);
    }
    const axes = toMemory(rank);
    return e.emit('pad', [x], {
      before: axes.map((axis) => a.pad_width[2 * axis]),
      after: axes.map((axis) => a.pad_width[2 * axis + 1]),
      mode: a.mode,
      value: a.constant_value,
    });
  },
});

export const shapes = [
  flatten, reshape, expandDims, squeeze, transpose, swapAxis, sliceAxis, slice, sliceChannel, concat, pad,
];
