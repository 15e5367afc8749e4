// time limit: 600 s
// one Node is enough
/**
 * CUDA kernels, with sets of macros that lowerings make for the ops' samples, compile by the product's own path through the real NVRTC, for
 * sm_80 and sm_90a, and leave the compiler nothing to say: a few of each kernel, but all of Hopper's own. docs/cuda-resources.json is of every
 * one (cuda-resources.test.ts). Nothing is run: there need be no GPU.
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

/** Of each kernel, for each GPU; but whether products of warpgroups overlap is decided anew in each variant. */
const mostOf = (kernel: string): number => (kernel.endsWith('_hopper') ? Infinity : 4);

/** A few of each kernel and GPU, evenly from all. */
function some(all: readonly Variant[]): Variant[] {
  const groups = new Map<string, Variant[]>();
  for (const one of all) {
    const key = `${one.kernel} ${one.capability}`;
    groups.set(key, [...groups.get(key) ?? [], one]);
  }
  return [...groups.values()].flatMap((group) => {
    const count = Math.min(mostOf(group[0].kernel), group.length);
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
    const compiled = await pool.compile(job).catch((error: Error) => error);
    const what = `${kernel} ${JSON.stringify(define)} for ${capability}`;
    if (compiled instanceof Error) failures.push(`${what}: ${compiled.message.slice(0, 1000)}`);
    else if (Buffer.from(compiled.cubin.subarray(0, 4)).toString('latin1') !== '\x7fELF') failures.push(`${what}: no ELF file`);
    else if (compiled.log !== '') failures.push(`${what}: ${compiled.log.slice(0, 1000)}`);
  }));
  pool.dispose();
  console.log(`\n${tried.length} of ${wanted.length} modules by NVRTC ${info.version} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.is(failures.length, 0, `${failures.length}: ${failures.slice(0, 5).join('\n')}`);
});

test('what the compiler says of a kernel that it takes is seen', async () => {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12)!;
  const pool = new NvrtcPool(library.path, 1);
  const { kernel, define } = wanted.find((one) => one.kernel === 'conv_hopper')!;
  const { source, headers } = kernelSource(cudaSources, kernel, define);
  // Sums that change while they are computed.
  const file = 'lib/hopper_product.cuh';
  const header = headers[file].replace('waitProducts<1>();', 'results.sum[0][0][0] += 1.0f; waitProducts<1>();');
  assert.is.not(header, headers[file]);
  const job = { name: `${kernel}.cu`, source, headers: { ...headers, [file]: header }, options: nvrtcOptions('sm_90a') };
  const { log } = await pool.compile(job);
  pool.dispose();
  assert.match(log, /\(C75\d\d\) .*wgmma.mma_async instructions are serialized/);
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
