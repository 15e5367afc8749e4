// time limit: 180 s
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The package's parts as they lie in the sources. */
function source(specifier: string): string {
  const part = specifier.split('/')[1];
  return pathToFileURL(join(root, 'src', part ?? '', 'index.ts')).href;
}

test('the library example of README.md trains as it stands there', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const code = /## As a library[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(code !== undefined, 'README.md has no library example');
  assert.ok(code!.trim().split('\n').length <= 36, 'the example is to stay at some thirty lines');
  mkdirSync(join(root, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(root, '.cache', 'readme-'));
  try {
    const file = join(folder, 'example.mts');
    writeFileSync(file, code!.replace(/from '(fovea[^']*)'/g, (_, specifier: string) => `from '${source(specifier)}'`));
    const output = execFileSync(process.execPath, ['--import', 'tsx', file], { cwd: root, encoding: 'utf8', timeout: 150_000 });
    const losses = [...output.matchAll(/step (\d+): loss ([\d.]+)/g)].map((m) => Number(m[2]));
    assert.is(losses.length, 4, output);
    assert.ok(losses[3] < losses[0] && losses[3] < 0.1, `losses ${losses}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
