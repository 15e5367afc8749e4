/** CUDA's kernels by name, for options of tools. */
import { OptionError } from '../src/errors.ts';
import { cudaSources } from '../src/generated/cuda.ts';
import { namesIn } from './command.ts';

export const kernelNames: readonly string[] = Object.keys(cudaSources).filter((file) => file.endsWith('.cu')).map((file) => file.slice(0, -'.cu'.length));

/** Kernels named by --kernels, or all. @throws OptionError for one that there is not, or that is named twice */
export function chosenKernels(text: string | undefined): readonly string[] {
  if (text === undefined) return kernelNames;
  return namesIn('--kernels', text).map((name) => {
    if (!kernelNames.includes(name)) throw new OptionError(`--kernels: no kernel is named "${name}"; there are ${kernelNames.join(', ')}`);
    return name;
  });
}
