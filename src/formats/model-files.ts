/** How a model's files are reached: Node's, or whatever the caller has in their place (a browser's `fetch`, a zip). */
import { fileReason } from '../data/decode.ts';
import { importNode } from '../data/node.ts';
import { DataError } from '../errors.ts';

export interface ModelFiles {
  /** The bytes of a file. @throws DataError where there is none */
  read(path: string): Promise<Uint8Array>;
  /** Names of the files in a folder; undefined where `path` is none, or where folders cannot be listed. */
  list(path: string): Promise<readonly string[] | undefined>;
}

/** Files by Node. */
export const nodeFiles: ModelFiles = {
  async read(path) {
    const { readFile } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a model');
    try {
      return await readFile(path);
    } catch (cause) {
      throw new DataError(`${path}: ${fileReason(cause)}`, { cause });
    }
  },
  async list(path) {
    const { readdir } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading a model');
    return readdir(path === '' ? '.' : path).then((names) => names.sort(), () => undefined);
  },
};

/** The folder of a path, with its slash ('' for none), and the name within it. */
export function splitPath(path: string): { readonly folder: string; readonly name: string } {
  const at = path.search(/[^/\\]*$/);
  return { folder: path.slice(0, at), name: path.slice(at) };
}
