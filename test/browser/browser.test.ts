// time limit: 300 s
// alone
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { skip } from '../support/skip.ts';
import { launch, runInPage, whyNoChromium } from './support/page.ts';
import { bundle, coreSize, installPacked } from './support/packed.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const CORE_LIMIT = 150_000;

interface Context {
  browser: Browser;
  folder: string;
}
const test = suite<Context>('browser', {} as Context);

test('the packed package bundles by esbuild without configuration, core at most 150 kB gzip', ({ folder }) => {
  assert.ok(existsSync(bundle(folder, 'import.js')));
  const bytes = coreSize(folder);
  assert.ok(bytes <= CORE_LIMIT, `${bytes} bytes`);
});

const reason = whyNoChromium();
for (const isolated of [true, false]) {
  const where = isolated ? 'with cross-origin isolation' : 'without cross-origin isolation';
  const inPage = (name: string, body: (context: Context) => Promise<void>): void => {
    if (reason === undefined) test(`${name}, ${where}`, body);
    else skip(`${name}, ${where}`, reason);
  };

  inPage('a compute shader runs in Chromium', async ({ browser, folder }) => {
    const script = bundle(folder, 'platform.js');
    const { value } = await runInPage<{ isolated: boolean; doubled: number[] }>(browser, { script, isolated });
    assert.is(value.isolated, isolated);
    assert.equal(value.doubled, [2, 4, 6, 8]);
  });

  inPage('the package loads and changes no global', async ({ browser, folder }) => {
    const script = bundle(folder, 'import.js');
    const { value } = await runInPage<{ names: string[]; unchanged: boolean }>(browser, { script, isolated });
    assert.ok(value.names.includes('ShapeError'), value.names.join());
    assert.ok(value.unchanged);
  });
}

test.before(async (context) => {
  context.folder = await installPacked();
  if (reason === undefined) context.browser = await launch();
});
test.after(async ({ browser }) => {
  await browser?.close();
});

if (existsSync(join(root, 'src', 'index.ts'))) test.run();
else skip('the package in a browser', 'src/index.ts is not written yet');
