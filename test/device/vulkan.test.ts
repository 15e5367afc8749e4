/** Whether there is a Vulkan driver, by the manifests that Khronos' loader would read. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasManifest } from '../../src/device/webgpu/vulkan.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-vulkan-'));
test.after(() => rmSync(folder, { recursive: true }));

/** Variables that point to empty folders alone, but for those given. */
const env = (given: Readonly<Record<string, string>> = {}): Record<string, string> =>
  ({ HOME: join(folder, 'home'), XDG_CONFIG_DIRS: join(folder, 'none'), XDG_DATA_DIRS: join(folder, 'none'), ...given });

function manifest(path: string): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '{}');
  return file;
}

test('a manifest is found where the loader looks', async () => {
  const system = await hasManifest(env()); // of /etc, which is the machine's
  manifest('data/vulkan/icd.d/nvidia_icd.json');
  assert.is(await hasManifest(env({ XDG_DATA_DIRS: `${join(folder, 'none')}:${join(folder, 'data')}` })), true);
  mkdirSync(join(folder, 'empty/vulkan/icd.d'), { recursive: true });
  writeFileSync(join(folder, 'empty/vulkan/icd.d/readme.txt'), '');
  assert.is(await hasManifest(env({ XDG_DATA_DIRS: join(folder, 'empty') })), system, 'no manifest in it');
  manifest('home/.local/share/vulkan/icd.d/own.json');
  assert.is(await hasManifest(env()), true);
});

test('variables of the loader go before folders', async () => {
  const file = manifest('elsewhere/driver.json');
  const found = env({ XDG_DATA_DIRS: join(folder, 'data') });
  for (const name of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES']) {
    assert.is(await hasManifest({ ...found, [name]: join(folder, 'not-there.json') }), false, name);
    assert.is(await hasManifest({ ...found, [name]: `${join(folder, 'not-there.json')}:${file}` }), true, name);
  }
  assert.is(await hasManifest(env({ VK_ADD_DRIVER_FILES: file })), true);
});

test.run();
