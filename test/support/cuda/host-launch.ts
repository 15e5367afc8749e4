/** Launches of single kernels by the host's libcuda, for tests of the emulator itself. */
import { readFileSync } from 'node:fs';
import { Bindings, NativeBlock } from '../../../src/device/cuda/bindings.ts';
import type { Koffi } from '../../../src/device/cuda/bindings.ts';
import { LaunchBlock } from '../../../src/device/cuda/pack.ts';
import type { CudaArg, DeviceBuffer, Scratch } from '../../../src/device/types.ts';
import { cudaHost } from '../cuda-host.ts';

type Words = Float32Array | Uint16Array | Int32Array;

export interface HostLaunch {
  /** A file of test/support/cuda, without its ending. */
  readonly kernel: string;
  readonly define?: Readonly<Record<string, string | number>>;
  /** What is put in place of the word BODY. */
  readonly body?: string;
  /** Arrays are copied to memory of their own, and back when the launch is done. */
  readonly args: readonly (Words | number)[];
  readonly grid?: number;
  readonly block: number;
  readonly shared?: number;
}

/** An array in the device's memory. */
class Copied {
  readonly #cuda: Bindings;
  readonly #host: NativeBlock;
  readonly #bytes: Uint8Array;
  readonly #view: Uint8Array;
  readonly address: bigint;
  readonly place: Scratch;

  constructor(cuda: Bindings, koffi: Koffi, words: Words) {
    this.#cuda = cuda;
    const { byteLength: bytes } = words;
    this.#bytes = new Uint8Array(words.buffer, words.byteOffset, bytes);
    this.#host = new NativeBlock(koffi, bytes);
    const { view, address } = this.#host;
    this.#view = new Uint8Array(view.buffer, view.byteOffset, bytes);
    this.#view.set(this.#bytes);
    this.address = cuda.handle('cuMemAllocAsync', [bytes, 0]);
    cuda.call('cuMemcpyHtoDAsync_v2', [this.address, address, bytes, 0]);
    const buffer: DeviceBuffer = { bytes, label: 'x', dispose: () => undefined };
    this.place = { buffer, byteOffset: 0, bytes };
  }

  readBack(): void {
    this.#cuda.call('cuMemcpyDtoHAsync_v2', [this.#host.address, this.address, this.#bytes.length, 0]);
    this.#bytes.set(this.#view);
  }

  dispose(): void {
    this.#cuda.call('cuMemFreeAsync', [this.address, 0]);
    this.#host.dispose();
  }
}

/** @returns a function that runs a launch, and throws CudaError with the emulator's words */
export async function hostLauncher(): Promise<(launch: HostLaunch) => Promise<void>> {
  const { koffi, libcuda, compile } = await cudaHost();
  const cuda = new Bindings(koffi, libcuda);
  const block = new LaunchBlock(cuda);
  return async ({ kernel, define = {}, body = '', args: given, grid = 1, block: threads, shared = 0 }) => {
    const lines = Object.entries(define).map(([name, value]) => `#define ${name} ${value}\n`).join('');
    const file = readFileSync(new URL(`${kernel}.cu`, import.meta.url), 'utf8').replace('BODY', body);
    const image = await compile(kernel, `${lines}#line 1 "${kernel}.cu"\n${file}`, define, {});
    const module = cuda.handle('cuModuleLoadData', [image]);
    const copied = new Map<Scratch, Copied>();
    const args = given.map((arg): CudaArg => {
      if (typeof arg === 'number') return arg;
      const made = new Copied(cuda, koffi, arg);
      copied.set(made.place, made);
      return { address: made.place };
    });
    try {
      const handle = cuda.handle('cuModuleGetFunction', [module, kernel]);
      block.set(handle, { kernel, args, grid: [grid, 1, 1], block: threads, shared }, (value) => copied.get(value as Scratch)!.address, kernel);
      cuda.call('cuLaunchKernel', [handle, grid, 1, 1, threads, 1, 1, shared, 0, 0n, block.extra], kernel);
      for (const one of copied.values()) one.readBack();
    } finally {
      for (const one of copied.values()) one.dispose();
      cuda.call('cuModuleUnload', [module]);
    }
  };
}
