/** Files that are whole or not there: written under a temporary name, flushed, renamed. Node only. */
import type * as FsPromises from 'node:fs/promises';
import type * as NodePath from 'node:path';
import { importNode } from '../data/node.ts';
import { fileReason } from '../data/decode.ts';
import { DataError } from '../errors.ts';

const what = 'a run directory';

export interface Files {
  readonly fs: typeof FsPromises;
  readonly path: typeof NodePath;
}

/** The modules of Node that run directories need. @throws DataError outside Node. */
export async function nodeFiles(): Promise<Files> {
  return {
    fs: await importNode<typeof FsPromises>('node:fs/promises', what),
    path: await importNode<typeof NodePath>('node:path', what),
  };
}

const temporary = /\.tmp-\d+$/;

/**
 * Writes a file so that a crash at any byte leaves the old one, or none, under its name.
 *
 * @throws DataError naming the file where it cannot be written
 */
export async function writeWhole({ fs, path }: Files, file: string, content: string | Uint8Array): Promise<void> {
  const partial = `${file}.tmp-${process.pid}`;
  try {
    await fs.writeFile(partial, content, { flush: true });
    await fs.rename(partial, file);
    // The name, too, should survive a loss of power; some file systems cannot say so.
    const folder = await fs.open(path.dirname(file), 'r').catch(() => undefined);
    await folder?.sync().catch(() => undefined);
    await folder?.close();
  } catch (cause) {
    await fs.rm(partial, { force: true }).catch(() => undefined);
    throw new DataError(`${file}: ${fileReason(cause)}`, { cause });
  }
}

/** Removes what a killed process left under temporary names. */
export async function removeTemporary({ fs, path }: Files, folder: string): Promise<void> {
  for (const name of await fs.readdir(folder)) {
    if (temporary.test(name)) await fs.rm(path.join(folder, name), { force: true });
  }
}

/** @throws DataError naming the file and why it cannot be read */
export async function readBytes({ fs }: Files, file: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await fs.readFile(file));
  } catch (cause) {
    throw new DataError(`${file}: ${fileReason(cause)}`, { cause });
  }
}

export async function readText(files: Files, file: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(files, file));
}
