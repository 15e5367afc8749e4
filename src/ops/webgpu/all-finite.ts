/** Lowering to shaders/all_finite.wgsl: runs of the tensor, then the runs' results. */
import type { Lowering, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { boundOffset, linearGrid, read, write } from '../../device/webgpu/launch.ts';

/** Elements that a workgroup looks at. */
const RUN = 8192;

const runsOf = (x: TensorType): number => Math.max(1, Math.ceil(sizeOf(x.shape) / RUN));

export const allFiniteLowering: Lowering<unknown, WebgpuLaunch> = {
  scratch: ([x]) => [4 * runsOf(x)],
  launches({ inputs: [x], outputs: [y], scratch: [partial] }) {
    const runs = runsOf(x);
    const launch = (last: boolean, count: number, run: number, grid: WebgpuLaunch['grid']): WebgpuLaunch => ({
      shader: 'all_finite',
      replace: { LAST: last ? 1 : 0 },
      uniforms: [count, run, last ? 0 : boundOffset(x), boundOffset(y)],
      bindings: last ? [read(partial), write(y)] : [read(x), write(partial)],
      grid,
      label: 'allFinite',
    });
    return [launch(false, sizeOf(x.shape), RUN, linearGrid(runs, 1)), launch(true, runs, runs, [1, 1, 1])];
  },
};
