/** Lowerings of the optimizer updates. Outputs lie where the arenas that they update lie. */
import type { Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';
import { boundOffset, f32, linearGrid, loadOf, read, readWrite, texture, TEXTURE_BYTES } from '../../device/webgpu/launch.ts';

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

interface Arenas {
  readonly weight: Placed;
  readonly grad: Placed;
  readonly first: Placed;
  readonly second?: Placed | undefined;
}

/** Elements that a software adapter reads through textures at a time. */
const WINDOW = TEXTURE_BYTES / 4;

/** Elements `begin` to `end` of a flat arena. */
const part = (v: Placed, begin: number, end: number): Placed =>
  ({ ...v, shape: [end - begin], rows: 1, channels: end - begin, stride: end - begin, offset: v.offset + begin });

function update(
  whole: Arenas, [chunks, multipliers, rate]: readonly Placed[], step: Placed | undefined, attrs: Partial<SgdAttrs & AdamAttrs> & UpdateAttrs,
  label: string,
): WebgpuLaunch[] {
  const at = (v: Placed | undefined): number => (v === undefined ? 0 : boundOffset(v));
  const { beta1 = 0, beta2 = 0 } = attrs;
  const rows = chunks.shape[0];
  const total = sizeOf(whole.weight.shape);
  const vector = [whole.weight, whole.grad, whole.first, whole.second].every((v) => at(v) % 4 === 0);
  const launch = (adapter: 'software' | 'hardware', load: typeof read, begin: number, end: number): WebgpuLaunch => {
    const { weight, grad, first, second } = Object.fromEntries(
      Object.entries(whole).map(([name, v]) => [name, v && part(v as Placed, begin, end)])) as unknown as Arenas;
    const TEX = load === texture ? 1 : 0;
    const updated = second === undefined ? [weight, first] : [weight, first, second];
    return {
      adapter,
      shader: 'update',
      replace: {
        ADAM: second === undefined ? 0 : 1, VEC: vector ? 1 : 0, V: vector ? 'vec4f' : 'f32', W: vector ? 4 : 1, TEX,
        THREADS: adapter === 'software' ? 8 : 64,
      },
      uniforms: [
        rows, at(weight), at(grad), at(first), at(second), at(chunks), at(multipliers), at(rate), at(step),
        attrs.clip === null ? 0 : 1, attrs.correctBias === true ? 1 : 0, rate.shape.length,
        f32(Infinity),
        f32(attrs.weightDecay), f32(attrs.rescale), f32(attrs.clip ?? 0), f32(attrs.momentum ?? 0), f32(beta1), f32(beta2),
        f32(1 - beta1), f32(1 - beta2), f32(attrs.epsilon ?? 0), f32(Math.log(beta1)), f32(Math.log(beta2)), begin, end,
      ],
      bindings: [
        load(grad), read(chunks), read(multipliers), read(rate), ...updated.map(readWrite), ...(second === undefined ? [] : [read(step!)]),
        ...(TEX === 1 ? updated.map(load) : []),
      ],
      grid: linearGrid(rows, 1),
      label,
    };
  };
  const load = loadOf(vector, whole.weight, whole.grad, whole.first);
  const windows = load === texture ? Math.max(1, Math.ceil(total / WINDOW)) : 1;
  return [
    ...Array.from({ length: windows }, (_, i) => launch('software', load, i * WINDOW, i + 1 === windows ? total : (i + 1) * WINDOW)),
    launch('hardware', read, 0, total),
  ];
}

export const sgdLowering: Lowering<SgdAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [, grad, , ...rest], outputs: [weight, momentum], attrs }) =>
    update({ weight, grad, first: momentum }, rest, undefined, attrs, 'sgdUpdate'),
};

export const adamLowering: Lowering<AdamAttrs, WebgpuLaunch> = {
  launches: ({ inputs: [, grad, , , chunks, multipliers, rate, step], outputs: [weight, first, second], attrs }) =>
    update({ weight, grad, first, second }, [chunks, multipliers, rate], step, attrs, 'adamUpdate'),
};
