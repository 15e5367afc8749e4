/** tools/winograd.ts: the identity, what is refused, the growth of errors, and that the files which kernels use are what it writes. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import type { Filtering } from '../../tools/winograd/derive.ts';
import { derive, filterAdjoint, prove } from '../../tools/winograd/derive.ts';
import { emit, fileOf, targets } from '../../tools/winograd/emit.ts';
import { errorsOf } from '../../tools/winograd/error.ts';
import { add, decimal, one, parseFractions, ratio, show } from '../../tools/winograd/fractions.ts';
import { linesOf, proveLine } from '../../tools/winograd/lines.ts';
import { candidates, shipped } from '../../tools/winograd/shipped.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const filtering = (tile: number, filter: number, points: string): Filtering => derive(tile, filter, parseFractions(points));
const nameOf = (f: Filtering): string => `F(${f.tile}, ${f.filter}) of ${f.points.map(show).join(', ')}`;

/** One tap, one output, long filters, points without partners. */
const odd = [
  filtering(1, 2, '0'), filtering(2, 1, '7/3'), filtering(2, 5, '0, 1, -1, 2, -2'),
  filtering(3, 4, '1, 2, 3, -1/7, 0'), filtering(4, 3, '3, -3, 1/3, -2/5, 9'),
];

for (const f of [...candidates, ...odd]) {
  test(`${nameOf(f)}: matrices and operations are exact, and so are the adjoint ones`, () => {
    assert.is(prove(f), f.tile * f.filter * (f.tile + f.filter - 1));
    prove(filterAdjoint(f));
    linesOf(f).forEach(proveLine);
  });
}

test('a wrong entry in any matrix, and a wrong operation, are found', () => {
  const [f] = shipped;
  for (const key of ['at', 'g', 'bt'] as const) {
    const wrong = f[key].map((row, i) => row.map((v, j) => (i === 1 && j === 1 ? add(v, ratio(1, 1024)) : v)));
    assert.throws(() => prove({ ...f, [key]: wrong }), /F\(2, 3\): y\[\d\] has/);
  }
  const [line] = linesOf(f);
  const steps = line.steps.map((step, i) => (i > 0 ? step : { ...step, as: { kind: 'multiply', a: step.as, by: ratio(2) } as const }));
  assert.throws(() => proveLine({ ...line, steps }), /inputLine: row 0 has 2 d0, not 1/);
});

test('points and sizes that make no filtering are refused by name', () => {
  const refused = (run: () => unknown, message: RegExp): void => {
    assert.throws(run, (error: unknown) => error instanceof OptionError && message.test(error.message));
  };
  refused(() => filtering(4, 3, '0, 1, -1'), /^points: F\(4, 3\) takes 5 finite points beside infinity, 3 given$/);
  refused(() => filtering(2, 3, '0, 1, 2/2'), /^points: 1 is given twice, as number 2 and 3$/);
  refused(() => filtering(2, 3, '0, 1, infinity'), /^points: "infinity" is no number or fraction such as -5\/8$/);
  refused(() => filtering(2, 3, '0, 1, 1/0'), /^points: "1\/0" is no number/);
  refused(() => filtering(0, 3, '0, 1'), /^tile: a positive integer is needed, not 0$/);
  refused(() => filtering(2, 1.5, '0, 1'), /^filter: a positive integer is needed, not 1.5$/);
});

test('the command says what is wrong in one line and exits with 2', () => {
  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, ['--import', 'tsx', join(root, 'tools/winograd.ts'), ...args], { encoding: 'utf8', cwd: root });
  const wrong = run('--tile', '2', '--filter', '3', '--points', '0, 1');
  assert.is(wrong.status, 2);
  assert.is(wrong.stderr, 'error: points: F(2, 3) takes 3 finite points beside infinity, 2 given\n');
  const right = run('--tile', '2', '--filter', '3', '--points', '0, 1, -1', '--print', 'wasm');
  assert.is(right.status, 0, right.stderr);
  assert.is(right.stdout, `${emit('wasm', shipped[0])}\n`);
});

for (const f of shipped) {
  for (const target of targets) {
    test(`${fileOf(target, f)} is what tools/winograd.ts writes`, () => {
      const path = join(root, fileOf(target, f));
      assert.ok(existsSync(path), 'missing: npx tsx tools/winograd.ts --write');
      assert.ok(readFileSync(path, 'utf8') === emit(target, f), 'differs: npx tsx tools/winograd.ts --write');
    });
  }
}

test('constants are written as float32 reads them', () => {
  assert.is(decimal(ratio(-40, 93)), '-0.43010753');
  assert.is(decimal(ratio(125, 512)), '0.244140625');
  assert.is(decimal(one), '1.0');
  for (let i = 1; i < 200; i++) assert.is(Math.fround(Number(decimal(ratio(i, 997)))), Math.fround(i / 997));
});

test('errors grow with the tile, stay below the bound, and are least at the points that are shipped', () => {
  const forward = candidates.map((f) => errorsOf(f, 'forward', { depth: 16, trials: 12 }));
  const gradient = candidates.map((f) => errorsOf(f, 'filterGradient', { depth: 16, trials: 12 }));
  const least = (errors: typeof forward, tile: number): number =>
    Math.min(...errors.filter((_, i) => candidates[i].tile === tile).map(({ rms }) => rms));
  assert.ok(least(forward, 2) < least(forward, 4) && least(forward, 4) < least(forward, 6), 'F(2) < F(4) < F(6)');
  for (const f of shipped) {
    const at = candidates.indexOf(f);
    assert.is(forward[at].rms, least(forward, f.tile), nameOf(f));
    assert.is(gradient[at].rms, least(gradient, f.tile), nameOf(f));
    // A quarter of what the rule of tolerance allows for sums.
    assert.ok(forward[at].largest < 0.25 && gradient[at].largest < 0.25, nameOf(f));
  }
  forward.forEach(({ largest, rms, unit, bound, directRms }, i) => {
    assert.ok(directRms > 0 && rms > 0 && largest * unit < bound, `${nameOf(candidates[i])}: ${largest * unit} against ${bound}`);
  });
});

test.run();
