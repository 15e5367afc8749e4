// time limit: 600 s
// one Node is enough
/**
 * CUDA kernels, with sets of macros that lowerings make for the ops' samples, compile by the product's own path through the real NVRTC, for
 * sm_80 and sm_90a: a few of each kernel, and with FOVEA_CUDA_ALL=1 all. Nothing is run: there need be no GPU.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { architectureFor, nvrtcOptions } from '../../src/device/cuda/compile.ts';
import { findNvrtc } from '../../src/device/cuda/find.ts';
import { nvrtcInfo, NvrtcPool } from '../../src/device/cuda/nvrtc.ts';
import { kernelSource } from '../../src/device/cuda/source.ts';
import { cudaSources } from '../../src/generated/cuda.ts';
import { collectVariants } from '../../tools/cuda-variants.ts';
import type { Variant } from '../../tools/cuda-variants.ts';
import { nvrtcAbsent } from '../support/cuda/nvrtc.ts';
import { suiteUnless } from '../support/webgpu.ts';

/** Of each kernel, for each GPU: there are some 6,500 modules in all, of a tenth of a second to two seconds each. */
const MOST_VARIANTS = process.env.FOVEA_CUDA_ALL === '1' ? Infinity : 4;

/** A few of each kernel and GPU, evenly from all. */
function some(all: readonly Variant[]): Variant[] {
  const groups = new Map<string, Variant[]>();
  for (const one of all) {
    const key = `${one.kernel} ${one.capability}`;
    groups.set(key, [...groups.get(key) ?? [], one]);
  }
  return [...groups.values()].flatMap((group) => {
    const count = Math.min(MOST_VARIANTS, group.length);
    return Array.from({ length: count }, (_, i) => group[Math.floor((i * group.length) / count)]);
  });
}

const reason = await nvrtcAbsent();
const test = suiteUnless(reason, 'CUDA kernels by NVRTC');
const wanted = reason === undefined ? await collectVariants() : [];

test('kernels that lowerings ask for compile', async () => {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12)!;
  const info = nvrtcInfo(await importKoffi(), library.path);
  const pool = new NvrtcPool(library.path);
  const began = performance.now();
  const failures: string[] = [];
  const tried = some(wanted);
  await Promise.all(tried.map(async ({ kernel, define, capability }) => {
    const { source, headers } = kernelSource(cudaSources, kernel, define);
    const job = { name: `${kernel}.cu`, source, headers, options: nvrtcOptions(architectureFor(capability, info)) };
    // An ELF file: what a driver loads.
    const cubin = await pool.compile(job).catch((error: Error) => error);
    if (cubin instanceof Error) failures.push(`${kernel} ${JSON.stringify(define)} for ${capability}: ${cubin.message.slice(0, 1000)}`);
    else if (Buffer.from(cubin.subarray(0, 4)).toString('latin1') !== '\x7fELF') failures.push(`${kernel}: no ELF file`);
  }));
  pool.dispose();
  console.log(`\n${tried.length} of ${wanted.length} modules by NVRTC ${info.version} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.is(failures.length, 0, `${failures.length}: ${failures.slice(0, 5).join('\n')}`);
});

test('what does not compile is seen', async () => {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12)!;
  const pool = new NvrtcPool(library.path, 1);
  const { source, headers } = kernelSource(cudaSources, 'copy', { WORD: 'nothing' });
  const error = await pool.compile({ name: 'copy.cu', source, headers, options: nvrtcOptions('sm_80') }).catch((e: Error) => e);
  pool.dispose();
  assert.match((error as Error).message, /NVRTC_ERROR_COMPILATION\ncopy.cu\(\d+\): error: [^]*identifier "nothing" is undefined/);
});

test('no kernel is left out', () => {
  const folder = fileURLToPath(new URL('../../kernels/cuda/', import.meta.url));
  const files = readdirSync(folder).filter((file) => file.endsWith('.cu')).map((file) => file.slice(0, -'.cu'.length));
  const asked = new Set(wanted.map(({ kernel }) => kernel));
  assert.equal(files.filter((file) => !asked.has(file)), []);
});
test.run();
