import { DeviceError } from '../../errors.ts';
import { bytesPerElement, isContiguous, type CpuLaunch, type Placed } from '../types.ts';

/** Bytes that one tile of a copy moves; small enough to balance threads, large enough to hide the claim. */
const TILE_BYTES = 64 * 1024;

/**
 * Copies a value to where another lies: same dtype and number of elements, in raveled order. Any strides and offsets; where rows and
 * channels of the two differ and neither is contiguous, elements must have four bytes.
 */
export function copyLaunch(from: Placed, to: Placed): CpuLaunch {
  const width = bytesPerElement[from.dtype];
  const elements = from.rows * from.channels;
  if (from.dtype !== to.dtype || elements !== to.rows * to.channels) {
    throw new DeviceError(`copy: ${elements} elements of ${from.dtype} to ${to.rows * to.channels} of ${to.dtype}`);
  }
  const label = 'copy';
  if (isContiguous(from) && isContiguous(to)) {
    const args = [{ address: from }, { address: to }, elements * width, TILE_BYTES];
    return { kernel: 'copyFlat', tiles: Math.ceil((elements * width) / TILE_BYTES), args, label };
  }
  // a contiguous side takes the rows of the other
  const { rows, channels } = isContiguous(from) ? to : from;
  const fromStride = isContiguous(from) ? channels : from.stride;
  const toStride = isContiguous(to) ? channels : to.stride;
  if (!isContiguous(from) && !isContiguous(to) && from.channels !== to.channels) {
    if (width !== 4) throw new DeviceError(`copy: strided ${from.dtype} of ${from.channels} channels to ${to.channels}`);
    return {
      kernel: 'ravel',
      tiles: Math.ceil((elements * width) / TILE_BYTES),
      args: [
        { address: from }, { address: to }, elements, from.channels, from.stride * width, to.channels, to.stride * width,
        TILE_BYTES / width,
      ],
      label,
    };
  }
  const rowsPerTile = Math.max(1, Math.floor(TILE_BYTES / Math.max(1, channels * width)));
  return {
    kernel: 'copy',
    tiles: Math.ceil(rows / rowsPerTile),
    args: [{ address: from }, { address: to }, rows, channels * width, fromStride * width, toStride * width, rowsPerTile],
    label,
  };
}
