/**
 * What every CUDA kernel takes of a GPU, in each set of macros that lowerings ask for, compiled by the product's own NVRTC path for sm_80 and
 * sm_90a: docs/cuda-resources.json and .md. There need be no GPU.
 *
 *   npx tsx tools/cuda-report.ts [--kernels gemm,copy] [--all]
 *
 * Only what the table has not yet of the same sources and compiler is compiled, or with --all everything: some 20 minutes on two cores, by as many
 * threads as there are cores, eight at most. What is done is written kernel by kernel, so that one may stop it and go on. What follows from modules that the
 * table has, as occupancies and the page do, is told anew every time.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { runTool } from './command.ts';
import { chosenKernels } from './cuda-kernels.ts';
import { openMeter } from './cuda-measure.ts';
import { byKernel, isCurrent, keyOf, measuredAs, networkOf, retold, rowOf, sourcesOf } from './cuda-table.ts';
import type { Module, Report, ReportRow } from './cuda-table.ts';
import { collectVariants } from './cuda-variants.ts';
import type { Variant } from './cuda-variants.ts';

const folder = fileURLToPath(new URL('../docs/', import.meta.url));
const reportFile = `${folder}cuda-resources.json`, pageFile = `${folder}cuda-resources.md`;

export const readReport = (): Report => JSON.parse(readFileSync(reportFile, 'utf8')) as Report;
export const readPage = (): string => readFileSync(pageFile, 'utf8');

const words = (define: Variant['define']): string => Object.entries(define).map(([name, value]) => `${name}=${value}`).join(' ');

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** docs/cuda-resources.md. */
export function page({ rows }: Report, variants: readonly Variant[]): string {
  const line = (...cells: (string | number)[]): string => `| ${cells.join(' | ')} |\n`;
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  const spilling = rows.flatMap(({ kernel, architecture, withLocal }) =>
    withLocal.map(({ define, local }) => `- \`${kernel}\` for ${architecture}, ${local} bytes: \`${words(define)}\`\n`));
  const advice = rows.flatMap(({ kernel, architecture, said }) =>
    said.map(({ define, text }) => `- \`${kernel}\` for ${architecture}, \`${words(define)}\`: ${text}\n`));
  const shown = networkOf(rows, variants).sort((a, b) => order(a.kernel, b.kernel) || order(a.architecture, b.architecture)
    || b.registers - a.registers || order(words(a.define), words(b.define)));
  const compilers = [...new Set(rows.map(({ compiler }) => compiler))].join(' and ');
  return `# What CUDA kernels take of a GPU

Written by \`npx tsx tools/cuda-report.ts\` with ${compilers}, from cubins for compute capability 8.0 and 9.0, which say what ptxas' own report
says; nothing was run. Local memory is what a thread has besides registers: 0 bytes mean that nothing is spilled. Occupancy is the part of a
multiprocessor's warps that can be there at once, by registers, shared memory and threads.

| kernel | for | variants | registers | shared, most | local, most | occupancy, least |
|---|---|---|---|---|---|---|
${rows.map((r) => line(r.kernel, r.architecture, r.variants, r.registers.join(' to '), r.shared, r.local, percent(r.leastOccupancy))).join('')}
## With local memory

${spilling.join('') || 'None.\n'}
## What the compiler says

${advice.join('') || 'Nothing.\n'}
## What Inception-BN and Inception v3 ask for at batch 32

| kernel | for | registers | shared | local | occupancy | macros |
|---|---|---|---|---|---|---|
${shown.map((v) => line(v.kernel, v.architecture, v.registers, v.shared + v.dynamic, v.local, percent(v.occupancy), words(v.define))).join('')}`;
}

function write(report: Report, variants: readonly Variant[]): void {
  writeFileSync(reportFile, `{\n"rows": [\n${report.rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n}\n`);
  writeFileSync(pageFile, page(report, variants));
}

interface Options {
  readonly kernels?: string;
  readonly all?: true;
}

async function main({ kernels: names, all }: Options): Promise<number> {
  const only = chosenKernels(names);
  const began = performance.now();
  const since = (): string => `${((performance.now() - began) / 1000).toFixed(0)} s`;
  const meter = await openMeter();
  console.log('collecting kernels');
  const variants = await collectVariants();
  const groups = byKernel(variants).sort((a, b) => order(`${a.kernel} ${a.architecture}`, `${b.kernel} ${b.architecture}`));
  // In the order of the groups; without those of which there is no more.
  const before = readReport().rows;
  const rows = groups.map(({ kernel, architecture, variants: asked }) => {
    const row = before.find((one) => one.kernel === kernel && one.architecture === architecture);
    return row !== undefined && isCurrent(row, asked) ? retold(row, asked) : row;
  });
  const report = (): Report => ({ rows: rows.filter((row): row is ReportRow => row !== undefined) });
  let compiled = 0;
  try {
    for (const [i, { kernel, architecture, variants: asked }] of groups.entries()) {
      if (!only.includes(kernel)) continue;
      const row = rows[i];
      const same = !all && row?.compiler === meter.compiler && row.sources === sourcesOf(kernel, architecture);
      if (same && isCurrent(row, asked)) continue;
      const known = new Map<string, Module>(same ? Object.entries(row.modules) : []);
      const fresh = asked.filter((one) => !known.has(keyOf(one)));
      const measured = await Promise.all(asked.map(async (one) => {
        const module = known.get(keyOf(one));
        return module === undefined ? meter.measure(one) : measuredAs(one, architecture, module);
      }));
      rows[i] = rowOf(measured, meter.compiler);
      write(report(), variants);
      compiled += fresh.length;
      console.log(`${kernel} for ${architecture}: ${fresh.length} of ${asked.length} compiled, ${since()}`);
    }
  } finally {
    meter.dispose();
  }
  write(report(), variants);
  console.log(`${compiled} modules compiled in ${since()}`);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const command = new Command('cuda-report.ts')
    .description('Tells what every CUDA kernel takes of a GPU: docs/cuda-resources.json and .md.')
    .option('--kernels <names>', 'some of the kernels, separated by commas (default: all)')
    .option('--all', 'compile what the table has already of the same sources and compiler, too');
  await runTool<Options>(command, main);
}
