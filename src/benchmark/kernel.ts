/** Our own contestants in kernels: the op's public lowering on a device, everything that a call needs in its launches, packing too. */
import type { Device, Executable, HostData, Launch, Lowering, Placed, TensorType } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { DeviceError } from '../errors.ts';
import { getOp } from '../fovea.ts';
import { toDeviceData, fromDeviceData } from '../graph/leaves.ts';
import type { Attrs } from '../graph/node.ts';
import { timed } from './contest.ts';
import { outputTypes } from './check.ts';
import type { Contestant, KernelProblem } from './types.ts';

/** @throws DeviceError where the op has no kernel for the device, or the device no room */
export async function kernelContestant(name: string, device: Device, problem: KernelProblem, values: readonly HostData[]): Promise<Contestant> {
  const op = getOp(problem.op);
  const lowering = op.kernels?.[device.kind] as Lowering<Attrs, Launch> | undefined;
  if (lowering === undefined) throw new DeviceError(`op "${op.name}" has no kernel for ${device.name}`);
  const { attrs } = problem;
  const held: { dispose(): void }[] = [];
  const place = ({ shape, dtype }: TensorType, data?: HostData): Placed => {
    const channels = shape.at(-1) ?? 1;
    const buffer = device.allocate(sizeOf(shape) * bytesPerElement[dtype], 'benchmark');
    held.push(buffer);
    if (data) device.write(buffer, 0, toDeviceData(data, dtype));
    return { shape, dtype, buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const dispose = (): void => held.forEach((one) => one.dispose());
  try {
    const inputs = problem.inputs.map((type, i) => place(type, values[i]));
    // Updates write where their inputs lie: each run goes on from the one before.
    const updated = new Map(op.updates?.(attrs).map(([input, output]) => [output, inputs[input]]));
    const outputs = outputTypes(problem).map((type, i) => updated.get(i) ?? place(type));
    const scratch = (lowering.scratch?.(inputs, outputs, attrs, device.features) ?? []).map((bytes) => {
      const buffer = device.allocate(bytes, 'benchmark');
      held.push(buffer);
      return { buffer, byteOffset: 0, bytes };
    });
    const launches = lowering.launches({ attrs, inputs, outputs, scratch, features: device.features });
    const { flop = 0 } = op.cost?.(inputs, outputs, attrs) ?? {};
    const placed = launches.map((launch) => ({ launch, node: problem.name, flop: flop / launches.length }));
    const executable: Executable = await device.build(placed);
    held.push(executable);
    const inRow = new Map<number, Executable>([[1, executable]]);
    /** One executable of so many in a row: the host hands a GPU all at once, however little each takes. */
    const repeated = async (queued: number): Promise<Executable> => {
      const made = inRow.get(queued) ?? await device.build(Array.from({ length: queued }, () => placed).flat());
      if (!inRow.has(queued)) held.push(made);
      inRow.set(queued, made);
      return made;
    };
    const byGpu = async (times: number, queued: number): Promise<number[]> => {
      const all = await repeated(queued);
      if (all.time === undefined) throw new DeviceError(`${device.name} has no clock of its own`);
      const milliseconds: number[] = [];
      for (let i = 0; i < times; i++) milliseconds.push(await all.time() / queued);
      return milliseconds;
    };
    return {
      name,
      run: (times, queued = 1, clock = 'host') => (clock === 'gpu' ? byGpu(times, queued)
        : timed(times, () => executable.run(), queued, () => device.synchronize())),
      result: () => Promise.all(outputs.map(async ({ buffer, shape, dtype }) =>
        fromDeviceData(await device.read(buffer, 0, sizeOf(shape) * bytesPerElement[dtype]), dtype))),
      facts: async () => lowering.work?.(inputs, outputs, attrs, device.features) ?? {},
      dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}
