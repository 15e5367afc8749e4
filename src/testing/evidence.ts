/** An op with its inputs as a file, and that file run again. */
import * as v from 'valibot';
import { fromHalfBits, toHalfBits } from '../device/half.ts';
import type { DType, Device, Shape, TensorType } from '../device/types.ts';
import { bytesPerElement, isHalfType } from '../device/types.ts';
import { FormatError } from '../errors.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { hostArray } from '../graph/leaves.ts';
import type { Attrs } from '../graph/node.ts';
import { rowsAndChannels } from '../graph/layout.ts';
import type { HostArray, HostDType, HostElements } from '../nn/host-array.ts';
import { getOp, registeredOps } from '../fovea.ts';
import type { Evidence } from './check-step.ts';
import { runOp } from './run-op.ts';
import { compare, elementBounds, magnitudes } from './tolerance.ts';
import type { Comparison } from './tolerance.ts';

const format = '1';

/** A safetensors file: `input.0`..., `got.0`..., `expected.0`... (float64), and in its metadata op, attributes and places. */
export function encodeEvidence({ op, attrs, inputs, outputs, got, expected }: Evidence): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, HostArray>();
  const typed = ({ shape, dtype }: TensorType, values: Float64Array): HostArray => {
    const data = isHalfType(dtype) ? toHalfBits(values, dtype) : hostArray(dtype, values.length);
    if (!isHalfType(dtype)) data.set(values);
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

const count = v.pipe(v.number('expected a count'), v.integer('expected a count'), v.minValue(0, 'expected a count'));
const place = v.object({ offset: count, stride: count }, 'expected an offset and a stride');
const dtype = v.picklist(Object.keys(bytesPerElement) as DType[], 'expected a dtype');
const placesSchema = v.object({
  inputs: v.array(place, 'expected places'),
  outputs: v.array(
    v.object({ shape: v.array(count, 'expected a shape'), dtype, place, over: v.optional(count) }, 'expected an output'), 'expected outputs',
  ),
}, 'expected places of inputs and outputs');
const attrsSchema = v.record(v.string(), v.unknown(), 'expected attributes by name');

/** @throws FormatError naming file and field, for a file that is no such one or whose parts do not fit the op */
export function decodeEvidence(bytes: Uint8Array, file: string): Evidence {
  const { tensors, metadata } = readSafetensors(bytes, { file });
  const fail = (what: string, options?: ErrorOptions): never => {
    throw new FormatError(`${file}: ${what}`, options);
  };
  const text = (key: string): string => metadata.get(key) ?? fail(`no "${key}" in its metadata: not written by fovea train --check`);
  if (text('fovea-op') !== format) fail(`fovea-op ${text('fovea-op')} is unknown; this version reads ${format}`);
  const op = registeredOps().find(({ name }) => name === text('op')) ?? fail(`op: no op named "${text('op')}" is registered`);
  const field = <T>(key: string, schema: v.GenericSchema<unknown, T>, revive?: typeof usual): T => {
    const json = text(key);
    let value: unknown;
    try {
      value = JSON.parse(json, revive);
    } catch (error) {
      fail(`${key}: not JSON: ${(error as Error).message}`, { cause: error });
    }
    const result = v.safeParse(schema, value);
    if (result.success) return result.output;
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    return fail(`${key}${path === null ? '' : `.${path}`}: ${issue.message}, got ${JSON.stringify(issue.input) ?? 'nothing'}`);
  };
  const attrs = field('attrs', attrsSchema, usual) as Attrs;
  const places = field('places', placesSchema);
  const tensor = (name: string): HostArray => tensors.get(name) ?? fail(`no tensor "${name}"`);
  const inputs = places.inputs.map((place, i) => {
    const { shape, dtype: stored, data } = tensor(`input.${i}`);
    if (!v.is(dtype, stored)) return fail(`input.${i}: ${stored} is no dtype of the engine`);
    return { shape, dtype: stored, place, data: valuesOf(stored, data) };
  });
  if (tensors.has(`input.${inputs.length}`)) fail(`places.inputs: ${inputs.length} places, and there is a tensor "input.${inputs.length}"`);
  const outputs = places.outputs;
  let types: readonly TensorType[];
  try {
    types = op.infer(inputs, attrs);
  } catch (error) {
    const given = inputs.map(typeText).join(', ') || 'nothing';
    return fail(`attrs: ${op.name} does not take inputs of ${given} with these: ${(error as Error).message}`, { cause: error });
  }
  const [given, due] = [outputs, types].map((list) => list.map(typeText).join(', '));
  if (given !== due) fail(`places.outputs: ${given || 'none'}, where ${op.name} gives ${due}`);
  [...inputs.map((t, i) => ({ ...t, at: `places.inputs.${i}` })), ...outputs.map((t, i) => ({ ...t, at: `places.outputs.${i}.place` }))]
    .forEach(({ shape, place: { stride }, at }) => {
      const { channels } = rowsAndChannels(shape);
      if (stride < channels) fail(`${at}.stride: expected ${channels} or more, got ${stride}`);
    });
  outputs.forEach(({ over }, i) => {
    if (over !== undefined && over >= inputs.length) fail(`places.outputs.${i}.over: expected one of ${inputs.length} inputs, got ${over}`);
  });
  const stored = (name: string, i: number, type: HostDType): Float64Array => {
    const array = tensor(`${name}.${i}`);
    const [is, should] = [typeText(array), typeText({ shape: outputs[i].shape, dtype: type })];
    if (is !== should) fail(`${name}.${i}: ${is}, where ${should} was expected`);
    return valuesOf(array.dtype, array.data);
  };
  return {
    op: op.name, attrs, inputs, outputs,
    got: outputs.map((t, i) => stored('got', i, t.dtype)), expected: outputs.map((_, i) => stored('expected', i, 'float64')),
  };
}

const typeText = ({ shape, dtype }: { readonly shape: Shape; readonly dtype: HostDType }): string => `${dtype} [${shape.join(', ')}]`;

/** Numbers of a file's tensor, of which halves are kept as their bits. */
function valuesOf(dtype: HostDType, data: HostElements): Float64Array {
  return Float64Array.from(dtype === 'float16' || dtype === 'bfloat16' ? fromHalfBits(data as Uint16Array<ArrayBuffer>, dtype) : data as ArrayLike<number>);
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
