/**
 * Opens devices as the parts of tools/gpu.ts do, in a process of its own, and writes to a file of each why nothing is to be run on it, and what it has.
 *
 *   node --import tsx tools/gpu/look.ts FILE cuda webgpu
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { capabilityWords } from '../../src/device/cuda/gpu.ts';
import { isSoftware } from '../../src/benchmark/targets.ts';
import { device } from '../../src/device/index.ts';
import { FoveaError } from '../../src/errors.ts';

/** A device as the parts find it. */
export interface Look {
  /** Why nothing is to be run on it; null where it will do. */
  readonly refusal: string | null;
  /** Of a GPU by CUDA: 90 for 9.0. */
  readonly capability?: number;
}

/** By the devices' names. */
export type Looks = Readonly<Record<string, Look>>;

/** A software adapter stands for no GPU, but where it is asked for by its own name. */
async function lookAt(name: string): Promise<Look> {
  // The op suite builds it; there is no device of that name.
  if (name === 'cuda-host') return { refusal: null };
  try {
    const made = await device(name);
    made.dispose();
    const refusal = name === 'webgpu' && isSoftware(made) ? `${made.name} is software; webgpu:NAME takes it all the same` : null;
    return { refusal, ...(made.features?.cuda && { capability: made.features.cuda.capability }) };
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return { refusal: error.message };
  }
}

/** Why a part is not to be run on a device, or undefined. */
export function refusalOf({ refusal, capability }: Look, needs: number | undefined): string | undefined {
  if (refusal !== null) return refusal;
  if (needs === undefined || capability === needs) return undefined;
  const has = capability === undefined ? 'no compute capability' : `compute capability ${capabilityWords({ capability })}`;
  return `${has}, and the part is for ${capabilityWords({ capability: needs })}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, ...names] = process.argv.slice(2);
  const looks: Record<string, Look> = {};
  for (const name of names) looks[name] = await lookAt(name);
  writeFileSync(file, JSON.stringify(looks));
}
