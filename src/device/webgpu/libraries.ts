/**
 * Loading shared libraries of a driver from folders of unpacked packages. Node only.
 *
 * The dynamic linker reads LD_LIBRARY_PATH only when a process starts, so it cannot be set from within; but a library that is loaded
 * already answers to its name (its DT_SONAME), wherever its file lies. So each is loaded by its absolute path before anything asks for
 * it by name.
 */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

/** glibc's RTLD_NODELETE: the library stays when Node closes it, as it does on finding no addon in it. */
const RTLD_NODELETE = 0x1000;

/** Debian's names of the architectures that Node knows. */
export const TRIPLETS: Partial<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** Loads a library and keeps it. Returns `undefined`, or what the dynamic linker said. */
function load(path: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    const message = (error as Error).message;
    // It was loaded; that it is no Node addon is known.
    return message.includes('did not self-register') ? undefined : message;
  }
  return undefined;
}

/** Loads a library from `folders`, after those that it needs and the system lacks. Throws the linker's words. */
export function loadFrom(folders: readonly string[], name: string, pending: ReadonlySet<string> = new Set()): void {
  const file = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  const within = new Set(pending).add(name);
  for (;;) {
    const failure = load(file ?? name);
    if (failure === undefined) return;
    // "libLLVM-15.so.1: cannot open shared object file: No such file or directory"
    const missing = failure.slice(0, failure.indexOf(':'));
    const available = folders.some((folder) => existsSync(join(folder, missing)));
    if (!available || within.has(missing)) throw new Error(failure);
    loadFrom(folders, missing, within);
  }
}

/** The folders where the system's libraries lie. */
export function systemFolders(): string[] {
  return [join('/usr/lib', TRIPLETS[process.arch] ?? ''), '/usr/lib64', '/usr/lib'].filter((path) => existsSync(path));
}
