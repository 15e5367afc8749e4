import { bytesPerElement, isContiguous, type CpuLaunch, type Placed } from '../types.ts';

/** Bytes that one tile of a copy moves; small enough to balance threads, large enough to hide the claim. */
const TILE_BYTES = 64 * 1024;

/**
 * Copies a value to where another lies: same dtype and number of elements; rows and channels must agree unless both are
 * contiguous. Any strides and offsets.
 */
export function copyLaunch(from: Placed, to: Placed): CpuLaunch {
  const width = bytesPerElement[from.dtype];
  const bytes = from.rows * from.channels * width;
  if (isContiguous(from) && isContiguous(to)) {
    return {
      kernel: 'copyFlat',
      tiles: Math.ceil(bytes / TILE_BYTES),
      args: [{ address: from }, { address: to }, bytes, TILE_BYTES],
      label: 'copy',
    };
  }
  if (from.rows !== to.rows || from.channels !== to.channels) {
    throw new Error(`copy: ${from.rows}x${from.channels} to ${to.rows}x${to.channels} needs both contiguous`);
  }
  const rowsPerTile = Math.max(1, Math.floor(TILE_BYTES / (from.channels * width)));
  return {
    kernel: 'copy',
    tiles: Math.ceil(from.rows / rowsPerTile),
    args: [
      { address: from }, { address: to }, from.rows, from.channels * width, from.stride * width, to.stride * width, rowsPerTile,
    ],
    label: 'copy',
  };
}
