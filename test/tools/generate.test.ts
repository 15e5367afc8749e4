/** tools/generate.mjs: the hashes in devices' fingerprints change with each of the sources that decide bits, and with no other. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cpuLowerings, cudaKernels, cudaLowerings, shaders, webgpuLowerings } from '../../src/generated/sources.ts';
import { sourceHashes } from '../../tools/generate.mjs';

interface Hashes {
  readonly shaders: string;
  readonly cudaKernels: string;
  readonly cpuLowerings: string;
  readonly webgpuLowerings: string;
  readonly cudaLowerings: string;
}

const all = ['cpuLowerings', 'webgpuLowerings', 'cudaLowerings'] as const;

/** Files of a small tree, and the hashes that change when the file does. */
const files: readonly (readonly [string, readonly (keyof Hashes)[]])[] = [
  ['shaders/tile.wgsl', ['shaders']],
  ['kernels/cuda/copy.cu', ['cudaKernels']],
  ['kernels/cuda/lib/fovea.cuh', ['cudaKernels']],
  ['kernels/cuda/host/fovea_host.h', []],
  ['kernels/cuda/host/threads.cuh', []],
  ['src/ops/webgpu/conv.ts', ['webgpuLowerings']],
  ['src/ops/cpu/conv.ts', ['cpuLowerings']],
  ['src/ops/cuda/conv.ts', ['cudaLowerings']],
  ['src/ops/conv2d.ts', all],
  ['src/ops/support/winograd.ts', all],
  ['src/graph/rewrite.ts', all],
  ['src/tensor/grad.ts', all],
  ['src/random/philox.ts', all],
  ['src/device/half.ts', all],
  ['src/device/cpu/copy.ts', ['cpuLowerings']],
  ...['copy', 'launch', 'shader'].map((name) => [`src/device/webgpu/${name}.ts`, ['webgpuLowerings']] as const),
  ...['copy', 'launch'].map((name) => [`src/device/cuda/${name}.ts`, ['cudaLowerings']] as const),
  ['src/device/webgpu/tuner.ts', []],
];

test('each source changes the hashes of the devices that compute by it', () => {
  const root = mkdtempSync(join(tmpdir(), 'fovea-hashes-'));
  try {
    const write = (file: string, text: string): void => {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    };
    for (const [file] of files) write(file, 'one');
    let before: Hashes = sourceHashes(root);
    for (const [file, expected] of files) {
      write(file, 'another');
      const now: Hashes = sourceHashes(root);
      const changed = (Object.keys(now) as (keyof Hashes)[]).filter((key) => now[key] !== before[key]);
      assert.equal(changed, [...expected], file);
      before = now;
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('the hashes in use are those of the sources as they are', () => {
  assert.equal({ shaders, cudaKernels, cpuLowerings, webgpuLowerings, cudaLowerings }, sourceHashes());
});

test.run();
