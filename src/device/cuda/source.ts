/** The text of a kernel and of all that it includes. */
import { DeviceError } from '../../errors.ts';

export interface KernelSource {
  /** The file behind a `#define` line for each macro; lines are numbered as in the file. */
  readonly source: string;
  /** By the names in #include lines, which are paths from kernels/cuda on, also within headers. */
  readonly headers: Readonly<Record<string, string>>;
}

const INCLUDE = /^[ \t]*#[ \t]*include[ \t]+"([^"]+)"/gm;

/** Parts of a header for the host alone: never seen by a GPU's compiler, so not in the package. */
const HOST = 'host/';

/**
 * @param sources files of kernels/cuda by their path there
 * @throws DeviceError for a file that is not there
 */
export function kernelSource(
  sources: Readonly<Record<string, string>>, kernel: string, define: Readonly<Record<string, string | number>>,
): KernelSource {
  const headers: Record<string, string> = {};
  const gather = (file: string): void => {
    for (const [, name] of sources[file].matchAll(INCLUDE)) {
      if (name.startsWith(HOST) || Object.hasOwn(headers, name)) continue;
      if (!Object.hasOwn(sources, name)) throw new DeviceError(`${file} includes "${name}", which is no file of kernels/cuda`);
      headers[name] = sources[name];
      gather(name);
    }
  };
  const file = `${kernel}.cu`;
  gather(file);
  const defines = Object.entries(define).map(([name, value]) => `#define ${name} ${value}\n`).join('');
  return { source: `${defines}#line 1 "${file}"\n${sources[file]}`, headers };
}
