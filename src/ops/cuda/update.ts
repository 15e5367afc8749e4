/** Lowerings of the optimizer updates. Outputs lie where the arenas that they update lie. */
import type { CudaLaunch, Lowering, Placed } from '../../device/types.ts';
import { at, BLOCK, f32 } from '../../device/cuda/launch.ts';

interface UpdateAttrs {
  readonly weightDecay: number;
  readonly rescale: number;
  readonly clip: number | null;
}
interface SgdAttrs extends UpdateAttrs {
  readonly momentum: number;
}
interface AdamAttrs extends UpdateAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly correctBias: boolean;
}

function update(
  grad: Placed, updated: readonly Placed[], [chunks, multipliers, rate]: readonly Placed[], step: Placed | undefined,
  attrs: Partial<SgdAttrs & AdamAttrs> & UpdateAttrs, label: string,
): CudaLaunch[] {
  const { beta1 = 0, beta2 = 0, clip } = attrs;
  if (chunks.shape[0] === 0) return [];
  return [{
    kernel: 'update',
    define: { ADAM: step === undefined ? 0 : 1, WIDTH: [grad, ...updated].every((v) => v.offset % 4 === 0) ? 4 : 1 },
    args: [
      at(grad), at(chunks), at(multipliers), at(rate), ...updated.map(at), ...(step === undefined ? [] : [at(step)]),
      clip === null ? 0 : 1, attrs.correctBias === true ? 1 : 0, rate.shape.length,
      f32(attrs.weightDecay), f32(attrs.rescale), f32(clip ?? 0), f32(attrs.momentum ?? 0), f32(beta1), f32(beta2),
      f32(1 - beta1), f32(1 - beta2), f32(attrs.epsilon ?? 0), f32(Math.log(beta1)), f32(Math.log(beta2)),
    ],
    grid: [chunks.shape[0], 1, 1],
    block: BLOCK,
    label,
  }];
}

export const sgdLowering: Lowering<SgdAttrs, CudaLaunch> = {
  launches: ({ inputs: [, grad, , ...rest], outputs, attrs }) => update(grad, outputs, rest, undefined, attrs, 'sgdUpdate'),
};

export const adamLowering: Lowering<AdamAttrs, CudaLaunch> = {
  launches: ({ inputs: [, grad, , , chunks, multipliers, rate, step], outputs, attrs }) =>
    update(grad, outputs, [chunks, multipliers, rate], step, attrs, 'adamUpdate'),
};
