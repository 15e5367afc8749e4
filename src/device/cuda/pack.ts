/** A kernel's arguments as the C++ ABI lays out its parameters, and the structures that hand them to the driver. */
import { DeviceError } from '../../errors.ts';
import { bytesPerElement } from '../types.ts';
import type { CudaArg, CudaLaunch, Placed, PlacedLaunch, Scratch, TensorMap } from '../types.ts';
import type { Bindings } from './bindings.ts';
import { NativeBlock } from './bindings.ts';
import { encodeTensorMap } from './tensor-map.ts';

/** `conv2d (kernel matmul) from file:line`, for messages. */
export function describeLaunch(placed: PlacedLaunch): string {
  const launch = placed.launch as CudaLaunch;
  return `${placed.node} (kernel ${launch.kernel})${placed.site === undefined ? '' : ` from ${placed.site}`}`;
}

/** Where a value or scratch region begins and how many bytes it spans: to the end of its last element. */
export function spanOf(address: Placed | Scratch): { start: number; bytes: number } {
  if ('byteOffset' in address) return { start: address.byteOffset, bytes: address.bytes };
  const size = bytesPerElement[address.dtype];
  const elements = address.rows === 0 || address.channels === 0 ? 0 : (address.rows - 1) * address.stride + address.channels;
  return { start: address.offset * size, bytes: elements * size };
}

/** Bytes that the copy engine's map of a value spans, likewise. */
const reachOf = ({ value, lengths, strides }: TensorMap): number =>
  lengths.slice(1).reduce((sum, length, i) => sum + (length - 1) * strides[i], lengths[0] * bytesPerElement[value.dtype]);

/** What every kernel can be given, on every GPU and driver. */
const MOST_BYTES = 4096;

/** Kernels count elements in an i32, and threads of a last block count past the end; where elements lie is told in 64 bits. */
const MOST_COUNTED = 0x7fff0000;

/** How what is not plain data becomes bytes. */
export interface Places {
  /** The device address of the first byte of what holds a value. */
  addressOf(value: Placed | Scratch): bigint;
  /** Writes the 128 bytes of a map `at` so many bytes into the arguments. */
  encodeMap(map: TensorMap, at: number): void;
}

/** Bytes of an argument, and what they are a multiple of. */
const layoutOf = (arg: CudaArg): [size: number, alignment: number] =>
  (typeof arg === 'number' || 'f32' in arg ? [4, 4] : 'tensorMap' in arg ? [128, 64] : [16, 8]);

/** The span of what a kernel is given. @throws DeviceError for more elements than kernels count, or what is not all in its buffer */
function checkedSpan(address: Placed | Scratch, argument: string): { start: number; bytes: number } {
  const span = spanOf(address);
  const { buffer } = address;
  if ('rows' in address && address.rows * address.channels > MOST_COUNTED) {
    const { shape, rows, channels } = address;
    throw new DeviceError(`${argument} has shape [${shape}], ${rows * channels} elements; kernels count to ${MOST_COUNTED}: a smaller batch is needed`);
  }
  if (!(span.start >= 0 && span.start + span.bytes <= buffer.bytes)) {
    const range = `bytes ${span.start} to ${span.start + span.bytes} of buffer "${buffer.label}"`;
    throw new DeviceError(`${argument}: ${range}, which has ${buffer.bytes}`);
  }
  return span;
}

/**
 * Writes arguments into `view` from byte 0 on: i32 and float in 4 bytes at multiples of 4, a Span as two 64-bit words at multiples of 8, a
 * map in 128 bytes at multiples of 64.
 *
 * @returns bytes up to the end of the last argument
 * @throws DeviceError for a number that is no i32, a value of more elements than an i32 counts, memory past the end of its buffer, a
 *   map past the end of its value, or more than 4096 bytes
 */
export function packArguments(view: DataView, args: readonly CudaArg[], places: Places, about: string): number {
  let at = 0;
  args.forEach((arg, i) => {
    const [size, alignment] = layoutOf(arg);
    const argument = `argument ${i} of ${about}`;
    at = Math.ceil(at / alignment) * alignment;
    if (at + size > MOST_BYTES) throw new DeviceError(`${about} has more than ${MOST_BYTES} bytes of arguments`);
    if (typeof arg === 'number') {
      if (!Number.isInteger(arg) || arg < -0x80000000 || arg > 0x7fffffff) {
        throw new DeviceError(`${argument} is ${arg}, not an integer of 32 bits with a sign`);
      }
      view.setInt32(at, arg, true);
    } else if ('f32' in arg) {
      view.setFloat32(at, arg.f32, true);
    } else if ('tensorMap' in arg) {
      // The copy engine knows no other bounds than the map's.
      const { bytes } = checkedSpan(arg.tensorMap.value, argument);
      const reach = reachOf(arg.tensorMap);
      if (!(reach <= bytes)) throw new DeviceError(`${argument}: a map of ${reach} bytes, of a value that has ${bytes}`);
      places.encodeMap(arg.tensorMap, at);
    } else {
      const { start, bytes } = checkedSpan(arg.address, argument);
      view.setBigUint64(at, places.addressOf(arg.address) + BigInt(start), true);
      view.setBigUint64(at + 8, BigInt(bytes), true);
    }
    at += size;
  });
  return at;
}

/** Keys of the list `extra` that takes arguments in one buffer (CU_LAUNCH_PARAM_*). */
const END = 0n, BUFFER_POINTER = 1n, BUFFER_SIZE = 2n;

/** Offsets in the block of memory: the size, the list `extra`, a CUDA_KERNEL_NODE_PARAMS_v2, the arguments. */
const SIZE = 0, EXTRA = 16, NODE = 64, ARGUMENTS = 256;

/** One launch as the driver reads it. The driver copies what it needs before a call returns, so one block serves all. */
export class LaunchBlock {
  readonly #block: NativeBlock;
  readonly #cuda: Bindings;
  /** Address of the list `extra` of cuLaunchKernel. */
  readonly extra: bigint;
  /** Address of the structure that cuGraphAddKernelNode takes. */
  readonly node: bigint;
  readonly #arguments: DataView;

  constructor(cuda: Bindings) {
    this.#cuda = cuda;
    this.#block = new NativeBlock(cuda.koffi, ARGUMENTS + MOST_BYTES);
    const { address, view } = this.#block;
    this.extra = address + BigInt(EXTRA);
    this.node = address + BigInt(NODE);
    this.#arguments = new DataView(view.buffer, ARGUMENTS, MOST_BYTES);
    [BUFFER_POINTER, address + BigInt(ARGUMENTS), BUFFER_SIZE, address + BigInt(SIZE), END].forEach((word, i) => {
      view.setBigUint64(EXTRA + 8 * i, word, true);
    });
  }

  /** Fills in a launch of `kernel`. Throws as packArguments does, and CudaError for a map that the driver refuses. */
  set(kernel: bigint, launch: CudaLaunch, addressOf: Places['addressOf'], about: string): void {
    const { view, address } = this.#block;
    const places: Places = {
      addressOf,
      encodeMap: (map, at) => encodeTensorMap(this.#cuda, map, addressOf(map.value), address + BigInt(ARGUMENTS + at), about),
    };
    view.setBigUint64(SIZE, BigInt(packArguments(this.#arguments, launch.args, places, about)), true);
    // func; grid and block along x, y, z; shared bytes and padding; kernelParams; extra; kern; ctx
    view.setBigUint64(NODE, kernel, true);
    [...launch.grid, launch.block, 1, 1, launch.shared ?? 0, 0].forEach((word, i) => view.setUint32(NODE + 8 + 4 * i, word, true));
    [0n, this.extra, 0n, 0n].forEach((word, i) => view.setBigUint64(NODE + 40 + 8 * i, word, true));
  }

  dispose(): void {
    this.#block.dispose();
  }
}
