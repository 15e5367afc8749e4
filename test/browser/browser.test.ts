// time limit: 300 s
// alone
// show output
/**
 * The packed package in Chromium, bundled by esbuild without configuration or polyfills, in pages with and without cross-origin
 * isolation: its size, what importing it does, the op suite on both devices, and training held to what Node computes.
 *
 * What is left out for time: with WebGPU, which does not know whether its page is isolated, the suite runs over all samples with
 * isolation, and over those of at most 64 elements an input without; and it places values in two of the six ways. In Node the
 * suite (test/ops) leaves out nothing. Softplus (below) runs there with isolation only.
 *
 * Losses are those of inceptionBNSmall at width 0.125, batch 8, 28 x 28, 20 steps, against Node's cpu device with plain SIMD. The
 * cpu device has no freedom: the same binary gives the same bits in V8 here and there, on one thread and on several. Relaxed SIMD
 * and WebGPU round differently, and training amplifies a rounding as soon as it flips a ReLU: single late losses then differ by 2
 * to 3 %, in Node too when its inputs are changed in the last bit. So there the rule for networks applies: the losses, as a vector,
 * within 1 % in norm and .9999 in cosine; and the same network with softplus for ReLU within 1e-4 (seen: 3e-7). A learning rate
 * that is 0.1 % off must fail that, which is tried as well.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../src/testing/index.ts';
import { gradientCell } from '../ops/support/expectations.ts';
import { skip } from '../support/skip.ts';
import { assertNear, assertSame, distance, SOFTPLUS_RULE } from './support/losses.ts';
import { launch, runInPage, whyNoChromium } from './support/page.ts';
import { bundle, coreSize, installPacked } from './support/packed.ts';

const CORE_LIMIT = 150_000;
const STEPS = 20;
const LEARNING_RATE = 0.02;

interface Context {
  browser: Browser;
  folder: string;
}
interface Training {
  device: string;
  kind: string;
  /** With ReLU, and with softplus. */
  losses: number[][];
}
interface OpResult {
  name: string;
  kept: number;
  all: number;
  forward: Report;
  gradient?: Report;
}

const seconds = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;

const ACTIVATIONS = ['relu', 'softrelu'];

function trainingInput(
  device: string,
  { relaxedSimd, learningRate = LEARNING_RATE, activations = ACTIVATIONS }:
  { relaxedSimd?: boolean; learningRate?: number; activations?: readonly string[] } = {},
): { device: string; runs: readonly object[] } {
  const runs = activations.map((activation) => ({ activation, learningRate, steps: STEPS }));
  return { device, runs, ...(relaxedSimd === undefined ? {} : { relaxedSimd }) };
}

async function trainInNode(folder: string, input: object): Promise<Training> {
  const page = await import(pathToFileURL(join(folder, 'train.js')).href) as { default(x: object): Promise<Training> };
  return page.default(input);
}

let inNode: Promise<Training> | undefined;
/** Losses in Node, of the packed package too. */
function expected(folder: string): Promise<Training> {
  inNode ??= trainInNode(folder, trainingInput('cpu', { relaxedSimd: false }));
  return inNode;
}

const test = suite<Context>('browser', {} as Context);

test('the packed package bundles by esbuild without configuration, core at most 150 kB gzip', ({ folder }) => {
  assert.ok(existsSync(bundle(folder, 'import.js')));
  const bytes = coreSize(folder);
  console.log(`\ncore, minified and gzipped, without WASM and shaders: ${bytes} bytes of ${CORE_LIMIT}`);
  assert.ok(bytes > 10_000 && bytes <= CORE_LIMIT, `${bytes} bytes`);
});

test('in Node the training run learns, and a learning rate 0.1 % off is found out', async ({ folder }) => {
  const { losses } = await expected(folder);
  for (const l of losses) assert.ok(l.length === STEPS && l[STEPS - 1] < l[0] / 10, l.join(' '));
  const off = await trainInNode(folder, trainingInput('cpu', { relaxedSimd: false, learningRate: LEARNING_RATE * 1.001 }));
  const { relative } = distance(off.losses[1], losses[1]);
  assert.ok(relative > SOFTPLUS_RULE, `${relative}`);
});

const reason = whyNoChromium();
for (const isolated of [true, false]) {
  const where = isolated ? 'with cross-origin isolation' : 'without cross-origin isolation';
  const inPage = (name: string, body: (context: Context) => Promise<void>): void => {
    if (reason === undefined) test(`${name}, ${where}`, body);
    else skip(`${name}, ${where}`, reason);
  };
  const onCpu = isolated ? /^cpu \(\d+ threads?, / : /^cpu \(no workers, /;

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

  inPage('parts find the ops by themselves', async ({ browser, folder }) => {
    const script = bundle(folder, 'parts.js');
    const { value } = await runInPage<{ finite: boolean; elements: number; ops: number }>(browser, { script, isolated });
    assert.ok(value.finite && value.elements > 0 && value.ops > 0, JSON.stringify(value));
  });

  for (const device of ['cpu', 'webgpu']) {
    inPage(`the op suite on ${device}, forward and gradient`, async ({ browser, folder }) => {
      const start = performance.now();
      const elements = device === 'webgpu' && !isolated ? 64 : 1e9;
      const input = { device, elements, layouts: device === 'cpu' ? undefined : ['plain', 'odd'] };
      const script = bundle(folder, 'ops.js');
      type Found = { device: string; kind: string; results: OpResult[] };
      const { value } = await runInPage<Found>(browser, { script, isolated, input });
      assert.is(value.kind, device);
      if (device === 'cpu') assert.match(value.device, onCpu);
      const fovea = await import(pathToFileURL(join(folder, 'node_modules/fovea/dist/index.js')).href) as
        { registeredOps(): { name: string }[] };
      assert.equal(value.results.map((r) => r.name), fovea.registeredOps().map((op) => op.name));
      const failures = value.results.flatMap(({ forward, gradient }) => [...forward.failures, ...(gradient?.failures ?? [])]);
      assert.equal(failures, []);
      for (const { name, kept, forward, gradient } of value.results) {
        assert.ok(kept > 0 && forward.checks > 0, `${name}: nothing was compared`);
        const checked = gradient?.checks ?? 0;
        if (gradientCell({ name } as Parameters<typeof gradientCell>[0]) === 'checked') assert.ok(checked > 0, `${name}: no gradient`);
      }
      const count = (key: 'kept' | 'all'): number => value.results.reduce((n, r) => n + r[key], 0);
      const worst = Math.max(...value.results.map((r) => Math.max(r.forward.worst, r.gradient?.worst ?? 0)));
      console.log(`\n${value.device}, ${where}: ${value.results.length} ops, ${count('kept')} of ${count('all')} samples, ` +
        `worst ${worst.toFixed(2)} of what is allowed, ${seconds(start)}`);
    });
  }

  const trainInPage = async ({ browser, folder }: Context, input: ReturnType<typeof trainingInput>): Promise<Training> => {
    const start = performance.now();
    const { value } = await runInPage<Training>(browser, { script: bundle(folder, 'train.js'), isolated, input });
    console.log(`\n${value.device}, ${where}: ${input.runs.length * STEPS} training steps, ${seconds(start)}`);
    return value;
  };

  inPage('20 training steps on cpu, plain SIMD: the bits of Node', async (context) => {
    const value = await trainInPage(context, trainingInput('cpu', { relaxedSimd: false }));
    assert.match(value.device, onCpu);
    assert.equal(value.losses, (await expected(context.folder)).losses);
  });

  for (const device of ['cpu', 'webgpu']) {
    inPage(`20 training steps on ${device}: losses as in Node`, async (context) => {
      const activations = device === 'webgpu' && !isolated ? ['relu'] : ACTIVATIONS;
      const { kind, losses: [relu, softplus] } = await trainInPage(context, trainingInput(device, { activations }));
      const want = (await expected(context.folder)).losses;
      assert.is(kind, device);
      assertNear(relu, want[0]);
      if (activations.length > 1) assertSame(softplus, want[1]);
    });
  }
}

test.before(async (context) => {
  const start = performance.now();
  context.folder = await installPacked();
  console.log(`\nbuilt and packed, ${seconds(start)}`);
  if (reason === undefined) context.browser = await launch();
});
test.after(async ({ browser }) => {
  await browser?.close();
});

test.run();
