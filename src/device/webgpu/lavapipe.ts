/**
 * The software driver with a GPU's features: Mesa's lavapipe (24 and later) behind Dawn's Vulkan backend, which offers `shader-f16`,
 * `subgroups` and timestamps. Kernels that need them are tried on it where there is no GPU. Node only; reach it by dynamic import.
 *
 * It lies in a folder of unpacked Debian packages (`node tools/webgpu-driver.mjs --lavapipe` fills `.cache/lavapipe`; `FOVEA_LAVAPIPE`
 * names another). It is taken only by name, `webgpu({ adapter: 'lavapipe' })`: the variable that names it hides other Vulkan drivers
 * from the process.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadFrom, TRIPLETS } from './libraries.ts';

/** In this order: the folder's libdrm is newer than the system's may be. */
const LIBRARIES = ['libdrm.so.2', 'libvulkan.so.1', 'libvulkan_lvp.so'];

/** The folder of the unpacked packages, or `undefined` where they are not, or not wholly, unpacked. */
export function findLavapipe(): string | undefined {
  const folder = process.env.FOVEA_LAVAPIPE || fileURLToPath(new URL('../../../.cache/lavapipe', import.meta.url));
  return process.platform === 'linux' && existsSync(join(folder, 'complete')) ? folder : undefined;
}

let loaded = false;

/**
 * Loads the driver and points the Vulkan loader to it. To be called before the first call into Dawn, from the main thread.
 * @returns false where there is none
 * @throws Error with the dynamic linker's words when a library is there but cannot be loaded
 */
export function loadLavapipe(): boolean {
  if (loaded) return true;
  const folder = findLavapipe();
  const triplet = TRIPLETS[process.arch];
  if (folder === undefined || triplet === undefined) return false;
  // The manifest names the driver's library without a folder, or in the system's: it is loaded by then, and answers to its name.
  const manifests = join(folder, 'usr/share/vulkan/icd.d');
  const manifest = readdirSync(manifests).find((file) => file.startsWith('lvp_icd'));
  if (manifest === undefined) return false;
  process.env.VK_DRIVER_FILES = join(manifests, manifest);
  const folders = [join(folder, 'usr/lib', triplet), join(folder, 'lib', triplet)].filter((path) => existsSync(path));
  for (const name of LIBRARIES) loadFrom(folders, name);
  loaded = true;
  return true;
}
