/**
 * Minimal filtering: derives the matrices of F(tile, filter) from points in exact fractions, proves that they compute a correlation,
 * measures how rounding errors grow, and writes the transforms for WASM and WGSL.
 *
 *     npx tsx tools/winograd.ts --tile 4 --filter 3 --points '0, 5/8, -5/8, 3/2, -3/2'     # matrices, proof, errors
 *     npx tsx tools/winograd.ts --tile 4 --filter 3 --points '...' --print wasm            # the functions, on the console
 *     npx tsx tools/winograd.ts --errors                                                   # a table over points and tiles
 *     npx tsx tools/winograd.ts --write                                                    # the files that kernels use
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import { FoveaError, OptionError } from '../src/errors.ts';
import type { Filtering } from './winograd/derive.ts';
import { derive, prove } from './winograd/derive.ts';
import type { Target } from './winograd/emit.ts';
import { emit, fileOf, rows, targets } from './winograd/emit.ts';
import { errorsOf, normProduct } from './winograd/error.ts';
import { parseFractions, show } from './winograd/fractions.ts';
import { linesOf, proveLine } from './winograd/lines.ts';
import { candidates, shipped } from './winograd/shipped.ts';

interface Options {
  readonly tile?: number;
  readonly filter?: number;
  readonly points?: string;
  readonly print?: Target;
  readonly errors?: boolean;
  readonly write?: boolean;
}

function count(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('A positive integer is needed.');
  return Number(text);
}

/** Errors of both directions in two dimensions, in units of the rule of tolerance. */
function errorTable(filterings: readonly Filtering[]): string {
  const table = new Table({
    head: ['tile', 'points', 'forward', 'largest', '/ direct', 'filter grad', 'largest', '/ direct', 'bound', 'norms'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', ...Array.from({ length: 8 }, () => 'right' as const)],
  });
  for (const f of filterings) {
    const forward = errorsOf(f, 'forward'), gradient = errorsOf(f, 'filterGradient');
    const columns = (e: typeof forward): string[] => [e.rms.toFixed(3), e.largest.toFixed(3), (e.rms / e.directRms).toFixed(2)];
    table.push([
      `F(${f.tile}x${f.tile}, ${f.filter}x${f.filter})`, f.points.map(show).join(', '), ...columns(forward), ...columns(gradient),
      (forward.bound / forward.unit).toFixed(0), normProduct(f).toPrecision(3),
    ]);
  }
  return `${table.toString()}
Sums over 64 channels (forward) or 64 blocks (filter gradient), values drawn evenly from -1 to 1. Root mean square and largest errors
in units of eps sqrt(terms) rms(magnitudes), of which the rule of tolerance allows 1; rms over that of direct convolution with one
running sum; the a-priori bound of a forward error where no value exceeds 1, in the same units; and (|A^T|_1 |G|_F |B^T|_F)^2.`;
}

/** Proves the matrices, then that what is printed computes them. */
function proveAll(f: Filtering): number {
  linesOf(f).forEach(proveLine);
  return prove(f);
}

function explain(f: Filtering): string {
  const matrices = [['A^T', f.at], ['G', f.g], ['B^T', f.bt]] as const;
  const compared = proveAll(f);
  return [
    ...matrices.map(([name, m]) => `${name} =\n${rows(m).map((row) => `    ${row}\n`).join('')}`),
    `F(${f.tile}, ${f.filter}) is a correlation: all ${compared} products of unit vectors agree exactly, as do the printed functions.`,
    errorTable([f]),
  ].join('\n');
}

function run({ tile, filter, points, print, errors, write }: Options): void {
  if (write) {
    const root = join(dirname(fileURLToPath(import.meta.url)), '..');
    for (const f of shipped) {
      proveAll(f);
      for (const target of targets) {
        const file = fileOf(target, f);
        mkdirSync(dirname(join(root, file)), { recursive: true });
        writeFileSync(join(root, file), emit(target, f));
        console.log(`wrote ${file}`);
      }
    }
  } else if (tile !== undefined && filter !== undefined && points !== undefined) {
    const f = derive(tile, filter, parseFractions(points));
    proveAll(f);
    console.log(print === undefined ? explain(f) : emit(print, f));
  } else if (errors) {
    console.log(errorTable(candidates));
  } else {
    throw new OptionError('--tile, --filter and --points are needed together, or --errors or --write alone');
  }
}

const program = new Command('winograd')
  .description('Matrices of minimal filtering F(tile, filter), their proof, their errors, and kernels\' source.')
  .option('--tile <m>', 'outputs of a tile', count)
  .option('--filter <r>', 'taps of a filter', count)
  .option('--points <list>', 'm + r - 2 distinct fractions, separated by commas; infinity is added')
  .addOption(new Option('--print <target>', 'print the functions').choices(targets))
  .option('--errors', 'compare points and tiles')
  .option('--write', 'write the files of the tiles that kernels use')
  .allowExcessArguments(false);
try {
  run(program.parse().opts<Options>());
} catch (error) {
  if (!(error instanceof FoveaError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
