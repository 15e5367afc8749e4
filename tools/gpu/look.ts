/**
 * Opens devices as the parts of tools/gpu.ts do, in a process of its own, and writes to a file of each why nothing is to be run on it.
 *
 *   node --import tsx tools/gpu/look.ts FILE cuda webgpu
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isSoftware } from '../../src/benchmark/targets.ts';
import { device } from '../../src/device/index.ts';
import { FoveaError } from '../../src/errors.ts';

/** Why nothing is to be run on a device, by its name; of one that will do, null. */
export type Refusals = Readonly<Record<string, string | null>>;

/** Why nothing is to be run on `name`. A software adapter stands for no GPU, but where it is asked for by its own name. */
async function refusal(name: string): Promise<string | null> {
  // The op suite builds it; there is no device of that name.
  if (name === 'cuda-host') return null;
  try {
    const made = await device(name);
    made.dispose();
    return name === 'webgpu' && isSoftware(made) ? `${made.name} is software; webgpu:NAME takes it all the same` : null;
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    return error.message;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, ...names] = process.argv.slice(2);
  const refusals: Record<string, string | null> = {};
  for (const name of names) refusals[name] = await refusal(name);
  writeFileSync(file, JSON.stringify(refusals));
}
