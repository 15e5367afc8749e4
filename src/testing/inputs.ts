/** Inputs for samples: random by Philox, so that every device, run and browser tries the same ones. */
import { roundToHalf } from '../device/half.ts';
import type { HostData, Shape, TensorType } from '../device/types.ts';
import { isHalfType, sizeOf } from '../device/types.ts';
import { hostArray } from '../graph/leaves.ts';
import { isFloat } from '../graph/half.ts';
import type { SampleInput } from '../graph/op.ts';
import { PhiloxStream } from '../random/philox.ts';
import { apply1 } from '../tensor/tensor.ts';
import { wrap } from '../tensor/tensor.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { getOp } from '../fovea.ts';

/** The values of one input of a sample, as the dtype stores them. */
export function sampleValues(input: SampleInput, name: string, position: number): HostData {
  const values = drawn(input, name, position);
  const { dtype } = input;
  return isHalfType(dtype) ? values.map((v) => roundToHalf(v, dtype)) : values;
}

function drawn(input: SampleInput, name: string, position: number): HostData {
  const n = sizeOf(input.shape);
  const out = hostArray(input.dtype, n);
  if (input.values !== undefined) {
    out.set(input.values);
    return out;
  }
  const stream = new PhiloxStream(20161115, name, position);
  const low = input.low ?? -1;
  const high = input.high ?? 1;
  if (!isFloat(input.dtype)) {
    for (let i = 0; i < n; i++) out[i] = low + stream.int(high - low);
  } else if (input.distinct) {
    // a shuffled grid that misses zero, and the grids of the other inputs
    const grid = Array.from({ length: n }, (_, i) => low + ((i + 0.15 + 0.2 * position) / n) * (high - low));
    out.set(stream.shuffle(grid));
  } else {
    for (let i = 0; i < n; i++) out[i] = stream.uniform(low, high);
  }
  return out;
}

/**
 * How inputs and outputs lie in memory: on their own; or as slices at an odd offset with an odd stride, which no vector access can
 * touch; or at offsets and strides that are multiples of 4.
 */
export type Placement = 'plain' | 'odd' | 'aligned';

/** A placement for each input and output. The mixed ones find kernels that look at one operand before they choose vector access. */
export const layouts = {
  plain: { inputs: ['plain'], outputs: ['plain'] },
  odd: { inputs: ['odd'], outputs: ['odd'] },
  aligned: { inputs: ['aligned'], outputs: ['aligned'] },
  'mixed, outputs odd': { inputs: ['aligned', 'plain'], outputs: ['odd', 'aligned'] },
  'mixed, inputs odd': { inputs: ['plain', 'odd', 'aligned'], outputs: ['aligned', 'plain', 'odd'] },
  'mixed, first input odd': { inputs: ['odd', 'aligned', 'plain'], outputs: ['plain', 'aligned'] },
} as const satisfies Record<string, { inputs: readonly Placement[]; outputs: readonly Placement[] }>;

export type LayoutName = keyof typeof layouts;

/** Channels before and after a slice. */
const margins: Readonly<Record<Exclude<Placement, 'plain'>, readonly [number, number]>> = { odd: [1, 2], aligned: [4, 8] };

/** What lies around slices; a kernel that reads or writes it is found out. */
const filler = 1e18;

/** A tensor of the values, placed as asked. */
export function placed(values: HostData, type: TensorType, placement: Placement): Tensor {
  // slices of bytes are no part of the contract
  if (placement === 'plain' || type.dtype === 'uint8') return wrap(values, type.shape, type.dtype);
  const [before, after] = margins[placement];
  const shape = type.shape.length === 0 ? [1] : type.shape;
  const channels = shape[shape.length - 1];
  const wide = before + channels + after;
  const rows = sizeOf(shape.slice(0, -1));
  const data = hostArray(type.dtype, rows * wide).fill(isFloat(type.dtype) ? filler : 1);
  for (let row = 0; row < rows; row++) {
    data.set(values.subarray(row * channels, (row + 1) * channels), row * wide + before);
  }
  const parent = wrap(data, [...shape.slice(0, -1), wide], type.dtype);
  const part = apply1(getOp('slice'), [parent], { begin: shape.map((_, i) => (i === shape.length - 1 ? before : 0)), size: shape });
  return type.shape.length === 0 ? apply1(getOp('reshape'), [part], { shape: [] }) : part;
}

/** An output as it is asked for, and how to find its values, and whether its surroundings are intact, in what is read back. */
export interface Requested {
  readonly tensor: Tensor;
  /** The output's own values; throws where something beside them was overwritten. */
  read(data: HostData): ArrayLike<number>;
}

/** Asks for a tensor on its own, or within a concatenation, so that its kernel writes into a slice. */
export function requested(t: Tensor, placement: Placement): Requested {
  const type: TensorType = { shape: t.shape, dtype: t.dtype };
  if (placement === 'plain' || type.dtype === 'uint8' || type.shape.length === 0) return { tensor: t, read: (data) => data };
  const [before, after] = margins[placement];
  const { shape } = type;
  const side = (width: number): Tensor => {
    const sideShape: Shape = [...shape.slice(0, -1), width];
    return wrap(hostArray(type.dtype, sizeOf(sideShape)).fill(1), sideShape, type.dtype);
  };
  const channels = shape[shape.length - 1];
  const wide = before + channels + after;
  return {
    tensor: apply1(getOp('concat'), [side(before), t, side(after)], { axis: shape.length - 1 }),
    read(data) {
      const values: number[] = [];
      for (let i = 0; i < data.length; i++) {
        const channel = (i % wide) - before;
        if (channel >= 0 && channel < channels) values.push(data[i]);
        else if (data[i] !== 1) throw new Error(`wrote ${data[i]} beside the output, at element ${i} of rows of ${wide}`);
      }
      return values;
    },
  };
}
