/**
 * Variants known to be fastest, by adapter and tuning key. An adapter without a row measures by itself, if it is hardware.
 *
 * llvmpipe's row is empty because its kernels (`rows`) have no variants: 8 pixels x 16 channels a thread was the best or within the
 * noise at every shape of Inception-BN. No hardware adapter has been measured; their defaults (ops/webgpu/tiles.ts) are by reasoning.
 */
export const tuningTable: readonly { readonly adapter: RegExp; readonly choices: Readonly<Record<string, string>> }[] = [
  { adapter: /llvmpipe/, choices: {} },
];
