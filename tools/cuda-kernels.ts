/** CUDA's kernels by name, for options of tools. */
import { OptionError } from '../src/errors.ts';
import { cudaSources } from '../src/generated/cuda.ts';

export const kernelNames: readonly string[] = Object.keys(cudaSources).filter((file) => file.endsWith('.cu')).map((file) => file.slice(0, -'.cu'.length));

/** Which of the kernels are named, by their names with commas between; undefined names all. @throws OptionError where there is no kernel of a name */
export function chosen(kernels: readonly string[], names: string | undefined): readonly string[] {
  if (names === undefined) return kernels;
  return names.split(',').map((name) => {
    if (!kernels.includes(name)) throw new OptionError(`--kernels: no kernel is named "${name}"; there are ${kernels.join(', ')}`);
    return name;
  });
}
