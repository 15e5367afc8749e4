/** One op on a device, outside of any graph, with its values placed as asked. */
import type { Device, Lowering, Placed, Scratch, TensorType } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { DeviceError } from '../errors.ts';
import { fromDeviceData, hostArray, toDeviceData } from '../graph/leaves.ts';
import type { Attrs } from '../graph/node.ts';
import type { HostTensor, Op } from '../graph/op.ts';
import { rowsAndChannels } from '../graph/layout.ts';

/** Where a value begins and how far its rows are apart, in elements. Default: at the start of its memory, contiguous. */
export interface Place {
  readonly offset: number;
  readonly stride: number;
}

export interface OpRun {
  readonly op: Op;
  readonly attrs: Attrs;
  readonly inputs: readonly (HostTensor & { readonly place?: Place })[];
  /** `over`: the input whose memory the output takes. */
  readonly outputs: readonly (TensorType & { readonly place?: Place; readonly over?: number })[];
}

/** Values begin at multiples of this many bytes, as far as kernels can tell. */
const ALIGNMENT = 256;

/** The place of a value as kernels see it. */
export function placeOf({ dtype, offset, stride }: Placed): Place {
  return { offset: offset % (ALIGNMENT / bytesPerElement[dtype]), stride };
}

/** What lies around values, and in scratch. */
const FILLER = NaN;

/**
 * Runs an op's kernels on a device and reads the results.
 *
 * @throws DeviceError where the op has no kernels for it
 */
export async function runOp(device: Device, { op, attrs, inputs, outputs }: OpRun): Promise<Float64Array[]> {
  const lowering = op.kernels?.[device.kind] as Lowering<Attrs, never> | undefined;
  if (lowering === undefined) throw new DeviceError(`op "${op.name}" has no kernel for ${device.name}`);
  const placedInputs = inputs.map((t, i) => place(device, t, t.place, `input ${i}`));
  const placedOutputs = outputs.map((t, i): Placed => (t.over === undefined ? place(device, t, t.place, `output ${i}`)
    : { ...placedInputs[t.over], shape: t.shape, dtype: t.dtype }));
  const scratch = (lowering.scratch?.(inputs, outputs, attrs, device.features) ?? []).map((bytes, i): Scratch => {
    const whole = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    const buffer = device.allocate(whole, `scratch ${i}`);
    device.write(buffer, 0, new Float32Array(whole / 4).fill(FILLER));
    return { buffer, byteOffset: 0, bytes: whole };
  });
  try {
    placedOutputs.forEach((v) => write(device, v));
    placedInputs.forEach((v, i) => write(device, v, inputs[i].data));
    const launches = lowering.launches({ attrs, inputs: placedInputs, outputs: placedOutputs, scratch, features: device.features });
    const executable = await device.build(launches.map((launch) => ({ launch, node: op.name, flop: 0 })));
    await executable.run();
    const results: Float64Array[] = [];
    for (const v of placedOutputs) results.push(await read(device, v));
    executable.dispose();
    return results;
  } finally {
    for (const buffer of new Set([...placedInputs, ...placedOutputs, ...scratch].map((v) => v.buffer))) buffer.dispose();
  }
}

function place(device: Device, { shape, dtype }: TensorType, given: Place | undefined, label: string): Placed {
  const { rows, channels } = rowsAndChannels(shape);
  const { offset, stride } = given ?? { offset: 0, stride: channels };
  const buffer = device.allocate((offset + rows * stride) * bytesPerElement[dtype], label);
  return { shape, dtype, buffer, offset, rows, channels, stride };
}

function write(device: Device, v: Placed, data?: Float64Array): void {
  const all = hostArray(v.dtype, v.buffer.bytes / bytesPerElement[v.dtype]);
  if (v.dtype === 'float32') all.fill(FILLER);
  for (let row = 0; data !== undefined && row < v.rows; row++) {
    all.set(data.subarray(row * v.channels, (row + 1) * v.channels), v.offset + row * v.stride);
  }
  device.write(v.buffer, 0, toDeviceData(all, v.dtype));
}

async function read(device: Device, v: Placed): Promise<Float64Array> {
  const all = fromDeviceData(await device.read(v.buffer, 0, v.buffer.bytes), v.dtype);
  const data = new Float64Array(sizeOf(v.shape));
  for (let row = 0; row < v.rows; row++) {
    const from = v.offset + row * v.stride;
    data.set(all.subarray(from, from + v.channels), row * v.channels);
  }
  return data;
}
