/**
 * Variants known to be fastest, by adapter and tuning key. An adapter without a row measures by itself, if it is hardware; so does one for
 * what its row lacks.
 *
 * llvmpipe's row is empty because its kernels (`rows`) have no variants: 8 pixels x 16 channels a thread was the best or within the
 * noise at every shape of Inception-BN. NVIDIA's Hopper was measured on an H200, in training steps of Inception-BN; the H100 has the same
 * multiprocessors.
 */
import { kernels as hopper } from './tuning/hopper.ts';

/** A kernel with its replacements, and its fastest tile by class of sizes: powers of two of rows, columns, depth and count. */
export interface TunedKernel {
  readonly kernel: string;
  readonly replace: string;
  readonly tiles: Readonly<Record<string, string>>;
}

const flat = (kernels: readonly TunedKernel[]): Record<string, string> =>
  Object.fromEntries(kernels.flatMap(({ kernel, replace, tiles }) => Object.entries(tiles).map(([size, tile]) => [`${kernel}|${replace}|${size}`, tile])));

export const tuningTable: readonly { readonly adapter: RegExp; readonly choices: Readonly<Record<string, string>> }[] = [
  { adapter: /llvmpipe/, choices: {} },
  { adapter: /^nvidia-h[12]00\b/, choices: flat(hopper) },
];
