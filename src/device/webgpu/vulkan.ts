/** Whether this machine has Vulkan: its loader, and a driver manifest where the loader looks for one. Node only; reach it by dynamic import. */

/** What is missing, in words, or undefined where nothing is. Dawn complains on stderr where it finds no driver, so it is not asked then. */
export async function missingVulkan(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  if (!await hasLoader()) return 'no Vulkan loader (libvulkan.so.1)';
  return await hasManifest(process.env) ? undefined : 'a Vulkan loader, but no driver (a manifest in vulkan/icd.d, or VK_DRIVER_FILES)';
}

async function hasLoader(): Promise<boolean> {
  const { constants } = await import('node:os');
  // As in driver.ts: loading a library that is no addon fails after it was found.
  const keep = 0x1000;
  try {
    process.dlopen({ exports: {} }, 'libvulkan.so.1', constants.dlopen.RTLD_NOW | keep);
  } catch (error) {
    return (error as Error).message.includes('did not self-register');
  }
  return true;
}

/** Whether the loader would find a manifest (Khronos, LoaderDriverInterface.md, "Linux Driver Discovery"). */
export async function hasManifest(env: Readonly<Record<string, string | undefined>>): Promise<boolean> {
  const { readdir, stat } = await import('node:fs/promises');
  const named = env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES;
  const list = (text: string | undefined): string[] => (text ?? '').split(':').filter((part) => part !== '');
  const isThere = async (path: string): Promise<boolean> => {
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) return (await readdir(path).catch(() => [])).some((file) => file.endsWith('.json'));
    return found !== undefined;
  };
  const home = env.HOME ?? '';
  const folders = [
    env.XDG_CONFIG_HOME || `${home}/.config`, ...list(env.XDG_CONFIG_DIRS || '/etc/xdg'), '/etc', '/usr/local/etc',
    env.XDG_DATA_HOME || `${home}/.local/share`, ...list(env.XDG_DATA_DIRS || '/usr/local/share:/usr/share'),
  ];
  const paths = named ? list(named) : [...list(env.VK_ADD_DRIVER_FILES), ...folders.map((folder) => `${folder}/vulkan/icd.d`)];
  for (const path of paths) if (await isThere(path)) return true;
  return false;
}
