/** Compiles CUDA kernels by the product's own NVRTC path, and says what they take of a GPU: as their cubins say, and ptxas, which must agree. */
import { importKoffi } from '../src/device/cuda/bindings.ts';
import { architectureFor, nvrtcOptions } from '../src/device/cuda/compile.ts';
import { findNvrtc } from '../src/device/cuda/find.ts';
import { nvrtcInfo, NvrtcPool } from '../src/device/cuda/nvrtc.ts';
import { kernelSource } from '../src/device/cuda/source.ts';
import { DeviceError, MissingPackageError } from '../src/errors.ts';
import { cudaSources } from '../src/generated/cuda.ts';
import { resourcesOf } from './cuda-cubin.ts';
import type { Resources } from './cuda-cubin.ts';
import { measuredAs } from './cuda-table.ts';
import type { Measured, Module } from './cuda-table.ts';
import type { Variant } from './cuda-variants.ts';

/** Has ptxas report what it allocates. The code stays what it is. */
const VERBOSE = '--ptxas-options=-v';

/** Lines of ptxas' report; others are what it has to say. */
const reported = [
  / bytes gmem/, /: Compiling entry function /, /: Function properties for /, /bytes stack frame/, /: Used \d+ registers/, /: Compile time = /,
];

interface PtxasReport extends Pick<Resources, 'registers' | 'local'> {
  readonly spilled: number;
  /** Other lines of the log. */
  readonly said: string;
}

/** @throws Error where the log is not that of one kernel's module compiled with ptxas' option -v */
export function ptxasReport(log: string): PtxasReport {
  const numbers = (form: RegExp): number[] => {
    const found = [...log.matchAll(form)];
    if (found.length !== 1) throw new Error(`the log is no report of one kernel by ptxas: ${log}`);
    return found[0].slice(1).map(Number);
  };
  const [registers] = numbers(/: Used (\d+) registers/g);
  const [local, stores, loads] = numbers(/(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/g);
  const said = log.split('\n').filter((line) => line.trim() !== '' && !reported.some((form) => form.test(line)));
  return { registers, local, spilled: Math.max(stores, loads), said: said.join(' ') };
}

/** What a module takes. @throws Error where its cubin says otherwise than ptxas */
export function agreed(cubin: Resources, ptxas: PtxasReport): Resources {
  const differs = cubin.registers !== ptxas.registers || cubin.local !== ptxas.local;
  // What is spilled lies in the frame.
  if (differs || (ptxas.spilled > 0 && cubin.local === 0)) {
    throw new Error(`ptxas reports ${ptxas.registers} registers, a frame of ${ptxas.local} bytes and ${ptxas.spilled} spilled; the cubin has `
      + `${cubin.registers} registers and a frame of ${cubin.local} bytes`);
  }
  return cubin;
}

export interface Meter {
  /** `NVRTC 13.5` */
  readonly compiler: string;
  /** Compiles a variant. Rejects with NVRTC's words. */
  measure(variant: Variant): Promise<Measured>;
  dispose(): void;
}

/** @throws MissingPackageError without NVRTC, or koffi */
export async function openMeter(): Promise<Meter> {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12);
  if (library === undefined) throw new MissingPackageError('no NVRTC, which compiles the kernels: node tools/cuda-compiler.mjs');
  const info = nvrtcInfo(await importKoffi(), library.path);
  const pool = new NvrtcPool(library.path);
  const compile = async ({ kernel, define, capability }: Variant, architecture: string): Promise<Module> => {
    try {
      const { source, headers } = kernelSource(cudaSources, kernel, define);
      const { cubin, log } = await pool.compile({ name: `${kernel}.cu`, source, headers, options: [...nvrtcOptions(architecture), VERBOSE] });
      const ptxas = ptxasReport(log);
      const { registers, shared, local } = agreed(resourcesOf(cubin, kernel, capability), ptxas);
      return [registers, shared, local, ptxas.said];
    } catch (error) {
      const said = (error as Error).message.replaceAll('\n', ' ');
      throw new DeviceError(`${kernel} ${JSON.stringify(define)} for ${architecture}: ${said}`, { cause: error });
    }
  };
  return {
    compiler: `NVRTC ${info.version}`,
    async measure(variant) {
      const architecture = architectureFor(variant.capability, info);
      return measuredAs(variant, architecture, await compile(variant, architecture));
    },
    dispose: () => pool.dispose(),
  };
}
