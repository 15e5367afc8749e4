// time limit: 300 s
/**
 * Variants of the WebGPU kernels give equal bits, so choosing among them by time changes none; what is chosen is kept, and found again.
 * FOVEA_OPS chooses ops by name (conv2d, conv2dInputGrad, conv2dFilterGrad).
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Device, Lowering, Placed, Shape, WebgpuLaunch } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import type { Choices } from '../../src/device/webgpu/index.ts';
import { webgpu } from '../../src/device/webgpu/index.ts';
import { read, write } from '../../src/device/webgpu/launch.ts';
import { withVariant } from '../../src/device/tuner.ts';
import { fileStore } from '../../src/device/tuning-file.ts';
import { shaders } from '../../src/generated/sources.ts';
import { conv2dFilterGradLowering } from '../../src/ops/webgpu/conv-filter-grad.ts';
import { conv2dInputGradLowering, conv2dLowering } from '../../src/ops/webgpu/conv.ts';
import { equalBits } from '../support/bits.ts';
import { adapterFor, openWebgpu, suiteUnless } from '../support/webgpu.ts';

const hardware = { adapter: adapterFor('llvmpipe'), kernels: 'hardware' } as const;
const { device, reason } = await openWebgpu({ ...hardware, tuning: 'off' });
const withSubgroups = await openWebgpu({ adapter: 'lavapipe', kernels: 'hardware', tuning: 'off' });
const test = suiteUnless(reason, 'webgpu tuning');
const subgroupTest = suiteUnless(withSubgroups.reason, 'subgroups');

const chosen = process.env.FOVEA_OPS?.split(',');
const ops = { forward: 'conv2d', inputGrad: 'conv2dInputGrad', filterGrad: 'conv2dFilterGrad' } as const;
const directions = (Object.keys(ops) as (keyof typeof ops)[]).filter((direction) => chosen?.includes(ops[direction]) ?? true);

interface Case {
  readonly name: string;
  readonly on: Device;
  readonly x: Shape;
  readonly w: Shape;
  readonly stride?: number;
}

function random(n: number): Float32Array<ArrayBuffer> {
  let seed = 5;
  return Float32Array.from({ length: n }, () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1);
}

/** The launches of a direction, on memory that holds random numbers, and a function that reads the result. */
function launchesOf(direction: string, { on, x, w, stride = 1 }: Case): { launches: WebgpuLaunch[]; result: () => Promise<Uint8Array> } {
  const pad = (w[1] - 1) / 2;
  const out = Math.floor((x[1] + 2 * pad - w[1]) / stride) + 1;
  const place = (shape: Shape, data?: Float32Array): Placed => {
    const channels = shape[shape.length - 1];
    const buffer = on.allocate(4 * sizeOf(shape), 'test');
    if (data !== undefined) on.write(buffer, 0, data);
    return { shape, dtype: 'float32', buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const y: Shape = [x[0], out, out, w[0]];
  const attrs = {
    stride: [stride, stride], padding: [pad, pad, pad, pad], dilation: [1, 1], activation: 'relu', inputShape: x, filterShape: w,
  } as const;
  const [inputs, output, lowering] = {
    forward: [[x, w], y, conv2dLowering], inputGrad: [[y, w], x, conv2dInputGradLowering], filterGrad: [[x, y], w, conv2dFilterGradLowering],
  }[direction] as [Shape[], Shape, Lowering<typeof attrs, WebgpuLaunch>];
  const placed = inputs.map((shape) => place(shape, random(sizeOf(shape))));
  const result = place(output);
  const scratch = (lowering.scratch?.(placed, [result], attrs, on.features) ?? []).map((bytes) =>
    ({ buffer: on.allocate(bytes, 'scratch'), byteOffset: 0, bytes: Math.ceil(bytes / 256) * 256 }));
  const launches = lowering.launches({ attrs, inputs: placed, outputs: [result], scratch, features: on.features });
  return { launches, result: () => on.read(result.buffer, 0, result.buffer.bytes) };
}

async function run(on: Device, launches: readonly WebgpuLaunch[]): Promise<void> {
  const program = await on.build(launches.map((launch) => ({ launch, node: 'test', flop: 0 })));
  await program.run();
  program.dispose();
}

const cases: Omit<Case, 'on'>[] = [
  { name: 'vectors', x: [2, 9, 9, 36], w: [68, 3, 3, 36] },
  { name: 'elements', x: [1, 12, 12, 3], w: [66, 3, 3, 3], stride: 2 },
  { name: 'a product', x: [1, 12, 12, 132], w: [132, 1, 1, 132] },
];

for (const direction of directions) {
  for (const c of cases) {
    test(`${direction}, ${c.name}: every tile gives the same bits`, async () => {
      const { launches, result } = launchesOf(direction, { ...c, on: device });
      const tiled = launches.find((l) => l.variants !== undefined)!;
      let expected: Uint8Array | undefined;
      for (const variant of tiled.variants!) {
        await run(device, launches.map((l) => (l === tiled ? withVariant(l, variant) : l)));
        const got = await result();
        assert.ok(got.some((b) => b !== 0), `${variant.name} computes nothing`);
        expected ??= got;
        equalBits(got, expected, variant.name);
      }
      assert.ok(new Set(tiled.variants!.map((v) => v.name)).size >= 5);
    });
  }
}

/** Of no use to minimal filtering, whose products are not exchanged; more pixels than a tile of 64. */
const strided = { name: 'strided', x: [3, 9, 9, 36], w: [68, 3, 3, 36], stride: 2 };

for (const direction of directions) {
  subgroupTest(`${direction}: values exchanged within subgroups give the same bits`, async () => {
    const on = withSubgroups.device;
    assert.ok((on.features?.subgroup ?? 0) > 1, on.why);
    const { launches, result } = launchesOf(direction, { ...strided, on });
    const tiled = launches.find((l) => l.variants !== undefined)!;
    await run(on, launches);
    const expected = await result();
    assert.ok(expected.some((b) => b !== 0));
    const exchanging = tiled.variants!.filter((v) => v.replace.SHARE === on.features!.subgroup);
    assert.ok(exchanging.length >= 2);
    for (const variant of exchanging) {
      await run(on, launches.map((l) => (l === tiled ? withVariant(l, variant) : l)));
      equalBits(await result(), expected, variant.name);
    }
  });
}

subgroupTest('variants are timed by timestamps, and the choice gives the same bits', async () => {
  const kept: Choices[] = [];
  const own = await webgpu({
    adapter: adapterFor('lavapipe'), kernels: 'hardware', tuning: 'measure',
    tuningStore: { load: async () => ({}), save: async (_, choices) => void kept.push({ ...choices }) },
  });
  try {
    const results = await Promise.all([own, withSubgroups.device].map(async (on) => {
      const { launches, result } = launchesOf('forward', { ...strided, on });
      await run(on, launches);
      return { bits: await result(), names: launches.flatMap((l) => l.variants ?? []).map((v) => v.name) };
    }));
    equalBits(results[0].bits, results[1].bits, 'tuned');
    assert.is(kept.length, 1);
    assert.ok(Object.values(kept[0]).every((name) => results[0].names.includes(name)), JSON.stringify(kept));
    assert.is((own as unknown as { tuner: { measurements: number } }).tuner.measurements, results[0].names.length);
  } finally {
    own.dispose();
  }
});

/** A new device that measures, with its choices in `file`: what a convolution gives, and how often it measured. */
async function measured(file: string): Promise<{ bits: Uint8Array; measurements: number; warnings: string[] }> {
  const warnings: string[] = [];
  const { warn } = console;
  console.warn = (words: string) => void warnings.push(words);
  const own = await webgpu({ ...hardware, tuning: 'measure', tuningStore: fileStore(file) });
  try {
    const { launches, result } = launchesOf('forward', { ...cases[0], on: own });
    await run(own, launches);
    const bits = await result();
    const { measurements } = (own as unknown as { tuner: { measurements: number } }).tuner;
    return { bits, measurements, warnings };
  } finally {
    console.warn = warn;
    own.dispose();
  }
}

test('cold, warm and corrupted caches give equal bits; a warm one measures nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-tuning-'));
  try {
    const file = join(folder, 'deep', 'cache.json');
    const { launches, result } = launchesOf('forward', { ...cases[0], on: device });
    await run(device, launches);
    const untuned = await result();
    const cold = await measured(file);
    assert.ok(cold.measurements >= 5);
    const [adapter, kept] = Object.entries(JSON.parse(readFileSync(file, 'utf8')).adapters as Record<string, Choices>)[0];
    assert.ok(adapter.endsWith(` | kernels ${shaders}`), 'choices are of one version of the kernels');
    const variant = launches.find((l) => l.variants !== undefined)!.variants!.map((v) => v.name);
    assert.ok(Object.values(kept).every((name) => variant.includes(name)), JSON.stringify(kept));
    const warm = await measured(file);
    assert.is(warm.measurements, 0);
    assert.equal(warm.warnings, []);
    writeFileSync(file, '{ "format": 1, "adap');
    const corrupt = await measured(file);
    assert.match(corrupt.warnings[0], /cache\.json is not a tuning cache of format 1/);
    assert.ok(corrupt.measurements >= 5);
    assert.is(JSON.parse(readFileSync(file, 'utf8')).format, 1);
    Object.entries({ cold, warm, corrupt }).forEach(([name, { bits }]) => equalBits(bits, untuned, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a cache of another format is ignored with a warning, and one that cannot be written fails nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-tuning-'));
  const warnings: string[] = [];
  const { warn } = console;
  console.warn = (words: string) => void warnings.push(words);
  try {
    const file = join(folder, 'cache.json');
    for (const text of ['{"format":99,"adapters":{}}', '{"format":1,"adapters":{"a":3}}', '[]', '']) {
      writeFileSync(file, text);
      assert.equal(await fileStore(file).load('a'), {});
    }
    assert.is(warnings.length, 4);
    await fileStore(file).save('a', { key: 'name' });
    await fileStore(file).save('b', { key: 'other' });
    assert.equal(await fileStore(file).load('a'), { key: 'name' });
    // Its folder is a file.
    await fileStore(join(file, 'cache.json')).save('a', {});
  } finally {
    console.warn = warn;
    rmSync(folder, { recursive: true });
  }
});

test('what others have saved meanwhile stays, and a file keeps the adapters saved last', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-tuning-'));
  try {
    const file = join(folder, 'cache.json');
    const [one, other] = [fileStore(file), fileStore(file)];
    await one.save('a', { first: 'x', both: 'old' });
    await other.save('a', { second: 'y', both: 'new' });
    assert.equal(await one.load('a'), { first: 'x', both: 'new', second: 'y' });
    await Promise.all(Array.from({ length: 8 }, (_, i) => fileStore(file).save('b', { [i]: 'z' })));
    assert.equal(readdirSync(folder), ['cache.json'], 'temporary files are left');
    for (let i = 0; i < 16; i++) await one.save(`adapter ${i}`, { key: 'name' });
    assert.equal(await one.load('a'), {});
    assert.equal(await one.load('adapter 0'), { key: 'name' });
    assert.is(Object.keys(JSON.parse(readFileSync(file, 'utf8')).adapters as object).length, 16);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a variant that is faster but gives other bits is found out, named and not used', async () => {
  const warnings: string[] = [];
  const { warn } = console;
  console.warn = (words: string) => void warnings.push(words);
  const own = await webgpu({ ...hardware, tuning: 'measure', tuningStore: { load: async () => ({}), save: async () => undefined } });
  try {
    const n = 1 << 20;
    const place = (data: Float32Array<ArrayBuffer>): Placed => {
      const buffer = own.allocate(4 * n, 'test');
      own.write(buffer, 0, data);
      return { shape: [n], dtype: 'float32', buffer, offset: 0, rows: 1, channels: n, stride: n };
    };
    const x = random(n);
    const [from, to] = [place(x), place(new Float32Array(n))];
    const replace = { T: 'u32' };
    const grid = [n / 64, 1, 1] as const;
    const variants = [{ name: 'all', grid, replace }, { name: 'the first workgroup', grid: [1, 1, 1] as const, replace }];
    await run(own, [{ shader: 'copy', replace, uniforms: [n, 0, n, n, 0, n, n], bindings: [read(from), write(to)], grid, variants }]);
    assert.equal(new Float32Array((await own.read(to.buffer, 0, 4 * n)).buffer), x);
    assert.is(warnings.length, 1, warnings.join('; '));
    assert.match(warnings[0], /copy: "the first workgroup" gives other bits than "all" here and is not used/);
  } finally {
    console.warn = warn;
    own.dispose();
  }
});

test('a software adapter does not measure unless asked, and an unknown mode is refused', async () => {
  const own = await webgpu(hardware);
  const { launches } = launchesOf('forward', { ...cases[0], on: own });
  await run(own, launches);
  assert.is((own as unknown as { tuner: { measurements: number } }).tuner.measurements, 0);
  own.dispose();
  await webgpu({ ...hardware, tuning: 'guess' as 'off' }).then(() => assert.unreachable(), (error: Error) => {
    assert.match(error.message, /tuning is "guess"; expected one of table, measure, off/);
  });
});

test.after(() => device.dispose());
test.run();
subgroupTest.after(() => withSubgroups.device.dispose());
subgroupTest.run();
