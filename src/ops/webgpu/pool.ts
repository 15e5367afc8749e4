/** Lowerings of pooling. */
import type { Lowering, Placed, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, linearGrid, read, storageType, write } from '../../device/webgpu/launch.ts';
import type { PoolAttrs } from '../support/pool.ts';

type Attrs = PoolAttrs & { readonly countPadding?: boolean };

/** Places by role: x and y (or dy); y itself, or the index, where the gradient of a maximum needs it; and dx. */
interface Places {
  readonly x: Placed;
  readonly y: Placed;
  readonly out?: Placed;
  readonly dx?: Placed;
}

/** What is taken of a window; `index` stands for the maximum whose index is known. */
type Kind = 'max' | 'average' | 'index';

function launch(
  shader: string, kind: Kind, places: Places, result: Placed, attrs: Attrs, bindings: WebgpuLaunch['bindings'], label: string,
): WebgpuLaunch {
  const all = [places.x, places.y, places.out, places.dx].filter((v) => v !== undefined);
  const vector = all.every((v) => isVectorizable(v));
  const unit = vector ? 4 : 1;
  const at = (v: Placed | undefined): number[] => (v === undefined ? [0, 0] : [boundOffset(v) / unit, v.stride / unit]);
  const total = sizeOf(result.shape) / unit;
  // what a kernel does not bind is named all the same
  const { x, y, out = y, dx = x } = places;
  const [top, bottom, left, right] = attrs.padding;
  return {
    shader,
    replace: {
      T: vector ? 'vec4f' : 'f32', MAX: kind === 'max' ? 1 : 0, INDEX: kind === 'index' ? 1 : 0, VECTOR: vector ? 1 : 0,
      XT: storageType(x, vector), YT: storageType(y, vector), OUTT: storageType(out, vector), DXT: storageType(dx, vector),
    },
    uniforms: [
      total, result.channels / unit, places.x.shape[1], places.x.shape[2], places.y.shape[1], places.y.shape[2],
      ...attrs.size, ...attrs.stride, top, bottom, left, right, attrs.countPadding === true ? 1 : 0,
      ...at(places.x), ...at(places.y), ...at(places.out), ...at(places.dx),
    ],
    bindings,
    grid: linearGrid(total),
    label,
  };
}

const forward = (kind: Kind, label: string): Lowering<Attrs, WebgpuLaunch> => ({
  launches: ({ inputs: [x], outputs: [y], attrs }) => [launch('pool', kind, { x, y }, y, attrs, [read(x), write(y)], label)],
});

export const maxPoolLowering = forward('max', 'maxPool2d');
export const avgPoolLowering = forward('average', 'avgPool2d');

export const maxPoolIndicesLowering: Lowering<Attrs, WebgpuLaunch> = {
  launches({ inputs: [x], outputs: [y, index], attrs }) {
    const bindings = [read(x), write(y), write(index)];
    const made = launch('pool_indices', 'max', { x, y, out: index }, y, attrs, bindings, 'maxPool2dIndices');
    // a thread for each word that indices lie in
    return [{ ...made, grid: linearGrid(Math.ceil((boundOffset(index) + sizeOf(index.shape)) / 4)) }];
  },
};

export const maxPoolGradLowering: Lowering<Attrs, WebgpuLaunch> = {
  launches: ({ inputs: [dy, x, y], outputs: [dx], attrs }) => [
    launch('pool_grad', 'max', { x, y: dy, out: y, dx }, dx, attrs, [read(dy), read(x), read(y), write(dx)], 'maxPool2dGrad'),
  ],
};

export const maxPoolIndexGradLowering: Lowering<Attrs, WebgpuLaunch> = {
  launches: ({ inputs: [dy, index], outputs: [dx], attrs }) => [
    launch('pool_grad', 'index', { x: dx, y: dy, out: index, dx }, dx, attrs, [read(dy), read(index), write(dx)], 'maxPool2dIndexGrad'),
  ],
};

export const avgPoolGradLowering: Lowering<Attrs, WebgpuLaunch> = {
  launches: ({ inputs: [dy], outputs: [dx], attrs }) => [
    launch('pool_grad', 'average', { x: dx, y: dy, dx }, dx, attrs, [read(dy), write(dx)], 'avgPool2dGrad'),
  ],
};
