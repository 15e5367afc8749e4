import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';

/** Runs `body` with `data` being all of src/data, bundled for browsers without configuration, where nothing of Node is. */
async function inBrowserLike(body: string): Promise<unknown> {
  const entry = JSON.stringify(new URL('../../src/data/index.ts', import.meta.url).pathname);
  const { outputFiles, warnings } = await build({
    stdin: { contents: `import * as data from ${entry}; globalThis.result = (async () => { ${body} })();`, resolveDir: '/' },
    bundle: true, write: false, platform: 'browser', format: 'iife',
    // Files for Node alone are reached by dynamic imports, which a bundle of one file takes in and never runs.
    logOverride: { 'empty-import-meta': 'silent', 'import-is-undefined': 'silent' },
  });
  assert.equal(warnings, []);
  const context = createContext({ setTimeout, URL });
  runInContext(outputFiles[0].text, context);
  return context.result as Promise<unknown>;
}

test('in memory: dataset, split, sampler and loader run without Node', async () => {
  const ids = await inBrowserLike(`
    const set = data.memoryDataset({ shape: [1, 1, 3], bytes: Uint8Array.from({ length: 30 }, (_, i) => i),
      labels: [0, 1, 0, 1, 0, 1, 0, 1, 0, 1] });
    const { train } = data.splitByPatient(set);
    const loader = new data.TrainLoader(set, new data.Sampler(set.labels, train, { batch: 4 }));
    const batch = await loader.next();
    if (batch.pixels[3] !== 3 * batch.sampleIds[1]) throw new Error('wrong pixels');
    let count = 0;
    for await (const part of data.evaluationBatches(set, [1, 2, 3], 2)) count += part.count;
    return [batch.sampleIds.length, count];
  `);
  assert.equal([...(ids as number[])], [4, 3]);
});

test('phantoms are rendered into memory', async () => {
  const [length, simulated] = await inBrowserLike(`
    const set = await data.phantomDataset({ size: 32, patients: 2 });
    return [set.length, set.simulated];
  `) as [number, boolean];
  assert.is(length, 4);
  assert.is(simulated, true);
});

test('a folder is refused in words', async () => {
  const message = await inBrowserLike(`return data.openFolder('x').catch((error) => error.code + ' ' + error.message);`);
  assert.match(message as string, /^ERR_FOVEA_DATA .*needs Node\.js.*memoryDataset/);
});

test.run();
