/** The store of tuning choices in a file of the user's cache folder. Node only; reach it by dynamic import. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheFolder } from './cache-folder.ts';
import type { Choices, TuningStore } from './tuner.ts';

const FORMAT = 1;

/** Adapters, with versions of driver and kernels, whose choices are kept: those saved last. */
const MOST_ADAPTERS = 16;

interface Contents {
  readonly format: number;
  readonly adapters: Record<string, Choices>;
}

/** `$FOVEA_CACHE`, `$XDG_CACHE_HOME/fovea` or `~/.cache/fovea`, and in it `webgpu-tuning.json` or `cuda-tuning.json`. */
export function tuningFile(kind: 'webgpu' | 'cuda'): string {
  return join(cacheFolder(), `${kind}-tuning.json`);
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

const isChoices = (v: unknown): v is Choices => isRecord(v) && Object.values(v).every((name) => typeof name === 'string');

/** What the file holds; nothing where it is absent. Warns, and returns nothing, where it cannot be understood. */
async function contents(file: string): Promise<Contents> {
  const none: Contents = { format: FORMAT, adapters: {} };
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return none;
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (isRecord(parsed) && parsed.format === FORMAT && isRecord(parsed.adapters) && Object.values(parsed.adapters).every(isChoices)) {
      return parsed as unknown as Contents;
    }
  } catch {
    // told below
  }
  console.warn(`fovea: ${file} is not a tuning cache of format ${FORMAT}; it is ignored and will be replaced`);
  return none;
}

/** Keeps choices in `file`. What cannot be read or written is measured again in the next process. */
export function fileStore(file: string): TuningStore {
  return {
    load: async (adapter) => ({ ...(await contents(file)).adapters[adapter] }),
    async save(adapter, choices) {
      const temporary = `${file}.${randomUUID()}`;
      try {
        // What another process has learned meanwhile stays.
        const { [adapter]: before, ...others } = (await contents(file)).adapters;
        const last = Object.entries(others).slice(1 - MOST_ADAPTERS);
        const adapters = Object.fromEntries([...last, [adapter, { ...before, ...choices }]]);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(temporary, `${JSON.stringify({ format: FORMAT, adapters }, null, 1)}\n`);
        await rename(temporary, file);
      } catch {
        // a cache that cannot be written costs time, not the run
        await rm(temporary, { force: true }).catch(() => undefined);
      }
    },
  };
}
