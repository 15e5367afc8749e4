/** Lowerings of the optimizer updates. Outputs lie where the arenas that they update lie. */
import type { Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, read, readWrite } from '../../device/webgpu/launch.ts';

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
  arenas: { weight: Placed; grad: Placed; first: Placed; second?: Placed }, [chunks, multipliers, rate]: readonly Placed[],
  step: Placed | undefined, attrs: Partial<SgdAttrs & AdamAttrs> & UpdateAttrs, label: string,
): WebgpuLaunch {
  const at = (v: Placed | undefined): number => (v === undefined ? 0 : boundOffset(v));
  const { beta1 = 0, beta2 = 0 } = attrs;
  const rows = chunks.shape[0];
  const vector = [arenas.weight, arenas.grad, arenas.first, arenas.second].every((v) => at(v) % 4 === 0);
  return {
    shader: 'update',
    replace: { ADAM: arenas.second === undefined ? 0 : 1, VEC: vector ? 1 : 0, V: vector ? 'vec4f' : 'f32', W: vector ? 4 : 1 },
    uniforms: [
      rows, at(arenas.weight), at(arenas.grad), at(arenas.first), at(arenas.second), at(chunks), at(multipliers), at(rate), at(step),
      attrs.clip === null ? 0 : 1, attrs.correctBias === true ? 1 : 0, rate.shape.length,
      f32(Infinity),
      f32(attrs.weightDecay), f32(attrs.rescale), f32(attrs.clip ?? 0), f32(attrs.momentum ?? 0), f32(beta1), f32(beta2),
      f32(1 - beta1), f32(1 - beta2), f32(attrs.epsilon ?? 0), f32(Math.log(beta1)), f32(Math.log(beta2)),
    ],
    bindings: [
      read(arenas.grad), read(chunks), read(multipliers), read(rate), readWrite(arenas.weight), readWrite(arenas.first),
      ...(arenas.second === undefined ? [] : [readWrite(arenas.second), read(step!)]),
    ],
    grid: linearGrid(rows, 1),
    label,
  };
}

export const sgdLowering: Lowering<SgdAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [, grad, , ...rest], outputs: [weight, momentum], attrs }) =>
    [update({ weight, grad, first: momentum }, rest, undefined, attrs, 'sgdUpdate')],
};

export const adamLowering: Lowering<AdamAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [, grad, , , chunks, multipliers, rate, step], outputs: [weight, first, second], attrs }) =>
    [update({ weight, grad, first, second }, [chunks, multipliers, rate], step, attrs, 'adamUpdate')],
};
