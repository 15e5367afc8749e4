/** Packages of bench/peers: found, loaded, or named with what installs them. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BenchmarkError } from '../../src/errors.ts';

const require = createRequire(new URL('package.json', import.meta.url));

export const installCommand = 'npm install --prefix bench/peers';

/** Where a package's main file is; undefined where it is not installed, or so partly that the file is not there. */
export function locate(name: string): string | undefined {
  try {
    const path = require.resolve(name);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/** A package's exports, whether it is a module or CommonJS. @throws BenchmarkError with what installs it */
export async function load<T>(name: string): Promise<T> {
  const path = locate(name);
  if (path === undefined) throw new BenchmarkError(`${name} is missing: ${installCommand}`);
  const loaded = (await import(pathToFileURL(path).href)) as { default?: T } & T;
  return loaded.default ?? loaded;
}

/** Of a package that is installed, whether or not it lets its package.json be asked for. */
export function versionOf(name: string): string {
  for (let folder = dirname(locate(name)!); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    const { name: found, version } = existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string; version?: string }) : {};
    if (found === name && version !== undefined) return version;
  }
  return 'unknown';
}
