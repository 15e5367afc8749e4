/**
 * What every CUDA kernel takes of a GPU, in each set of macros that lowerings ask for, compiled by the product's own NVRTC path for sm_80 and
 * sm_90a: docs/cuda-resources.json and .md. There need be no GPU.
 *
 *   npx tsx tools/cuda-report.ts [--kernels gemm,copy] [--all]
 *
 * Only what the table has not yet of the same sources and compiler is compiled, or with --all everything: some 20 minutes of a processor's time, by
 * as many threads as there are cores. What is done is written kernel by kernel, so that one may stop it and go on.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openMeter } from './cuda-measure.ts';
import type { Measured } from './cuda-measure.ts';
import { byKernel, isCurrent, keyOf, rowOf, sourcesOf } from './cuda-table.ts';
import type { Report, ReportRow } from './cuda-table.ts';
import { collectVariants } from './cuda-variants.ts';
import type { Variant } from './cuda-variants.ts';

const folder = fileURLToPath(new URL('../docs/', import.meta.url));
const reportFile = `${folder}cuda-resources.json`;

export const readReport = (): Report => JSON.parse(readFileSync(reportFile, 'utf8')) as Report;

const words = (define: Variant['define']): string => Object.entries(define).map(([name, value]) => `${name}=${value}`).join(' ');

function page({ rows, network }: Report): string {
  const line = (...cells: (string | number)[]): string => `| ${cells.join(' | ')} |\n`;
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  const spilling = rows.flatMap(({ kernel, architecture, withLocal }) =>
    withLocal.map(({ define, local }) => `- \`${kernel}\` for ${architecture}, ${local} bytes: \`${words(define)}\`\n`));
  const advice = rows.flatMap(({ kernel, architecture, said }) =>
    said.map(({ define, text }) => `- \`${kernel}\` for ${architecture}, \`${words(define)}\`: ${text}\n`));
  const shown = [...network].sort((a, b) =>
    a.kernel.localeCompare(b.kernel) || a.architecture.localeCompare(b.architecture) || b.registers - a.registers);
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

/** The report with one kernel's row in place of what it had. */
function withRow({ rows, network }: Report, row: ReportRow, measured: readonly Measured[]): Report {
  const other = (one: { kernel: string; architecture: string }): boolean => one.kernel !== row.kernel || one.architecture !== row.architecture;
  const inOrder = <T extends { kernel: string; architecture: string }>(list: readonly T[]): T[] => {
    const name = ({ kernel, architecture }: T): string => `${kernel} ${architecture}`;
    return [...list].sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0));
  };
  return {
    rows: inOrder([...rows.filter(other), row]), network: inOrder([...network.filter(other), ...measured.filter((one) => one.network)]),
  };
}

function write(report: Report): void {
  const lines = (list: readonly object[]): string => list.map((one) => JSON.stringify(one)).join(',\n');
  writeFileSync(reportFile, `{\n"rows": [\n${lines(report.rows)}\n],\n"network": [\n${lines(report.network)}\n]\n}\n`);
  writeFileSync(`${folder}cuda-resources.md`, page(report));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { kernels: { type: 'string' }, all: { type: 'boolean', default: false } } });
  const only = values.kernels?.split(',');
  const began = performance.now();
  const since = (): string => `${((performance.now() - began) / 1000).toFixed(0)} s`;
  const groups = byKernel(await collectVariants());
  const meter = await openMeter();
  let report = readReport();
  const wanted = new Set(groups.map(({ kernel, architecture }) => `${kernel} ${architecture}`));
  report = {
    rows: report.rows.filter((row) => wanted.has(`${row.kernel} ${row.architecture}`)),
    network: report.network.filter((one) => wanted.has(`${one.kernel} ${one.architecture}`)),
  };
  let compiled = 0;
  try {
    for (const { kernel, architecture, variants } of groups) {
      if (!(only?.includes(kernel) ?? true)) continue;
      const before = report.rows.find((row) => row.kernel === kernel && row.architecture === architecture);
      const same = !values.all && before?.compiler === meter.compiler && before.sources === sourcesOf(kernel, architecture);
      if (same && isCurrent(before, variants)) continue;
      const known = new Map(same ? Object.entries(before.modules) : []);
      const fresh = variants.filter((one) => !known.has(keyOf(one)));
      const measured = await Promise.all(variants.map((one) => meter.measure(one, known.get(keyOf(one)))));
      report = withRow(report, rowOf(measured, meter.compiler), measured);
      write(report);
      compiled += fresh.length;
      console.log(`${kernel} for ${architecture}: ${fresh.length} of ${variants.length} compiled, ${since()}`);
    }
  } finally {
    meter.dispose();
  }
  write(report);
  console.log(`${compiled} modules compiled in ${since()}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
