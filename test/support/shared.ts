import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

/** The folder of fixtures, data and weights beside the checkout: `FOVEA_SHARED`, else `../shared`. */
export const sharedFolder = process.env.FOVEA_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));

/** The path of a shared file or folder, or `undefined` where it is absent: the caller then skips its test by name. */
export function shared(...parts: string[]): string | undefined {
  const path = join(sharedFolder, ...parts);
  return existsSync(path) ? path : undefined;
}
