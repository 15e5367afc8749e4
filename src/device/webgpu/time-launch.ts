/** Timing one launch on memory of its own, so that tuning touches no value. */
import type { Device, DeviceBuffer, Placed, Scratch, WebgpuLaunch } from '../types.ts';
import { boundOffset, boundRange } from './launch.ts';

/** Runs after the first, which compiles; the fastest counts. */
const RUNS = 3;

/** Milliseconds of a launch on zero-filled buffers of the sizes that it binds. */
export async function timeLaunch(device: Device, launch: WebgpuLaunch): Promise<number> {
  const made: DeviceBuffer[] = [];
  const own = (value: Placed | Scratch): Placed | Scratch => {
    const buffer = device.allocate(boundRange(value).bytes, 'tuning');
    made.push(buffer);
    return 'byteOffset' in value ? { buffer, byteOffset: 0, bytes: value.bytes } : { ...value, buffer, offset: boundOffset(value) };
  };
  try {
    const bindings = launch.bindings.map((b) => ({ ...b, value: own(b.value) }));
    const program = await device.build([{ launch: { ...launch, bindings }, node: 'tuning', flop: 0 }]);
    let best = Infinity;
    for (let i = 0; i <= RUNS; i++) {
      const from = performance.now();
      await program.run();
      await device.synchronize();
      if (i > 0) best = Math.min(best, performance.now() - from);
    }
    program.dispose();
    return best;
  } finally {
    for (const buffer of made) buffer.dispose();
  }
}
