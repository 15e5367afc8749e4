// time limit: 300 s
// one Node is enough
/**
 * docs/cuda-resources.json, what the compilers say of every CUDA kernel (tools/cuda-report.ts): all kernels are in it, those that compute products
 * spill nothing, and, where NVRTC is, some of them are compiled again and found to be as it says.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { occupancy, resourcesOf } from '../../tools/cuda-cubin.ts';
import { measure, readReport } from '../../tools/cuda-report.ts';
import { nvrtcAbsent } from '../support/cuda/nvrtc.ts';
import { skip } from '../support/skip.ts';

const report = readReport();
/** In which a training step spends its time. */
const isHot = (kernel: string): boolean => /^(gemm|conv)/.test(kernel);

test('every kernel is in the table, for both architectures', () => {
  const files = readdirSync(fileURLToPath(new URL('../../kernels/cuda', import.meta.url))).filter((file) => file.endsWith('.cu'));
  const expected = files.map((file) => file.slice(0, -'.cu'.length)).flatMap((kernel) =>
    (kernel.endsWith('_hopper') ? ['sm_90a'] : ['sm_80', 'sm_90a']).map((architecture) => `${kernel} ${architecture}`));
  assert.equal(report.rows.map(({ kernel, architecture }) => `${kernel} ${architecture}`).sort(), expected.sort());
});

test('kernels of products spill nothing, in none of their variants', () => {
  const hot = report.rows.filter(({ kernel }) => isHot(kernel));
  assert.ok(hot.length >= 10);
  for (const { kernel, architecture, local, withLocal } of hot) {
    assert.is(local, 0, `${kernel} for ${architecture}: ${withLocal.map(({ define }) => JSON.stringify(define)).join(', ')}`);
  }
});

test('what the networks ask for fits on a multiprocessor', () => {
  assert.ok(report.network.length > 100);
  for (const { kernel, define, architecture, occupancy: part } of report.network) {
    assert.ok(part > 0, `${kernel} ${JSON.stringify(define)} for ${architecture}`);
  }
});

test('occupancy by registers, by shared memory and by threads', () => {
  const none = { registers: 32, shared: 0, local: 0 };
  assert.is(occupancy(none, 256, 0, 80), 1);
  // 168 registers of 384 threads are all that there are but for a few.
  assert.is(occupancy({ ...none, registers: 168 }, 384, 0, 90), 12 / 64);
  assert.is(occupancy({ ...none, registers: 255 }, 256, 0, 80), 8 / 64);
  // 40 KiB and the system's 1: four fit into 164, five into 228.
  assert.is(occupancy({ ...none, shared: 1024 }, 128, 39 << 10, 80), 4 * 4 / 64);
  assert.is(occupancy({ ...none, shared: 1024 }, 128, 39 << 10, 90), 5 * 4 / 64);
  assert.is(occupancy(none, 32, 0, 80), 32 / 64);
});

test('what is no cubin is refused', () => {
  assert.throws(() => resourcesOf(new Uint8Array(64), 'copy', 80), /not an ELF file/);
});

const reason = await nvrtcAbsent();
const fresh = 'the table is of these kernels: some that networks ask for, compiled again';
if (reason !== undefined) {
  skip(fresh, reason);
} else {
  test(fresh, async () => {
    const kinds = new Map<string, typeof report.network[number][]>();
    for (const one of report.network) kinds.set(`${one.kernel} ${one.capability}`, [...kinds.get(`${one.kernel} ${one.capability}`) ?? [], one]);
    const tried = [...kinds.values()].map((group) => group[Math.floor(group.length / 2)]);
    const { compiler, measured } = await measure(tried);
    for (const [i, now] of measured.entries()) {
      const then = tried[i];
      const what = `${now.kernel} ${JSON.stringify(now.define)} for ${now.architecture}: docs/cuda-resources.json is to be written again`;
      assert.equal([now.shared, now.occupancy > 0], [then.shared, true], what);
      if (isHot(now.kernel)) assert.is(now.local, 0, what);
      // Other versions of the compiler choose other registers.
      if (compiler === report.compiler) assert.equal([now.registers, now.local], [then.registers, then.local], what);
    }
  });
}
test.run();
