/**
 * Writes docs/conformance.md: the largest error found against each fixture of other systems, by the tests' own comparisons.
 *
 *     node --import tsx tools/conformance.ts [--made FOLDER] [TEST ...]      # some minutes
 *
 * FOVEA_SHARED and FOVEA_MXNET_PYTHON are as for the tests. With --made the fixtures that tools/oracles/fixtures.ts made in FOLDER are
 * compared too, and the largest error of each kind is told. With tests named these alone are run; rows of others stay as they were.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Comparison } from '../test/support/conformance.ts';

/** Those that read fixtures, which can be made anew. */
const readers = [
  'test/ops/suite.test.ts', 'test/nn/mxnet-nets.test.ts', 'test/optim/mxnet-training.test.ts', 'test/optim/schedules.test.ts',
  'test/formats/mxnet-params.test.ts', 'test/formats/mxnet-symbol.test.ts', 'test/formats/recordio.test.ts', 'test/data/records.test.ts',
  'test/formats/torch-inception.test.ts', 'test/formats/safetensors.test.ts',
];
const others = [
  'test/formats/keras-inception.test.ts', 'test/formats/onnx.test.ts', 'test/formats/mxnet-oracle.test.ts', 'test/formats/mxnet-files.test.ts',
];
const { values: options, positionals } = parseArgs({ options: { made: { type: 'string' } }, allowPositionals: true });
const chosen = (tests: readonly string[]): readonly string[] =>
  (positionals.length > 0 ? positionals.filter((test) => tests.includes(test)) : tests);

/** Headings that are no other system's. */
const own = ['Made anew from another seed', 'Not compared in this run'];

interface Compared {
  readonly comparisons: readonly Comparison[];
  readonly skipped: readonly string[];
}

const given = compare([...chosen(readers), ...chosen(others)], {});
const made = options.made === undefined ? undefined : compare(chosen(readers), { FOVEA_SHARED: options.made });
writeFileSync('docs/conformance.md', page(given, made));
console.log(`docs/conformance.md: ${given.comparisons.length} comparisons, ${given.skipped.length} skipped; of fixtures made anew `
  + `${made?.comparisons.length ?? 0}, ${made?.skipped.length ?? 0} skipped`);

/** Runs tests. @throws Error where one fails: a table is made of tests that pass */
function compare(tests: readonly string[], env: Record<string, string>): Compared {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-conformance-'));
  const log = join(folder, 'comparisons.jsonl');
  try {
    const skipped: string[] = [];
    for (const test of tests) {
      console.log(test);
      // Of the suite only MXNet's fixtures are wanted, so that one op stands for all.
      const done = spawnSync(process.execPath, ['--import', 'tsx', test], {
        encoding: 'utf8',
        env: { ...process.env, ...env, FOVEA_CONFORMANCE: log, ...(test.includes('suite') ? { FOVEA_OPS: 'relu' } : {}) } });
      if (done.status !== 0) {
        console.error(done.stdout + done.stderr);
        throw new Error(`${test} fails: a table is made of tests that pass`);
      }
      skipped.push(...done.stdout.split('\n').filter((line) => line.startsWith('# skip: ')).map((line) => line.slice('# skip: '.length)));
    }
    const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter((line) => line !== '') : [];
    return { comparisons: lines.map((line) => JSON.parse(line) as Comparison), skipped };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows of the page as it is, by heading. */
function earlierRows(): Map<string, string[]> {
  const parts = readFileSync('docs/conformance.md', 'utf8').split(/^## /m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.split('\n').filter((line) => /^\| (?!fixture |figures )/.test(line))]));
}

/** A figure to one digit more than it is worth. */
function short(value: number, digits: number): string {
  return value === 0 || (Number.isInteger(value) && value < 100) ? String(value) : value.toExponential(digits);
}

function page({ comparisons, skipped }: Compared, again: Compared | undefined): string {
  const sections = new Map<string, Comparison[]>();
  for (const comparison of comparisons) sections.set(comparison.source, [...(sections.get(comparison.source) ?? []), comparison]);
  const before = positionals.length > 0 ? earlierRows() : new Map<string, string[]>();
  const lines = [
    '# Conformance', '',
    "What other systems computed, and how far Fovea is from it: the largest error of each fixture's comparisons, and what is allowed. Written by",
    "`node --import tsx tools/conformance.ts` from the tests' own comparisons; what allowed errors rest on stands with the fixtures and in the tests.", '',
  ];
  for (const source of new Set([...before.keys(), ...sections.keys()].filter((heading) => !own.includes(heading)))) {
    const all = sections.get(source) ?? [];
    lines.push(`## ${source}`, '', '| fixture | error | found | allowed | on | comparisons |', '|---|---|---|---|---|---|');
    const compared = new Set(all.map((c) => c.fixture));
    lines.push(...(before.get(source) ?? []).filter((row) => !compared.has(row.split(' | ')[0].slice(2))));
    const rows = new Map<string, Comparison[]>();
    for (const c of all) {
      const key = [c.fixture, c.measure, c.runner].join('\n');
      rows.set(key, [...(rows.get(key) ?? []), c]);
    }
    for (const row of rows.values()) {
      const [{ fixture, measure, tolerance, runner }] = row;
      const worst = row.reduce((m, c) => Math.max(m, c.error), 0);
      lines.push(`| ${fixture} | ${measure} | ${short(worst, 1)} | ${short(tolerance, 0)} | ${runner} | ${row.length} |`);
    }
    lines.push('');
  }
  if (again !== undefined && again.comparisons.length > 0) lines.push(...anew(again, before.get(own[0]) ?? []));
  if (skipped.length > 0) lines.push('## Not compared in this run', '', ...skipped.map((line) => `- ${line}`), '');
  return lines.join('\n');
}

/** Fixtures of another seed: one row for each kind of figure, with the fixture that comes nearest to what is allowed. */
function anew({ comparisons, skipped }: Compared, before: readonly string[]): string[] {
  const compared = new Set(comparisons.map((c) => c.source));
  const rows = new Map<string, Comparison[]>();
  for (const c of comparisons) {
    const key = [c.source, c.measure, c.tolerance, c.runner].join('\n');
    rows.set(key, [...(rows.get(key) ?? []), c]);
  }
  return [
    `## ${own[0]}`, '',
    'What `tools/oracles/fixtures.ts` made on the day of this table, compared by the same tests:', '',
    '| figures | error | largest found | allowed | in | on | comparisons |', '|---|---|---|---|---|---|---|',
    ...before.filter((row) => !compared.has(row.split(' | ')[0].slice(2))),
    ...[...rows.values()].map((row) => {
      const worst = row.reduce((a, b) => (b.error > a.error ? b : a));
      const { source, measure, error, tolerance, fixture, runner } = worst;
      return `| ${source} | ${measure} | ${short(error, 1)} | ${short(tolerance, 0)} | ${error === 0 ? 'all' : fixture} | ${runner} | ${row.length} |`;
    }),
    ...(skipped.length > 0 ? ['', `Not made: ${skipped.map((line) => line.slice(0, line.indexOf(' # '))).join('; ')}.`] : []), '',
  ];
}
