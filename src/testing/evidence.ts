/** An op with its inputs as a file, and that file run again. */
import type { Device, TensorType } from '../device/types.ts';
import { FormatError } from '../errors.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { hostArray } from '../graph/leaves.ts';
import type { Attrs } from '../graph/node.ts';
import type { HostArray } from '../nn/host-array.ts';
import { getOp } from '../fovea.ts';
import type { Evidence } from './check-step.ts';
import { runOp } from './run-op.ts';
import { compare, elementBounds, magnitudes } from './tolerance.ts';
import type { Comparison } from './tolerance.ts';

const format = '1';

/** A safetensors file: `input.0`..., `got.0`..., `expected.0`... (float64), and in its metadata op, attributes and places. */
export function encodeEvidence({ op, attrs, inputs, outputs, got, expected }: Evidence): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, HostArray>();
  const typed = ({ shape, dtype }: TensorType, values: Float64Array): HostArray => {
    const data = hostArray(dtype, values.length);
    data.set(values);
    return { shape, dtype, data } as HostArray;
  };
  inputs.forEach((t, i) => tensors.set(`input.${i}`, typed(t, t.data)));
  outputs.forEach((t, i) => {
    tensors.set(`got.${i}`, typed(t, got[i]));
    tensors.set(`expected.${i}`, { shape: t.shape, dtype: 'float64', data: expected[i] } as HostArray);
  });
  const places = { inputs: inputs.map((t) => t.place), outputs: outputs.map(({ shape, dtype, place, over }) => ({ shape, dtype, place, over })) };
  return writeSafetensors(tensors, new Map([
    ['fovea-op', format], ['op', op], ['attrs', JSON.stringify(attrs, unusual)], ['places', JSON.stringify(places)],
  ]));
}

/** @throws FormatError for a file that is no such one */
export function decodeEvidence(bytes: Uint8Array, file: string): Evidence {
  const { tensors, metadata } = readSafetensors(bytes, { file });
  const text = (key: string): string => {
    const value = metadata.get(key);
    if (value === undefined) throw new FormatError(`${file}: no "${key}" in its metadata: not written by fovea train --check`);
    return value;
  };
  if (text('fovea-op') !== format) throw new FormatError(`${file}: fovea-op ${text('fovea-op')} is unknown; this version reads ${format}`);
  const data = (name: string): Float64Array => {
    const array = tensors.get(name);
    if (array === undefined) throw new FormatError(`${file}: no tensor "${name}"`);
    return Float64Array.from(array.data as ArrayLike<number>);
  };
  const places = JSON.parse(text('places')) as Pick<Evidence, 'outputs'> & { inputs: Evidence['inputs'][number]['place'][] };
  const { outputs } = places;
  const op = getOp(text('op'));
  return {
    op: op.name, attrs: JSON.parse(text('attrs'), usual) as Attrs, outputs,
    inputs: places.inputs.map((place, i) => {
      const { shape, dtype } = tensors.get(`input.${i}`) ?? { shape: [], dtype: 'float32' };
      return { shape, dtype: dtype as TensorType['dtype'], place, data: data(`input.${i}`) };
    }),
    got: outputs.map((_, i) => data(`got.${i}`)), expected: outputs.map((_, i) => data(`expected.${i}`)),
  };
}

/** Runs the op on a device, values placed as they were, and compares each output with the float64 reference. */
export async function replayEvidence({ op: name, attrs, inputs, outputs }: Evidence, device: Device): Promise<(Comparison & { allowed: number })[]> {
  const op = getOp(name);
  const got = await runOp(device, { op, attrs, inputs, outputs });
  const references = op.reference!(inputs, attrs, outputs);
  const allowed = elementBounds(op, inputs, attrs, outputs, magnitudes(op, inputs, attrs, outputs, references));
  return outputs.map(({ dtype }, i) => {
    const worst = compare(got[i], references[i], allowed[i], dtype);
    return { ...worst, allowed: allowed[i][worst.at] };
  });
}

/** JSON has no words for infinities and NaN. */
function unusual(_key: string, x: unknown): unknown {
  return typeof x === 'number' && !Number.isFinite(x) ? { number: String(x) } : x;
}

function usual(_key: string, x: unknown): unknown {
  return typeof x === 'object' && x !== null && Object.keys(x).join() === 'number' ? Number((x as { number: string }).number) : x;
}
