/** Lowering to kernels/wasm/all-finite.ts: tiles of the tensor, then the tiles' results. */
import type { CpuLaunch, Lowering, TensorType } from '../../device/types.ts';
import { sizeOf } from '../../device/types.ts';

/** Elements of a tile. */
const TILE = 16384;

const tilesOf = (x: TensorType): number => Math.max(1, Math.ceil(sizeOf(x.shape) / TILE));

export const allFiniteLowering: Lowering<unknown, CpuLaunch> = {
  scratch: ([x]) => [4 * tilesOf(x)],
  launches({ inputs: [x], outputs: [y], scratch: [partial] }) {
    const tiles = tilesOf(x);
    return [
      { kernel: 'allFinite', tiles, args: [{ address: x }, { address: partial }, sizeOf(x.shape), TILE], label: 'allFinite' },
      { kernel: 'allFiniteJoin', tiles: 1, args: [{ address: partial }, { address: y }, tiles], label: 'allFinite: join' },
    ];
  },
};
