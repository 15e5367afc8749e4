/** Runs the kernels of single ops with values placed anywhere, and looks at what they write. */
import * as assert from 'uvu/assert';
import type { Device, Launch, Lowering, Placed, Scratch, TensorType } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { hostArray } from '../../src/graph/leaves.ts';
import type { Attrs } from '../../src/graph/node.ts';
import type { HostTensor, Op, Sample } from '../../src/graph/op.ts';
import { samplesOf } from '../../src/testing/check-op.ts';
import { sampleValues } from '../../src/testing/inputs.ts';
import { bounds, compare } from '../../src/testing/tolerance.ts';

/** What lies around results. */
const FILLER = 77;
/** What lies around inputs: a kernel that reads it is found out even where it multiplies it by zero. */
const HIDDEN = NaN;

/** Elements before the first row and after every row. */
const placements = { plain: [0, 0], vector: [4, 8], odd: [3, 5] } as const;

function place(device: Device, type: TensorType, [offset, gap]: readonly [number, number], label: string): Placed {
  const channels = type.shape.length === 0 ? 1 : type.shape[type.shape.length - 1];
  const rows = sizeOf(type.shape) / channels;
  const stride = channels + gap;
  const buffer = device.allocate((offset + rows * stride) * bytesPerElement[type.dtype], label);
  return { ...type, buffer, offset, rows, channels, stride };
}

const at = (v: Placed, i: number): number => v.offset + Math.floor(i / v.channels) * v.stride + (i % v.channels);

function fill(device: Device, v: Placed, filler: number, data?: ArrayLike<number>): void {
  // A bool is a float32 on the device.
  const all = hostArray(v.dtype === 'bool' ? 'float32' : v.dtype, v.buffer.bytes / bytesPerElement[v.dtype]).fill(filler);
  for (let i = 0; data !== undefined && i < data.length; i++) all[at(v, i)] = data[i];
  device.write(v.buffer, 0, all);
}

async function contents(device: Device, v: Placed): Promise<{ values: Float64Array; outside: number[] }> {
  const bytes = await device.read(v.buffer, 0, v.buffer.bytes);
  const all = v.dtype === 'int32' ? new Int32Array(bytes.buffer) : v.dtype === 'uint8' ? bytes : new Float32Array(bytes.buffer);
  const values = Float64Array.from({ length: v.rows * v.channels }, (_, i) => all[at(v, i)]);
  const inside = new Set(Array.from(values, (_, i) => at(v, i)));
  return { values, outside: Array.from(all, (_, i) => i).filter((i) => !inside.has(i) && all[i] !== FILLER) };
}

/**
 * Runs the device's kernels of a sample with everything placed in one way, output `alias[1]` over input `alias[0]`.
 *
 * @returns what is wrong; and the outputs' values
 */
async function trySample(
  device: Device, op: Op, sample: Sample, placement: keyof typeof placements, alias: readonly [number, number] | undefined,
): Promise<{ wrong: string[]; values: Float64Array[] }> {
  const { attrs } = sample;
  const types = sample.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
  const outTypes = op.infer(types, attrs);
  const data = sample.inputs.map((input, i) => sampleValues(input, op.name, i));
  const host: HostTensor[] = types.map((t, i) => ({ ...t, data: Float64Array.from(data[i]) }));
  const expected = op.reference!(host, attrs, outTypes);
  const limits = bounds(op, host, attrs, outTypes, expected);

  const needed = (which: 'all' | readonly number[] | undefined, i: number): boolean => which === 'all' || which?.includes(i) === true;
  const [offset, gap] = placements[placement];
  const inputs = types.map((t, i) => place(device, t, [offset, needed(op.contiguousInputs, i) ? 0 : gap], `input ${i}`));
  const over = [...(op.updates?.(attrs) ?? []), ...(alias === undefined ? [] : [alias])];
  const outputs = outTypes.map((t, i) => {
    const pair = over.find(([, output]) => output === i);
    if (pair !== undefined) return { ...inputs[pair[0]], ...t };
    return place(device, t, [offset, needed(op.contiguousOutputs, i) ? 0 : gap], `output ${i}`);
  });
  outputs.forEach((v) => fill(device, v, FILLER));
  inputs.forEach((v, i) => fill(device, v, outputs.some((o) => o.buffer === v.buffer) ? FILLER : HIDDEN, data[i]));
  const lowering = op.kernels![device.kind] as Lowering<Attrs, Launch>;
  const scratch: Scratch[] = (lowering.scratch?.(types, outTypes, attrs, device.features) ?? []).map((wanted, i) => {
    const bytes = Math.ceil(wanted / 256) * 256;
    const buffer = device.allocate(bytes, `scratch ${i}`);
    device.write(buffer, 0, new Float32Array(bytes / 4).fill(NaN));
    return { buffer, byteOffset: 0, bytes };
  });
  const launches = lowering.launches({ attrs, inputs, outputs, scratch, features: device.features });
  const program = await device.build(launches.map((launch) => ({ launch, node: op.name, flop: 0 })));
  await program.run();
  const wrong: string[] = [];
  const all: Float64Array[] = [];
  for (const [i, output] of outputs.entries()) {
    const { values, outside } = await contents(device, output);
    all.push(values);
    const { ratio, at: where, got, expected: want } = compare(values, expected[i], limits[i]);
    if (!(ratio <= 1)) wrong.push(`output ${i} [${where}]: ${got}, expected ${want}, ${ratio.toFixed(2)} of what is allowed`);
    if (outside.length > 0) wrong.push(`output ${i} writes outside of itself, at ${outside.slice(0, 4).join(', ')}`);
  }
  program.dispose();
  for (const buffer of new Set([...inputs, ...outputs, ...scratch].map((v) => v.buffer))) buffer.dispose();
  return { wrong, values: all };
}

const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && a.shape.join() === b.shape.join();

/**
 * Runs every sample of an op in every placement, over each input that an output may overwrite. Results have to be right, and what lies
 * around them untouched; `sameBits`: equal wherever values lie.
 */
export async function tryPlacements(device: Device, op: Op, { sameBits = false } = {}): Promise<void> {
  for (const sample of samplesOf(op)) {
    const types = sample.inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    const outTypes = op.infer(types, sample.attrs);
    const pairs = op.updates ? [] : (op.inPlace?.(sample.attrs) ?? []).filter(([i, o]) => sameType(types[i], outTypes[o]));
    let first: Float64Array[] | undefined;
    for (const placement of ['plain', 'vector', 'odd'] as const) {
      for (const alias of [undefined, ...pairs]) {
        const { wrong, values } = await trySample(device, op, sample, placement, alias);
        const what = `[${types.map((t) => `[${t.shape}]`)}] ${JSON.stringify(sample.attrs)}, ${placement}, over ${alias ?? 'none'}`;
        assert.is(wrong.join('; '), '', what);
        first ??= values;
        if (sameBits) assert.equal(values, first, `${what}: other bits than where all is plain`);
      }
    }
  }
}
