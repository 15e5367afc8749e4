/** Launches of single kernels by the host's libcuda, for tests of the emulator itself. */
import { readFileSync } from 'node:fs';
import { Bindings, NativeBlock } from '../../../src/device/cuda/bindings.ts';
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

/** @returns a function that runs a launch, and throws CudaError with the emulator's words */
export async function hostLauncher(): Promise<(launch: HostLaunch) => Promise<void>> {
  const { koffi, libcuda, compile } = await cudaHost();
  const cuda = new Bindings(koffi, libcuda);
  const block = new LaunchBlock(cuda);
  return async ({ kernel, define = {}, body = '', args, grid = 1, block: threads, shared = 0 }) => {
    const lines = Object.entries(define).map(([name, value]) => `#define ${name} ${value}\n`).join('');
    const file = readFileSync(new URL(`${kernel}.cu`, import.meta.url), 'utf8').replace('BODY', body);
    const image = await compile(kernel, `${lines}#line 1 "${kernel}.cu"\n${file}`, define, {});
    const module = cuda.handle('cuModuleLoadData', [image]);
    const memory = args.map((arg) => {
      if (typeof arg === 'number') return { arg } as const;
      const host = new NativeBlock(koffi, arg.byteLength);
      const bytes = new Uint8Array(arg.buffer, arg.byteOffset, arg.byteLength);
      const view = new Uint8Array(host.view.buffer, host.view.byteOffset, arg.byteLength);
      view.set(bytes);
      const address = cuda.handle('cuMemAllocAsync', [arg.byteLength, 0]);
      cuda.call('cuMemcpyHtoDAsync_v2', [address, host.address, arg.byteLength, 0]);
      const buffer: DeviceBuffer = { bytes: arg.byteLength, label: 'x', dispose: () => undefined };
      return { arg: { address: { buffer, byteOffset: 0, bytes: arg.byteLength } satisfies Scratch }, bytes, view, host, address } as const;
    });
    const addresses = new Map(memory.flatMap((m) => ('address' in m ? [[m.arg.address, m.address] as const] : [])));
    try {
      const function_ = cuda.handle('cuModuleGetFunction', [module, kernel]);
      const launch = { kernel, args: memory.map((m): CudaArg => m.arg), grid: [grid, 1, 1], block: threads, shared } as const;
      block.set(function_, launch, (value) => addresses.get(value as Scratch)!, kernel);
      cuda.call('cuLaunchKernel', [function_, grid, 1, 1, threads, 1, 1, shared, 0, 0n, block.extra], kernel);
      for (const m of memory) {
        if (!('address' in m)) continue;
        cuda.call('cuMemcpyDtoHAsync_v2', [m.host.address, m.address, m.bytes.length, 0]);
        m.bytes.set(m.view);
      }
    } finally {
      for (const m of memory) {
        if (!('address' in m)) continue;
        cuda.call('cuMemFreeAsync', [m.address, 0]);
        m.host.dispose();
      }
      cuda.call('cuModuleUnload', [module]);
    }
  };
}
