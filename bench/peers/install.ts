/** Packages of bench/peers: found, loaded, or named with what installs them. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(new URL('package.json', import.meta.url));

export const installCommand = 'npm install --prefix bench/peers';

/** Where a package's main file is; undefined where it is not installed. */
export function locate(name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/** A package's exports, whether it is a module or CommonJS. */
export async function load<T>(name: string): Promise<T> {
  const loaded = (await import(pathToFileURL(locate(name)!).href)) as { default?: T } & T;
  return loaded.default ?? loaded;
}

export function versionOf(name: string): string {
  return (require(`${name}/package.json`) as { version: string }).version;
}
