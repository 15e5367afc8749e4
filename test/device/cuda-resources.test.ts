// time limit: 300 s
// one Node is enough
/**
 * docs/cuda-resources.json, what the compilers say of every CUDA kernel (tools/cuda-report.ts): it is of these sources and these variants, its
 * numbers follow from its modules, and the page from it, no kernel has local memory, the compilers say nothing against any, and, where NVRTC is,
 * some of them are compiled again and found to be as it says.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { occupancy, resourcesOf } from '../../tools/cuda-cubin.ts';
import { agreed, openMeter, ptxasReport } from '../../tools/cuda-measure.ts';
import { page, readPage, readReport } from '../../tools/cuda-report.ts';
import { chosenKernels, kernelNames } from '../../tools/cuda-kernels.ts';
import { networkOf, staleRows } from '../../tools/cuda-table.ts';
import { collectVariants } from '../../tools/cuda-variants.ts';
import { nvrtcAbsent } from '../support/cuda/nvrtc.ts';
import { skip } from '../support/skip.ts';

const report = readReport();
const MEND = 'npx tsx tools/cuda-report.ts';

test('every kernel is in the table, for both architectures', () => {
  const files = readdirSync(fileURLToPath(new URL('../../kernels/cuda', import.meta.url))).filter((file) => file.endsWith('.cu'));
  const expected = files.map((file) => file.slice(0, -'.cu'.length)).flatMap((kernel) =>
    (kernel.endsWith('_hopper') ? ['sm_90a'] : ['sm_80', 'sm_90a']).map((architecture) => `${kernel} ${architecture}`));
  assert.equal(report.rows.map(({ kernel, architecture }) => `${kernel} ${architecture}`).sort(), expected.sort());
});

const began = performance.now();
const variants = await collectVariants();
console.log(`\n${variants.length} variants collected in ${((performance.now() - began) / 1000).toFixed(1)} s`);
const network = networkOf(report.rows, variants);

test('the table is of these sources, and of all variants that the engine can ask for', () => {
  const stale = staleRows(report.rows, variants);
  assert.is(stale.length, 0, `docs/cuda-resources.json is to be written again: ${MEND}\n${stale.join('\n')}`);
});

test('the page is of this table', () => {
  assert.is(readPage(), page(report, variants), `docs/cuda-resources.md is to be written again: ${MEND}`);
});

test('kernels that there are not are refused by name', () => {
  assert.equal(chosenKernels(undefined), kernelNames);
  assert.equal(chosenKernels('pool, copy'), ['pool', 'copy']);
  assert.throws(() => chosenKernels('gemm,cpy'), /--kernels: no kernel is named "cpy"; there are .*copy, /);
  assert.throws(() => chosenKernels('gemm,gemm'), /--kernels: "gemm" is named twice/);
});

test('a table of other sources, of other variants or of too few kernels is seen', () => {
  const kernel = 'pool';
  const [asked, rows] = [variants, report.rows].map((list) => list.filter((one) => one.kernel === kernel)) as [typeof variants, typeof report.rows];
  assert.equal(staleRows(rows, asked), []);
  assert.equal(staleRows([{ ...rows[0], sources: '0' }, rows[1]], asked), ['pool for sm_80 has other sources']);
  assert.equal(staleRows([rows[0]], asked), ['pool for sm_90a is missing']);
  assert.equal(staleRows(rows, asked.filter(({ capability }) => capability === 80)), ['nothing asks for pool for sm_90a']);
  const count = rows[0].variants;
  assert.equal(staleRows(rows, asked.slice(1)), [`pool for sm_80 is asked for in other variants (${count - 1}, in the table ${count})`]);
  const { [Object.keys(rows[0].modules)[0]]: first, ...modules } = rows[0].modules;
  assert.equal(staleRows([{ ...rows[0], modules }, rows[1]], asked),
    [`pool for sm_80 is asked for in other variants (${count}, in the table ${count})`]);
  const own = ['pool for sm_80 has numbers that do not follow from its modules'];
  const others = [
    { leastOccupancy: rows[0].leastOccupancy / 2 }, { registers: [1, 2] as const }, { shared: 1 }, { local: 8 }, { variants: count + 1 },
    { modules: { ...rows[0].modules, other: first } },
  ];
  for (const one of others) assert.equal(staleRows([{ ...rows[0], ...one }, rows[1]], asked), own, Object.keys(one)[0]);
  const wider = asked.map((one, i) => (i === 0 ? { ...one, define: { ...one.define, WIDTH: 8 } } : one));
  assert.equal(staleRows(rows, wider), [`pool for sm_80 is asked for in other variants (${count}, in the table ${count})`]);
});

test('no kernel has local memory, in none of its variants', () => {
  for (const { kernel, architecture, local, withLocal } of report.rows) {
    assert.is(local, 0, `${kernel} for ${architecture}: ${withLocal.map(({ define }) => JSON.stringify(define)).join(', ')}`);
  }
});

test('compilers say nothing against any kernel', () => {
  for (const { kernel, architecture, said } of report.rows) assert.equal(said, [], `${kernel} for ${architecture}`);
});

test('what the networks ask for fits on a multiprocessor', () => {
  assert.ok(network.length > 100);
  for (const { kernel, define, architecture, occupancy: part } of network) {
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

test('ptxas\' own report is read, and must be what the cubin says', () => {
  const log = `ptxas info    : 28 bytes gmem
ptxas info    : Compiling entry function 'pool' for 'sm_90a'
ptxas info    : Function properties for pool
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers
ptxas info    : Compile time = 221.080 ms`;
  const read = { registers: 40, local: 8, spilled: 4, said: '' };
  assert.equal(ptxasReport(log), read);
  const advice = 'ptxas info    : (C7514) Potential Performance Loss: wgmma.mma_async instructions are serialized';
  assert.equal(ptxasReport(`${advice}\n${log}`), { ...read, said: advice });
  assert.throws(() => ptxasReport(''), /no report of one kernel/);
  const cubin = { registers: 40, shared: 0, local: 8 };
  assert.equal(agreed(cubin, read), cubin);
  for (const other of [{ ...read, registers: 41 }, { ...read, local: 0 }]) assert.throws(() => agreed(cubin, other), /ptxas reports/);
  assert.throws(() => agreed({ ...cubin, local: 0 }, { ...read, local: 0 }), /4 spilled/);
});

const reason = await nvrtcAbsent();
const fresh = 'the table says what compilers do: some that networks ask for, compiled again';
if (reason !== undefined) {
  skip(fresh, reason);
} else {
  test(fresh, async () => {
    const kinds = new Map<string, typeof network>();
    for (const one of network) kinds.set(`${one.kernel} ${one.capability}`, [...kinds.get(`${one.kernel} ${one.capability}`) ?? [], one]);
    const tried = [...kinds.values()].map((group) => group[Math.floor(group.length / 2)]);
    const meter = await openMeter();
    try {
      for (const [i, now] of (await Promise.all(tried.map((one) => meter.measure(one)))).entries()) {
        const then = tried[i];
        const what = `${now.kernel} ${JSON.stringify(now.define)} for ${now.architecture}: ${MEND} --kernels ${now.kernel} --all`;
        assert.equal([now.shared, now.local, now.said, now.occupancy > 0], [then.shared, 0, '', true], what);
        // Other versions of the compiler choose other registers.
        const { compiler } = report.rows.find((row) => row.kernel === now.kernel && row.architecture === now.architecture)!;
        if (compiler === meter.compiler) assert.equal([now.registers, now.local], [then.registers, then.local], what);
      }
    } finally {
      meter.dispose();
    }
  });
}
test.run();
