/**
 * The way to Node-only modules. The specifier is a value, not a literal, so that a bundler for browsers leaves it alone
 * and needs neither polyfills nor a list of externals.
 */
import { DataError, MissingPackageError } from '../errors.ts';

/** Whether this is Node (or something that calls itself so). */
export const isNode = typeof process === 'object' && process !== null && !!process.versions?.node;

/**
 * Imports a `node:` module.
 *
 * @param what named in the error, e.g. 'reading a folder'.
 * @throws DataError outside Node.
 */
export async function importNode<T>(specifier: `node:${string}`, what: string): Promise<T> {
  if (!isNode) throw new DataError(`${what} needs Node.js; in a browser, make a dataset with memoryDataset()`);
  return await import(specifier) as T;
}

/**
 * Imports a package that is optional, or that browsers do without.
 *
 * @throws MissingPackageError with the command that installs it, where it is absent or does not load.
 */
export async function importPackage<T>(name: string, what: string): Promise<T> {
  try {
    return await import(name) as T;
  } catch (cause) {
    const packageName = name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/');
    throw new MissingPackageError(`${what} needs the package '${packageName}': npm install ${packageName}`, { cause });
  }
}
