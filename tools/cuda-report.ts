/**
 * What every CUDA kernel takes of a GPU, in each set of macros that lowerings ask for, compiled by the product's own NVRTC path for sm_80 and
 * sm_90a: docs/cuda-resources.json and .md. There need be no GPU. Some 6,500 modules: half an hour to an hour the first
 * time on two cores.
 *
 *   npx tsx tools/cuda-report.ts [--kernels gemm,copy]
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importKoffi } from '../src/device/cuda/bindings.ts';
import { architectureFor, nvrtcOptions } from '../src/device/cuda/compile.ts';
import { findNvrtc } from '../src/device/cuda/find.ts';
import { nvrtcInfo, NvrtcPool } from '../src/device/cuda/nvrtc.ts';
import { kernelSource } from '../src/device/cuda/source.ts';
import { cudaSources } from '../src/generated/cuda.ts';
import { occupancy, resourcesOf } from './cuda-cubin.ts';
import type { Resources } from './cuda-cubin.ts';
import { collectVariants } from './cuda-variants.ts';
import type { Variant } from './cuda-variants.ts';

/** Of one kernel for one architecture. */
export interface ReportRow {
  readonly kernel: string;
  readonly architecture: string;
  readonly variants: number;
  /** Least and most over the variants. */
  readonly registers: readonly [number, number];
  /** Most static and dynamic shared memory of a block, and local memory of a thread, in bytes. */
  readonly shared: number;
  readonly local: number;
  readonly leastOccupancy: number;
  /** Those that spill or index registers: macros and bytes of local memory. */
  readonly withLocal: readonly { readonly define: Variant['define']; readonly local: number }[];
}

export interface Report {
  readonly compiler: string;
  readonly rows: readonly ReportRow[];
  /** Of those that a network's shapes ask for: macros, registers, static and dynamic shared bytes, local bytes, occupancy. */
  readonly network: readonly (Variant & Resources & { readonly architecture: string; readonly occupancy: number })[];
}

const cache = fileURLToPath(new URL('../.cache/cuda-resources', import.meta.url));
const folder = fileURLToPath(new URL('../docs/', import.meta.url));
export const reportFile = `${folder}cuda-resources.json`;

/** What was found before for the same texts, so that a change of one kernel does not cost all. */
async function kept(texts: readonly string[], find: () => Promise<Resources>): Promise<Resources> {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text.length}\n${text}`);
  const file = join(cache, `${hash.digest('hex').slice(0, 32)}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Resources;
  const found = await find();
  writeFileSync(file, JSON.stringify(found));
  return found;
}

/** Compiles variants and says what each takes. Rejects with NVRTC's words. */
export async function measure(variants: readonly Variant[], done: (count: number) => void = () => undefined):
Promise<{ compiler: string; measured: (Variant & Resources & { architecture: string; occupancy: number })[] }> {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12);
  if (library === undefined) throw new Error('no NVRTC: pip install --target .cache/cuda nvidia-cuda-nvrtc');
  const info = nvrtcInfo(await importKoffi(), library.path);
  mkdirSync(cache, { recursive: true });
  const pool = new NvrtcPool(library.path);
  let count = 0;
  try {
    const measured = await Promise.all(variants.map(async (variant) => {
      const { kernel, define, capability, block, dynamic } = variant;
      const architecture = architectureFor(capability, info);
      const { source, headers } = kernelSource(cudaSources, kernel, define);
      const options = nvrtcOptions(architecture);
      const resources = await kept([info.version, ...options, source, ...Object.entries(headers).flat()], async () =>
        resourcesOf((await pool.compile({ name: `${kernel}.cu`, source, headers, options })).cubin, kernel, capability));
      done(++count);
      return { ...variant, ...resources, architecture, occupancy: occupancy(resources, block, dynamic, capability) };
    }));
    return { compiler: `NVRTC ${info.version}`, measured };
  } finally {
    pool.dispose();
  }
}

function rowsOf(measured: Report['network']): ReportRow[] {
  const groups = new Map<string, Report['network'][number][]>();
  for (const one of measured) {
    const key = `${one.kernel} ${one.architecture}`;
    groups.set(key, [...groups.get(key) ?? [], one]);
  }
  return [...groups.values()].map((group) => {
    const registers = group.map((one) => one.registers);
    return {
      kernel: group[0].kernel, architecture: group[0].architecture, variants: group.length,
      registers: [Math.min(...registers), Math.max(...registers)] as const,
      shared: Math.max(...group.map((one) => one.shared + one.dynamic)), local: Math.max(...group.map((one) => one.local)),
      leastOccupancy: Math.min(...group.map((one) => one.occupancy)),
      withLocal: group.filter(({ local }) => local > 0).map(({ define, local }) => ({ define, local })),
    };
  }).sort((a, b) => (a.kernel < b.kernel ? -1 : a.kernel > b.kernel ? 1 : a.architecture < b.architecture ? -1 : 1));
}

const words = (define: Variant['define']): string => Object.entries(define).map(([name, value]) => `${name}=${value}`).join(' ');

function page({ compiler, rows, network }: Report): string {
  const line = (...cells: (string | number)[]): string => `| ${cells.join(' | ')} |\n`;
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  const spilling = rows.flatMap(({ kernel, architecture, withLocal }) =>
    withLocal.map(({ define, local }) => `- \`${kernel}\` for ${architecture}, ${local} bytes: \`${words(define)}\`\n`));
  const shown = [...network].sort((a, b) => a.kernel.localeCompare(b.kernel) || a.architecture.localeCompare(b.architecture) || b.registers - a.registers);
  return `# What CUDA kernels take of a GPU

Written by \`npx tsx tools/cuda-report.ts\` with ${compiler}, from cubins for compute capability 8.0 and 9.0; nothing was run. Local memory is what a thread
has besides registers: 0 bytes mean that nothing is spilled. Occupancy is the part of a multiprocessor's warps that can be there at once, by registers,
shared memory and threads.

| kernel | for | variants | registers | shared, most | local, most | occupancy, least |
|---|---|---|---|---|---|---|
${rows.map((r) => line(r.kernel, r.architecture, r.variants, r.registers.join(' to '), r.shared, r.local, percent(r.leastOccupancy))).join('')}
## With local memory

${spilling.join('') || 'None.\n'}
## What Inception-BN and Inception v3 ask for at batch 32

| kernel | for | registers | shared | local | occupancy | macros |
|---|---|---|---|---|---|---|
${shown.map((v) => line(v.kernel, v.architecture, v.registers, v.shared + v.dynamic, v.local, percent(v.occupancy), words(v.define))).join('')}`;
}

async function main(): Promise<void> {
  const at = process.argv.indexOf('--kernels');
  const only = at < 0 ? undefined : process.argv[at + 1]?.split(',');
  const variants = (await collectVariants()).filter(({ kernel }) => only?.includes(kernel) ?? true);
  const began = performance.now();
  const { compiler, measured } = await measure(variants, (count) => {
    if (count % 100 === 0) console.log(`${count} of ${variants.length} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  });
  const report: Report = { compiler, rows: rowsOf(measured), network: measured.filter(({ network }) => network) };
  if (only !== undefined) {
    console.log(page(report));
    return;
  }
  writeFileSync(reportFile, `{\n"compiler": ${JSON.stringify(compiler)},\n"rows": [\n${report.rows.map((r) => JSON.stringify(r)).join(',\n')}\n],\n`
    + `"network": [\n${report.network.map((r) => JSON.stringify(r)).join(',\n')}\n]\n}\n`);
  writeFileSync(`${folder}cuda-resources.md`, page(report));
}

export const readReport = (): Report => JSON.parse(readFileSync(reportFile, 'utf8')) as Report;

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
