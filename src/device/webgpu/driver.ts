/**
 * The software WebGPU driver: Mesa's llvmpipe behind Dawn's OpenGL ES backend. Node only; reach it by dynamic import.
 *
 * The libraries are the system's, else those of a folder of unpacked Debian packages (`tools/webgpu-driver.mjs` fills
 * `.cache/mesa`), loaded before Dawn or Mesa asks for them (libraries.ts). One more trap: Dawn asks for `libEGL.so`, a name that only
 * development packages have, while the library calls itself `libEGL.so.1`: a copy with that name shortened is loaded in its place.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadFrom, systemFolders, TRIPLETS } from './libraries.ts';

export interface SoftwareDriver {
  /** Where it is: 'system', or the folder of unpacked packages. */
  readonly source: string;
  /** Environment variables to set before Dawn is first called. Setting them in `process.env` is early enough. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders to search for libraries, or `undefined` where the system's linker finds them by itself. */
  readonly libraryPath: readonly string[] | undefined;
}

/** What Dawn and Mesa open by name, `libEGL.so` apart. */
const LIBRARIES = ['libGLESv2.so.2', 'libEGL_mesa.so.0'];

/** Folders where unpacked packages are looked for: `FOVEA_MESA`, else `.cache/mesa` of this package. */
function unpackedFolders(): string[] {
  if (process.env.FOVEA_MESA) return [process.env.FOVEA_MESA];
  return [fileURLToPath(new URL('../../../.cache/mesa', import.meta.url))];
}

/** Loads `libEGL.so.1` under the name `libEGL.so`. Throws the linker's words. */
function loadEGL(folders: readonly string[], scratch: readonly string[]): void {
  const files = [...folders, ...systemFolders()].map((path) => join(path, 'libEGL.so.1'));
  const file = files.find((path) => existsSync(path));
  if (file === undefined) throw new Error('libEGL.so.1 is missing');
  const bytes = readFileSync(file);
  const name = Buffer.from('\0libEGL.so.1\0', 'latin1');
  const short = '\0libEGL.so'.length;
  for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name)) bytes.fill(0, at + short, at + name.length);
  let failure: unknown;
  // A temporary folder may be mounted noexec, which forbids loading from it: then the next one.
  for (const parent of scratch) {
    let folder: string | undefined;
    try {
      folder = mkdtempSync(join(parent, 'fovea-'));
      writeFileSync(join(folder, 'libEGL.so'), bytes);
      return loadFrom([folder, ...folders], 'libEGL.so');
    } catch (error) {
      failure = error;
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  }
  throw failure;
}

function manifestOf(root: string): string | undefined {
  for (const folder of ['usr/share/glvnd/egl_vendor.d', 'etc/glvnd/egl_vendor.d']) {
    const path = join(root, folder);
    const name = existsSync(path) ? readdirSync(path).find((file) => /mesa.*\.json$/.test(file)) : undefined;
    if (name !== undefined) return join(path, name);
  }
  return undefined;
}

function environment(manifest: string, drivers: string | undefined): Record<string, string> {
  return {
    EGL_PLATFORM: 'surfaceless',
    __EGL_VENDOR_LIBRARY_FILENAMES: manifest,
    LIBGL_ALWAYS_SOFTWARE: '1',
    GALLIUM_DRIVER: 'llvmpipe',
    ...(drivers === undefined ? {} : { LIBGL_DRIVERS_PATH: drivers }),
  };
}

function unpacked(root: string): SoftwareDriver | undefined {
  const triplet = TRIPLETS[process.arch];
  const manifest = manifestOf(root);
  // The marker is written when everything has been unpacked: half an unpacked folder is none.
  if (triplet === undefined || manifest === undefined || !existsSync(join(root, 'complete'))) return undefined;
  const libraryPath = [join(root, 'usr/lib', triplet), join(root, 'lib', triplet)].filter((path) => existsSync(path));
  const drivers = libraryPath.map((path) => join(path, 'dri')).find((path) => existsSync(path));
  return { source: root, env: environment(manifest, drivers), libraryPath };
}

function installed(): SoftwareDriver | undefined {
  const manifest = manifestOf('/');
  if (manifest === undefined) return undefined;
  const library = (JSON.parse(readFileSync(manifest, 'utf8')) as { ICD?: { library_path?: string } }).ICD?.library_path;
  const folders = systemFolders();
  const has = (name: string): boolean => folders.some((folder) => existsSync(join(folder, name)));
  const driver = folders.some((folder) => {
    return existsSync(join(folder, 'dri/swrast_dri.so')) ||
      readdirSync(folder).some((file) => file.startsWith('libgallium-'));
  });
  const complete = driver && has('libEGL.so.1') && has('libGLESv2.so.2') && has(library ?? 'libEGL_mesa.so.0');
  return complete ? { source: 'system', env: environment(manifest, undefined), libraryPath: undefined } : undefined;
}

/**
 * Finds the software driver without loading it: the system's Mesa, else the unpacked packages (or only these, where
 * `FOVEA_MESA` names their folder). `undefined` where there is none; `node tools/webgpu-driver.mjs` then fetches one.
 */
export function findSoftwareDriver(): SoftwareDriver | undefined {
  if (process.platform !== 'linux') return undefined;
  const system = process.env.FOVEA_MESA ? undefined : installed();
  if (system !== undefined) return system;
  for (const root of unpackedFolders()) {
    const driver = unpacked(root);
    if (driver !== undefined) return driver;
  }
  return undefined;
}

let loaded: SoftwareDriver | undefined;

/**
 * Finds the driver, sets its variables in `process.env` and loads its libraries, so that
 * `create(['backend=opengles'])` and `requestAdapter({ featureLevel: 'compatibility' })` of the `webgpu` package find
 * llvmpipe. To be called before the first call into that package, from the main thread (a worker's `process.env` is a
 * copy that native code does not see). Returns `undefined` where there is no driver.
 *
 * Keep what `create` returns for as long as anything of it is in use: nothing else does, and once it is collected as
 * garbage Dawn polls a freed instance and the process dies of SIGSEGV or a failed mutex assertion, now and then.
 *
 * @throws Error with the dynamic linker's words when a library is there but cannot be loaded.
 */
export function loadSoftwareDriver(): SoftwareDriver | undefined {
  if (loaded !== undefined) return loaded;
  const driver = findSoftwareDriver();
  if (driver === undefined) return undefined;
  Object.assign(process.env, driver.env);
  loadEGL(driver.libraryPath ?? [], [tmpdir(), ...(driver.libraryPath ?? [])]);
  if (driver.libraryPath !== undefined) {
    for (const name of LIBRARIES) loadFrom(driver.libraryPath, name);
    // Mesa opens this by its path, but what it needs (LLVM above all) by name. From Mesa 24 libEGL_mesa has it inside.
    const drivers = driver.libraryPath.map((folder) => join(folder, 'dri', 'swrast_dri.so'));
    const swrast = drivers.find((path) => existsSync(path));
    if (swrast !== undefined) loadFrom([dirname(swrast), ...driver.libraryPath], 'swrast_dri.so');
  }
  loaded = driver;
  return driver;
}
