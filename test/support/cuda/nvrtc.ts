import { importKoffi } from '../../../src/device/cuda/bindings.ts';
import { findNvrtc } from '../../../src/device/cuda/find.ts';
import { MissingPackageError } from '../../../src/errors.ts';

/** Why there is no NVRTC to compile kernels with, or undefined where there is one. */
export async function nvrtcAbsent(): Promise<string | undefined> {
  try {
    await importKoffi();
    return findNvrtc(undefined).some(({ major }) => major >= 12) ? undefined : 'no NVRTC: node tools/cuda-compiler.mjs';
  } catch (error) {
    if (error instanceof MissingPackageError) return error.message;
    throw error;
  }
}
