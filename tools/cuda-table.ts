/** The table of what CUDA kernels take of a GPU, docs/cuda-resources.json: what is in it, and whether it is of the kernels that there are. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { architectureFor, nvrtcOptions } from '../src/device/cuda/compile.ts';
import { kernelSource } from '../src/device/cuda/source.ts';
import { cudaSources } from '../src/generated/cuda.ts';
import { occupancy } from './cuda-cubin.ts';
import type { Resources } from './cuda-cubin.ts';
import type { Variant } from './cuda-variants.ts';

/** Of one module: registers, static shared and local bytes, and what the compiler says of it, if anything. */
export type Module = readonly [registers: number, shared: number, local: number, said?: string];

/** A variant, and what its module takes. */
export interface Measured extends Variant, Resources {
  readonly architecture: string;
  readonly occupancy: number;
  /** What the compiler says of it; mostly nothing. */
  readonly said: string;
}

/** Of one kernel for one architecture: what compilers found is in `modules`, and the other numbers follow from it and the variants. */
export interface ReportRow {
  readonly kernel: string;
  readonly architecture: string;
  readonly compiler: string;
  /** Hash of the kernel's file, all headers that it includes and the compiler's options. */
  readonly sources: string;
  /** Hash of its variants. */
  readonly asked: string;
  readonly variants: number;
  /** Least and most over the variants. */
  readonly registers: readonly [number, number];
  /** Most static and dynamic shared memory of a block, and local memory of a thread, in bytes. */
  readonly shared: number;
  readonly local: number;
  readonly leastOccupancy: number;
  /** Those that spill or index registers: macros and bytes of local memory. */
  readonly withLocal: readonly { readonly define: Variant['define']; readonly local: number }[];
  /** Those of which the compiler says something. */
  readonly said: readonly { readonly define: Variant['define']; readonly text: string }[];
  /** All, by `keyOf`. */
  readonly modules: Readonly<Record<string, Module>>;
}

export interface Report {
  readonly rows: readonly ReportRow[];
}

const hashOf = (parts: readonly string[], length = 16): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}\n`).update(part);
  return hash.digest('hex').slice(0, length);
};

/** What a kernel's modules follow from, besides macros and the compiler's version. */
export function sourcesOf(kernel: string, architecture: string): string {
  const { source, headers } = kernelSource(cudaSources, kernel, {});
  return hashOf([...nvrtcOptions(architecture), source, ...Object.entries(headers).flat()]);
}

/** Tells a kernel's modules apart by their macros. */
export const keyOf = ({ define }: Variant): string => hashOf([JSON.stringify(define)], 10);

const askedOf = (variants: readonly Variant[]): string =>
  hashOf(variants.map(({ define, block, dynamic, network }) => JSON.stringify([define, block, dynamic, network])).sort());

/** Whether a row has all of a kernel's variants and no others. */
export const isCurrent = (row: ReportRow, variants: readonly Variant[]): boolean =>
  row.asked === askedOf(variants) && variants.every((one) => row.modules[keyOf(one)] !== undefined);

interface KernelVariants {
  readonly kernel: string;
  readonly architecture: string;
  readonly variants: readonly Variant[];
}

/** As the compilers that know both name them. */
const architectureOf = (capability: number): string => architectureFor(capability, { version: '', architectures: [80, 90] });

export function byKernel(variants: readonly Variant[]): KernelVariants[] {
  const groups = new Map<string, Variant[]>();
  for (const one of variants) {
    const name = `${one.kernel} ${one.capability}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  return [...groups.values()].map((group) => ({ kernel: group[0].kernel, architecture: architectureOf(group[0].capability), variants: group }));
}

export function measuredAs(variant: Variant, architecture: string, [registers, shared, local, said = '']: Module): Measured {
  const found = { registers, shared, local };
  return { ...variant, ...found, said, architecture, occupancy: occupancy(found, variant.block, variant.dynamic, variant.capability) };
}

/** Those of a kernel's variants whose modules are in its row. */
export const measuredIn = ({ architecture, modules }: ReportRow, variants: readonly Variant[]): Measured[] => variants.flatMap((one) => {
  const known = modules[keyOf(one)] as Module | undefined;
  return known === undefined ? [] : [measuredAs(one, architecture, known)];
});

/** What of the table a network's shapes ask for. */
export const networkOf = (rows: readonly ReportRow[], variants: readonly Variant[]): Measured[] =>
  byKernel(variants.filter(({ network }) => network)).flatMap(({ kernel, architecture, variants: asked }) =>
    rows.filter((row) => row.kernel === kernel && row.architecture === architecture).flatMap((row) => measuredIn(row, asked)));

/** @param measured all variants of one kernel for one architecture */
export function rowOf(measured: readonly Measured[], compiler: string): ReportRow {
  const [{ kernel, architecture }] = measured;
  const registers = measured.map((one) => one.registers);
  return {
    kernel, architecture, compiler, sources: sourcesOf(kernel, architecture), asked: askedOf(measured), variants: measured.length,
    registers: [Math.min(...registers), Math.max(...registers)],
    shared: Math.max(...measured.map((one) => one.shared + one.dynamic)), local: Math.max(...measured.map((one) => one.local)),
    leastOccupancy: Math.min(...measured.map((one) => one.occupancy)),
    withLocal: measured.filter(({ local }) => local > 0).map(({ define, local }) => ({ define, local })),
    said: measured.filter(({ said }) => said !== '').map(({ define, said }) => ({ define, text: said })),
    modules: Object.fromEntries(measured.map((one) =>
      [keyOf(one), one.said === '' ? [one.registers, one.shared, one.local] : [one.registers, one.shared, one.local, one.said]])),
  };
}

/** A row that has these variants, with all that follows from its modules told anew. */
export const retold = (row: ReportRow, variants: readonly Variant[]): ReportRow =>
  ({ ...rowOf(measuredIn(row, variants), row.compiler), sources: row.sources });

/** What of the table is not of these kernels with these variants, or does not follow from its modules: a line for each kernel and architecture. */
export function staleRows(rows: readonly ReportRow[], variants: readonly Variant[]): string[] {
  const groups = byKernel(variants);
  const missing = groups.flatMap(({ kernel, architecture, variants: asked }) => {
    const name = `${kernel} for ${architecture}`;
    const row = rows.find((one) => one.kernel === kernel && one.architecture === architecture);
    if (row === undefined) return [`${name} is missing`];
    if (row.sources !== sourcesOf(kernel, architecture)) return [`${name} has other sources`];
    if (!isCurrent(row, asked)) return [`${name} is asked for in other variants (${asked.length}, in the table ${row.variants})`];
    return isDeepStrictEqual(row, retold(row, asked)) ? [] : [`${name} has numbers that do not follow from its modules`];
  });
  const wanted = new Set(groups.map(({ kernel, architecture }) => `${kernel} ${architecture}`));
  const unasked = rows.filter(({ kernel, architecture }) => !wanted.has(`${kernel} ${architecture}`));
  return [...missing, ...unasked.map(({ kernel, architecture }) => `nothing asks for ${kernel} for ${architecture}`)];
}
