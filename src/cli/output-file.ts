import { fileReason } from '../data/decode.ts';
import { OptionError } from '../errors.ts';
import { nodeFiles } from '../train/files.ts';
import type { Files } from '../train/files.ts';

/** What a command that writes one file says of --force. */
export const forceOne = 'replace a file that is there';

/**
 * The file after --out, seen to be one that can be written: it is written last, after all the work. `force` false: not one that is there.
 *
 * @throws OptionError
 */
export async function outputFile(given: unknown, force = true): Promise<string | undefined> {
  if (given === undefined) return undefined;
  const file = String(given);
  if (file === '') throw new OptionError('--out: expected the name of a file');
  const { fs, path } = await nodeFiles();
  const folder = path.dirname(file);
  try {
    if (!(await fs.stat(folder)).isDirectory()) throw new OptionError(`--out ${file}: ${folder} is not a folder`);
    await fs.access(folder, fs.constants.W_OK);
  } catch (cause) {
    if (cause instanceof OptionError) throw cause;
    const why = fileReason(cause).replace('no such file', 'no such folder').replace('to read it', 'to write there');
    throw new OptionError(`--out ${file}: ${folder}: ${why}`, { cause });
  }
  const present = await fs.stat(file).catch(() => undefined);
  if (present?.isDirectory()) throw new OptionError(`--out ${file}: is a folder, not a file`);
  if (!force && present?.isFile()) throw new OptionError(`--out ${file}: is there already: --force replaces it`);
  return file;
}

/** @throws OptionError for a file that is there: `--force` replaces it */
export async function refusePresent({ fs }: Files, files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (await fs.stat(file).catch(() => undefined)) throw new OptionError(`${file} is there already: --force replaces it`);
  }
}
