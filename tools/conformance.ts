/**
 * Writes docs/conformance.md: the largest error found against each fixture of other systems, by the tests' own comparisons.
 *
 *     node --import tsx tools/conformance.ts            # some minutes; FOVEA_SHARED and FOVEA_MXNET_PYTHON as for the tests
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Comparison } from '../test/support/conformance.ts';

const tests = [
  'test/ops/suite.test.ts', 'test/nn/mxnet-nets.test.ts', 'test/optim/mxnet-training.test.ts', 'test/formats/keras-inception.test.ts',
  'test/formats/torch-inception.test.ts', 'test/formats/onnx.test.ts', 'test/formats/mxnet-oracle.test.ts',
];

const folder = mkdtempSync(join(tmpdir(), 'fovea-conformance-'));
const log = join(folder, 'comparisons.jsonl');
try {
  const skipped: string[] = [];
  for (const test of process.argv.length > 2 ? process.argv.slice(2) : tests) {
    console.log(test);
    // Of the suite only MXNet's fixtures are wanted, so that one op stands for all.
    const done = spawnSync(process.execPath, ['--import', 'tsx', test], {
      encoding: 'utf8',
      env: { ...process.env, FOVEA_CONFORMANCE: log, ...(test.includes('suite') ? { FOVEA_OPS: 'relu' } : {}) } });
    if (done.status !== 0) {
      console.error(done.stdout + done.stderr);
      throw new Error(`${test} fails: a table is made of tests that pass`);
    }
    skipped.push(...done.stdout.split('\n').filter((line) => line.startsWith('# skip: ')).map((line) => line.slice('# skip: '.length)));
  }
  const comparisons = existsSync(log)
    ? readFileSync(log, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Comparison)
    : [];
  writeFileSync('docs/conformance.md', page(comparisons, skipped));
  console.log(`docs/conformance.md: ${comparisons.length} comparisons, ${skipped.length} skipped`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function page(comparisons: readonly Comparison[], skipped: readonly string[]): string {
  const sections = new Map<string, Comparison[]>();
  for (const comparison of comparisons) sections.set(comparison.source, [...(sections.get(comparison.source) ?? []), comparison]);
  const lines = [
    '# Conformance', '',
    "What other systems computed, and how far Fovea is from it: the largest error of each fixture's comparisons, and what is allowed. Written by",
    "`node --import tsx tools/conformance.ts` from the tests' own comparisons; what allowed errors rest on stands with the fixtures and in the tests.", '',
  ];
  for (const [source, all] of sections) {
    lines.push(`## ${source}`, '', '| fixture | error | found | allowed | on | comparisons |', '|---|---|---|---|---|---|');
    const rows = new Map<string, Comparison[]>();
    for (const c of all) {
      const key = [c.fixture, c.measure, c.runner].join('\n');
      rows.set(key, [...(rows.get(key) ?? []), c]);
    }
    for (const row of rows.values()) {
      const [{ fixture, measure, tolerance, runner }] = row;
      const worst = row.reduce((m, c) => Math.max(m, c.error), 0);
      lines.push(`| ${fixture} | ${measure} | ${worst === 0 ? '0' : worst.toExponential(1)} | ${tolerance.toExponential(0)} | ${runner} | ${row.length} |`);
    }
    lines.push('');
  }
  if (skipped.length > 0) lines.push('## Not compared in this run', '', ...skipped.map((line) => `- ${line}`), '');
  return lines.join('\n');
}
