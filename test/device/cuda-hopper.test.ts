/** The layouts of Hopper's rung, as arithmetic, against models of its copy engine, matrix units and barriers. No GPU takes part. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { skip } from '../support/skip.ts';

const kernels = fileURLToPath(new URL('../../kernels/cuda/', import.meta.url));
const program = fileURLToPath(new URL('../support/cuda/hopper_layout.cpp', import.meta.url));

function hasCompiler(): boolean {
  try {
    execFileSync('g++', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** What the program finds wrong, with the header as it is or changed. */
function findings(change: (header: string) => string = (header) => header): string {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-hopper-'));
  try {
    const header = readFileSync(join(kernels, 'lib/hopper_layout.cuh'), 'utf8');
    const changed = change(header);
    writeFileSync(join(folder, 'hopper_layout.cuh'), changed);
    const source = readFileSync(program, 'utf8').replace('"lib/hopper_layout.cuh"', '"hopper_layout.cuh"');
    writeFileSync(join(folder, 'main.cpp'), source);
    execFileSync('g++', ['-std=c++20', '-O1', '-Wall', '-Werror', `-I${kernels}`, '-o', join(folder, 'main'), join(folder, 'main.cpp')]);
    return execFileSync(join(folder, 'main'), { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Faults that the program has to see, each with a word of what it then says. */
const faults: readonly [name: string, from: string, to: string, says: string][] = [
  ['another swizzle', 'offset >> 7 & 7u', 'offset >> 7 & 3u', 'swizzled128'],
  ['a wrong stride between eights of rows', 'stride = 1024 >> 4', 'stride = 512 >> 4', 'by rows'],
  ['a wrong stride between eights of terms', 'stride = 1024 >> 4', 'stride = (ByRows ? 1024 : 2048) >> 4', 'by steps'],
  ['rows by steps that follow the first 64 too near', '1 : 64 * 128 >> 4', '1 : 64', 'by steps'],
  ['terms by steps along a line', '(ByRows ? 32 : 16 * 128) >> 4', '32 >> 4', 'by steps'],
  ['64 rows that lie too near', 'rows64 = 64 * 128 >> 4', 'rows64 = 64 * 64 >> 4', 'panel'],
  ['an address in bytes', 'address >> 4 & 0x3fffu', 'address & 0x3fffu', 'panel'],
  ['rows of another warp', 'thread % 128 / 32 * 16', 'thread % 128 / 32 * 8', 'thread'],
  ['a parity that does not change', 'parity ^= 1u;', '', ''],
];

if (hasCompiler()) {
  test('swizzle, descriptors, places of results and the ring of barriers are as the models have them', () => {
    assert.is(findings(), '');
  });
  for (const [name, from, to, says] of faults) {
    test(`${name} is seen`, () => {
      const found = findings((header) => {
        assert.ok(header.includes(from), `the header has no "${from}"`);
        return header.replace(from, to);
      });
      assert.is.not(found, '');
      assert.ok(found.includes(says), found);
    });
  }
} else {
  skip('layouts of Hopper\'s rung', 'there is no g++');
}
test.run();
