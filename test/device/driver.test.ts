import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findAdapter } from '../../src/device/webgpu/adapter.ts';
import { findSoftwareDriver } from '../../src/device/webgpu/driver.ts';
import { findLavapipe } from '../../src/device/webgpu/lavapipe.ts';
import { skip } from '../support/skip.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const test = suite('software WebGPU driver');

function run(script: string, args: string[], env: Record<string, string> = {}) {
  const argv = [...(script.endsWith('.ts') ? ['--import', 'tsx'] : []), join(root, script), ...args];
  const child = spawnSync(process.execPath, argv, {
    cwd: root, encoding: 'utf8', timeout: 60_000, env: { ...process.env, ...env },
  });
  return { status: child.status, text: child.stdout + child.stderr };
}

const FETCH = 'run node tools/webgpu-driver.mjs, or install libegl1 libegl-mesa0 libgles2 libgl1-mesa-dri';

const driver = findSoftwareDriver();
if (driver === undefined) {
  skip('a compute shader runs on llvmpipe', `no software WebGPU driver: ${FETCH}`);
} else {
  // Ten processes: a driver that is loaded wrongly crashes only now and then.
  test('a compute shader runs on llvmpipe', () => {
    for (let i = 0; i < 10; i++) {
      const { status, text } = run('tools/webgpu-probe.ts', ['--software']);
      assert.is(status, 0, text);
      assert.match(text, /^adapter: .*llvmpipe/m);
    }
  });
}

const unpacked = join(root, '.cache', 'mesa');
if (!existsSync(join(unpacked, 'complete'))) {
  skip('a compute shader runs on the unpacked packages', driver === undefined ? FETCH :
    'the system has Mesa, so none were unpacked: run node tools/webgpu-driver.mjs --force');
} else {
  test('a compute shader runs on the unpacked packages', () => {
    const { status, text } = run('tools/webgpu-probe.ts', ['--software'], { FOVEA_MESA: unpacked });
    assert.is(status, 0, text);
    assert.ok(text.includes(`(${unpacked})`), text);
  });
}

test('a half-unpacked folder is no driver', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-test-'));
  const before = process.env.FOVEA_MESA;
  try {
    process.env.FOVEA_MESA = folder;
    const manifests = join(folder, 'usr/share/glvnd/egl_vendor.d');
    mkdirSync(manifests, { recursive: true });
    writeFileSync(join(manifests, '50_mesa.json'), '{"ICD": {"library_path": "libEGL_mesa.so.0"}}');
    assert.is(findSoftwareDriver(), undefined);
  } finally {
    if (before === undefined) delete process.env.FOVEA_MESA;
    else process.env.FOVEA_MESA = before;
    rmSync(folder, { recursive: true });
  }
});

if (findLavapipe() === undefined) {
  skip('lavapipe offers f16 and subgroups', 'no lavapipe driver: run node tools/webgpu-driver.mjs --lavapipe');
} else {
  test('lavapipe offers f16 and subgroups', async () => {
    const { adapter, software } = await findAdapter({ adapter: 'lavapipe' });
    assert.ok(software);
    for (const feature of ['shader-f16', 'subgroups', 'timestamp-query']) assert.ok(adapter.features.has(feature), feature);
  });
}

test('FOVEA_NO_DOWNLOAD=1 forbids fetching, and says what to do', () => {
  const empty = mkdtempSync(join(tmpdir(), 'fovea-test-'));
  try {
    const probe = "import { unpackPackages } from './tools/debian.mjs'; console.log(unpackPackages({" +
      `packages: ['libegl1'], folder: '${join(empty, 'mesa')}', purpose: 'a driver' }))`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', probe], {
      cwd: root, encoding: 'utf8', env: { ...process.env, FOVEA_NO_DOWNLOAD: '1' },
    });
    assert.match(child.stdout, /a driver is missing and FOVEA_NO_DOWNLOAD=1 forbids fetching it/);
    assert.match(child.stdout, /apt-get install libegl1/);
    assert.not(existsSync(join(empty, 'mesa')));
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test.run();
