/** Lowering to kernels/cuda/all_finite.cu: runs of the tensor, then the runs' results. */
import type { CudaLaunch, Lowering, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { at, BLOCK } from '../../device/cuda/launch.ts';

/** Elements that a block looks at. */
const RUN = 16384;

const runsOf = (x: TensorType): number => Math.max(1, Math.ceil(sizeOf(x.shape) / RUN));

export const allFiniteLowering: Lowering<unknown, CudaLaunch> = {
  scratch: ([x]) => [4 * runsOf(x)],
  launches({ inputs: [x], outputs: [y], scratch: [partial] }) {
    const runs = runsOf(x);
    const vector = x.offset % 4 === 0;
    return [
      {
        kernel: 'all_finite',
        define: { LAST: 0, WIDTH: vector ? 4 : 1, RESULT: 'u32' },
        args: [at(x), at(partial), sizeOf(x.shape), RUN],
        grid: [runs, 1, 1],
        block: BLOCK,
        label: 'allFinite',
      },
      {
        kernel: 'all_finite',
        define: { LAST: 1, WIDTH: 4, RESULT: 'float' },
        args: [at(partial), at(y), runs, runs],
        grid: [1, 1, 1],
        block: BLOCK,
        label: 'allFinite',
      },
    ];
  },
};
