/**
 * Finding NVRTC, CUDA's compiler as a library. It is no part of the driver: it lies in the CUDA toolkit, beside PyTorch, or in the Python
 * package nvidia-cuda-nvrtc. Files are looked for and no Python is run. Node only; reach it by dynamic import.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeviceError, MissingPackageError } from '../../errors.ts';
import { systemFolders } from '../webgpu/libraries.ts';

export interface FoundLibrary {
  readonly path: string;
  /** `CUDA toolkit`, `Python package`, ... */
  readonly source: string;
  /** Major version by the file's name. */
  readonly major: number;
}

/** `libnvrtc.so.12`, `libnvrtc.so.12.4.127`; older PyTorch has `libnvrtc-672ee683.so.11.2`. Not libnvrtc-builtins. */
const NAME = /^libnvrtc(?:-[0-9a-f]{8})?\.so\.(\d+)(?:\.\d+)*$/;

/** NVRTC's major versions that the kernels are written for: 11 does not know C++20 nor sm_90a. */
const LEAST_MAJOR = 12;

const list = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
};

/** Of a link to nowhere, the link itself: what tries to load it says what is wrong. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

const globbed = (folder: string, pattern: RegExp): string[] =>
  list(folder).filter((name) => pattern.test(name)).map((name) => join(folder, name));

/** Folders where Python keeps packages, below a prefix as /usr or a virtual environment. */
function packageFolders(prefix: string): string[] {
  return globbed(join(prefix, 'lib'), /^python3/).flatMap((python) => [join(python, 'site-packages'), join(python, 'dist-packages')]);
}

/** What a folder of Python packages may have: NVIDIA's packages for CUDA 13 and 12, and what PyTorch brings itself. */
const inPackages = (folder: string): string[] => [
  ...globbed(join(folder, 'nvidia'), /^cu\d+$/).reverse().map((cu) => join(cu, 'lib')),
  join(folder, 'nvidia/cuda_nvrtc/lib'), join(folder, 'torch/lib'),
];

/** Prefixes of the Pythons that a shell would find, the nearest first. */
function pythonPrefixes(env: NodeJS.ProcessEnv): string[] {
  const prefixes = [env.VIRTUAL_ENV, env.CONDA_PREFIX];
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const python = join(folder, 'python3');
    if (folder === '' || !existsSync(python)) continue;
    // A virtual environment's python3 is a link to another's, so its own folder counts too.
    prefixes.push(dirname(folder), dirname(dirname(realOf(python))));
  }
  const pyenv = env.PYENV_ROOT ?? join(homedir(), '.pyenv');
  prefixes.push(join(homedir(), '.local'), '/usr/local', '/usr', ...globbed(join(pyenv, 'versions'), /./));
  return prefixes.filter((prefix): prefix is string => prefix !== undefined && prefix !== '');
}

function toolkits(env: NodeJS.ProcessEnv): string[] {
  const roots = [env.CUDA_PATH, env.CUDA_HOME, '/usr/local/cuda', ...globbed('/usr/local', /^cuda-\d/).reverse(), '/opt/cuda', env.CONDA_PREFIX];
  const machine = process.arch === 'arm64' ? 'sbsa-linux' : 'x86_64-linux';
  return roots.filter((root): root is string => root !== undefined && root !== '')
    .flatMap((root) => [join(root, 'lib64'), join(root, 'targets', machine, 'lib'), join(root, 'lib')]);
}

/** The folder into which this repository's tools install NVIDIA's compilers for tests. */
const ownCache = (): string => fileURLToPath(new URL('../../../.cache/cuda', import.meta.url));

/** The places where NVRTC may be, in the order of preference. */
function places(env: NodeJS.ProcessEnv): { folder: string; source: string }[] {
  const as = (source: string) => (folder: string): { folder: string; source: string } => ({ folder, source });
  const cache = ownCache();
  return [
    ...toolkits(env).map(as('CUDA toolkit')),
    ...pythonPrefixes(env).flatMap(packageFolders).flatMap(inPackages).map(as('Python package')),
    ...systemFolders().map(as('system')),
    ...[cache, ...packageFolders(cache)].flatMap(inPackages).map(as('.cache/cuda')),
  ];
}

function librariesIn(folder: string, source: string): FoundLibrary[] {
  const found = list(folder).map((name) => ({ path: join(folder, name), source, major: Number(NAME.exec(name)?.[1] ?? NaN) }));
  // The shortest name of a version is a link to the longer ones.
  return found.filter(({ major }) => major > 0).sort((a, b) => b.major - a.major || a.path.length - b.path.length);
}

/**
 * All NVRTC libraries that are found, the preferred first; with `asked` (a library or a folder), only these.
 * @throws MissingPackageError where what was asked for is not there
 */
export function findNvrtc(asked: string | undefined, env: NodeJS.ProcessEnv = process.env): FoundLibrary[] {
  const given = asked ?? (env.FOVEA_NVRTC || undefined);
  if (given !== undefined) {
    const source = asked === undefined ? 'FOVEA_NVRTC' : 'asked for';
    const isFolder = existsSync(given) && statSync(given).isDirectory();
    const major = Number(NAME.exec(basename(given))?.[1] ?? LEAST_MAJOR);
    const found = !existsSync(given) ? [] : isFolder ? librariesIn(given, source) : [{ path: given, source, major }];
    if (found.length === 0) throw new MissingPackageError(`no NVRTC at ${given} (${source}): a libnvrtc.so or its folder was expected`);
    return found;
  }
  const seen = new Set<string>();
  return places(env).flatMap(({ folder, source }) => librariesIn(folder, source)).filter(({ path }) => {
    const real = realOf(path);
    if (seen.has(real)) return false;
    seen.add(real);
    return true;
  });
}

/**
 * The NVRTC to use with a driver, and why others are not: a driver loads cubins of its own major version of CUDA and of earlier ones.
 *
 * @param driverMajor of the driver's CUDA version
 * @param use tries a library, and throws a DeviceError where it is of no use: then the next one is tried
 * @throws MissingPackageError with the command that installs one
 */
export function chooseNvrtc<T>(
  found: readonly FoundLibrary[], driverMajor: number, use: (library: FoundLibrary) => T,
): { library: FoundLibrary; used: T; refused: string[] } {
  const refused: string[] = [];
  for (const library of found) {
    if (library.major > driverMajor) refused.push(`${library.path} is of CUDA ${library.major}, newer than the driver`);
    else if (library.major < LEAST_MAJOR) refused.push(`${library.path} is of CUDA ${library.major}; ${LEAST_MAJOR} or later is needed`);
    else {
      try {
        return { library, used: use(library), refused };
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        refused.push(error.message);
      }
    }
  }
  const command = `pip install ${driverMajor >= 13 ? 'nvidia-cuda-nvrtc' : `nvidia-cuda-nvrtc-cu${driverMajor}`}`;
  throw new MissingPackageError(`no NVRTC, which compiles the CUDA kernels: ${command}`
    + (refused.length === 0 ? '' : ` (found, and refused: ${refused.join('; ')})`));
}
