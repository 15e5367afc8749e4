/**
 * Features on disk: a folder for each trunk with its weights, its preprocessing and the kernels that compute it, a file for each image in
 * it, named by the hash of its pixels. A file ends in a digest of its numbers; one that was torn is as good as none. Node only.
 */
import type * as FsPromises from 'node:fs/promises';
import { defaultCacheDir } from '../data/cache.ts';
import { fileReason } from '../data/decode.ts';
import { importNode } from '../data/node.ts';
import { isUserAttribute } from '../nn/attributes.ts';
import { bytesOf } from '../nn/host-array.ts';
import type { FeatureOrigin, FeatureStore, OpenFeatureStore } from './features.ts';

const formatNumber = 1;

/** Bytes of the digest that a file ends in. */
const digestBytes = 8;

/**
 * A folder that cannot be written costs time, not the run: `warn` is told once, with folder and reason, and nothing more is kept.
 *
 * @param folder default: `features` in the folder of caches (`FOVEA_CACHE`)
 */
export async function featureCache(folder?: string, warn: (line: string) => void = console.warn): Promise<FeatureStore> {
  const fs = await importNode<typeof FsPromises>('node:fs/promises', 'a cache of features');
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'a cache of features');
  const { join, dirname } = await importNode<typeof import('node:path')>('node:path', 'a cache of features');
  const base = folder ?? join(await defaultCacheDir(), 'features');
  let writable = true;
  const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

  const keyOf = ({ trunk, parameters, ...rest }: FeatureOrigin): string => {
    // What a layer's variables learn by is none of its values.
    const computed = JSON.stringify(trunk.toJSON(), (key, value: unknown) => (isUserAttribute(key) ? undefined : value));
    const hash = createHash('sha256').update(JSON.stringify([formatNumber, computed, rest]));
    for (const [name, array] of [...parameters.arguments, ...parameters.auxiliary]) hash.update(name).update(bytesOf(array));
    return hash.digest('hex').slice(0, 32);
  };

  return {
    open(origin): Promise<OpenFeatureStore> {
      const own = join(base, keyOf(origin));
      const bytes = 4 * origin.size;
      const fileOf = (pixels: Uint8Array): string => {
        const name = sha256(pixels).toString('hex').slice(0, 32);
        return join(own, name.slice(0, 2), name.slice(2));
      };
      return Promise.resolve({
        async get(pixels) {
          const content = await fs.readFile(fileOf(pixels)).catch(() => undefined);
          if (content?.length !== bytes + digestBytes) return undefined;
          const numbers = Uint8Array.from(content.subarray(0, bytes));
          if (!sha256(numbers).subarray(0, digestBytes).equals(content.subarray(bytes))) return undefined;
          return new Float32Array(numbers.buffer);
        },
        async put(pixels, features) {
          if (!writable) return;
          const file = fileOf(pixels);
          const numbers = new Uint8Array(features.buffer, features.byteOffset, bytes);
          const temporary = `${file}.${process.pid}-${temporaries++}.tmp`;
          try {
            await fs.mkdir(dirname(file), { recursive: true });
            await fs.writeFile(temporary, Buffer.concat([numbers, sha256(numbers).subarray(0, digestBytes)]));
            await fs.rename(temporary, file);
          } catch (cause) {
            await fs.rm(temporary, { force: true }).catch(() => {});
            if (writable) warn(`${base}: ${fileReason(cause).replace('to read it', 'to write there')}: features are not kept for other runs`);
            writable = false;
          }
        },
      });
    },
  };
}
let temporaries = 0;
