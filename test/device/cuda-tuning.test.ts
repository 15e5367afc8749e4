// time limit: 300 s
/**
 * Variants of CUDA's products: all of a launch's give equal bits, in software; and the device takes the one that events say is the fastest,
 * keeps the choice, and finds it again, with a driver that is told how long each takes. What a GPU's own times make of it was not seen.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { cuda } from '../../src/device/cuda/index.ts';
import type { CudaDeviceInfo, CudaOptions } from '../../src/device/cuda/index.ts';
import type { CudaDevice } from '../../src/device/cuda/device.ts';
import { withVariant } from '../../src/device/tuner.ts';
import { fileStore } from '../../src/device/tuning-file.ts';
import type { CudaLaunch, DType, Device, Lowering, Placed, Shape } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { DeviceError } from '../../src/errors.ts';
import { cudaKernels } from '../../src/generated/sources.ts';
import { conv2dFilterGradLowering } from '../../src/ops/cuda/conv-filter-grad.ts';
import { conv2dInputGradLowering, conv2dLowering, conv2dNormalizeLowering, conv2dStatsLowering } from '../../src/ops/cuda/conv.ts';
import { matmulLowering } from '../../src/ops/cuda/matmul.ts';
import { toHalfBits } from '../../src/device/half.ts';
import { fingerprintDifferences, fingerprintOf } from '../../src/train/fingerprint.ts';
import { equalBits } from '../support/bits.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import type { CudaHostOptions } from '../support/cuda-host.ts';
import { buildFakes } from '../support/cuda/fake.ts';
import { rejects } from '../support/errors.ts';
import { suiteUnless } from '../support/webgpu.ts';

const fakes = await buildFakes();
const { driver } = fakes as Exclude<typeof fakes, { reason: string }>;
const test = suiteUnless(fakes.reason, 'cuda tuning');

const conv = { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], activation: 'relu' } as const;

/** Launches of one op on memory that holds numbers, and its result. Vectors are float32, of positive numbers. */
function launchesOf<A>(
  on: Device, lowering: Lowering<A, CudaLaunch>, attrs: A, inputs: readonly Shape[], outputs: readonly Shape[], dtype: DType = 'float32',
): { launches: CudaLaunch[]; y: Placed } {
  const place = (shape: Shape, fill: boolean): Placed => {
    const [channels, size, vector] = [shape[shape.length - 1], sizeOf(shape), shape.length === 1];
    const own = vector ? 'float32' : dtype;
    const buffer = on.allocate(bytesPerElement[own] * size, 'test');
    const numbers = Float32Array.from({ length: size }, (_, i) => Math.sin(37 * i + size) + (vector ? 1.5 : 0));
    if (fill) on.write(buffer, 0, own === 'float16' || own === 'bfloat16' ? toHalfBits(numbers, own) : numbers);
    return { shape, dtype: own, buffer, offset: 0, rows: size / channels, channels, stride: channels };
  };
  const placed = inputs.map((shape) => place(shape, true));
  const results = outputs.map((shape) => place(shape, false));
  const scratch = (lowering.scratch?.(placed, results, attrs, on.features) ?? []).map((bytes) =>
    ({ buffer: on.allocate(bytes, 'scratch'), byteOffset: 0, bytes: Math.ceil(bytes / 16) * 16 }));
  return { launches: lowering.launches({ attrs, inputs: placed, outputs: results, scratch, features: on.features }), y: results[0] };
}

async function run(on: Device, launches: readonly CudaLaunch[]): Promise<void> {
  const program = await on.build(launches.map((launch) => ({ launch, node: 'test', flop: 0 })));
  await program.run();
  program.dispose();
}

/** 256 x 192 by 192 x 128: in blocks of 128x128, 128x64, 64x64 and 32x32 these are 2, 4, 8 and 32 of them, in each of the runs. */
const product = (on: Device, rows = 256): ReturnType<typeof launchesOf> =>
  launchesOf(on, matmulLowering, { transposeA: false, transposeB: false }, [[rows, 192], [192, 128]], [[rows, 128]]);

const open = (options: CudaOptions = {}): Promise<CudaDeviceInfo> =>
  cuda({ libcuda: driver.path, compile: (kernel) => new TextEncoder().encode(`module of ${kernel}\0`), ...options });

/** Blocks along x of the products that ran on a fresh driver with these times, trials among them, and of the last. */
async function blocksOf(options: CudaOptions, times: Readonly<Record<number, number>>, again = false): Promise<{ all: number[]; last: number }> {
  driver.reset();
  for (const [blocks, ms] of Object.entries(times)) driver.time('gemm', Number(blocks), ms);
  const device = await open(options);
  try {
    for (let i = 0; i < (again ? 2 : 1); i++) await run(device, product(device).launches);
    await device.synchronize();
  } finally {
    device.dispose();
  }
  assert.ok(Object.values(driver.live()).every((n) => n === 0), JSON.stringify(driver.live()));
  const all = driver.launches().filter(({ kernel }) => kernel === 'gemm').map(({ grid }) => grid[0]);
  return { all, last: all[all.length - 1] };
}

const own = async (work: (file: string) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-cuda-tuning-'));
  try {
    await work(join(folder, 'tuning.json'));
  } finally {
    rmSync(folder, { recursive: true });
  }
};

test('the tile that events say is the fastest is taken, whichever it is; off, the one that follows from the shape', async () => {
  const sizes = [2, 4, 8, 32];
  for (const best of sizes) {
    const times = Object.fromEntries(sizes.map((blocks) => [blocks, blocks === best ? 3 : 5]));
    const { all, last } = await blocksOf({ tuning: 'measure', tuningStore: { load: async () => ({}), save: async () => undefined } }, times);
    assert.is(last, best);
    assert.equal([...new Set(all)].sort((a, b) => a - b), sizes);
  }
  const { all } = await blocksOf({ tuning: 'off' }, {});
  assert.is(all.length, 1);
  const table = await blocksOf({ tuning: 'table' }, { 2: 9 });
  assert.equal(table.all, all);
});

test('choices are kept in the file, by GPU, driver, compiler and kernels, and found again without a measurement', () => own(async (file) => {
  const options = { tuning: 'measure', tuningStore: fileStore(file) } as const;
  const cold = await blocksOf(options, { 2: 5, 4: 3, 8: 6, 32: 7 }, true);
  assert.is(cold.last, 4);
  const { adapters } = JSON.parse(readFileSync(file, 'utf8')) as { adapters: Record<string, Record<string, string>> };
  assert.equal(Object.keys(adapters), [`Fake GPU 0 | driver 13.0 | a compiler handed in | kernels ${cudaKernels}`]);
  const [[key, name]] = Object.entries(Object.values(adapters)[0]);
  assert.is(name, '128x64');
  assert.match(key, /^gemm\|MATH=0,.*LEFT_ROWS=1,RIGHT_ROWS=0.*\|8,7,\d+,\d+$/);
  assert.not(/ROWS=128|COLUMNS|STEPS/.test(key));
  // Other times now: the choice stands.
  assert.equal((await blocksOf(options, { 2: 1, 4: 9, 8: 9, 32: 9 })).all, [4]);
  // What the file has for one GPU says nothing of another's driver.
  driver.reset();
  driver.set('version', 13010);
  const other = await open(options) as unknown as CudaDevice;
  await run(other, product(other).launches);
  assert.is(other.tuner.measurements, 4);
  other.dispose();
}));

test('tuning changes no bits, so it is no part of the fingerprint: a resume takes it, tuned otherwise or not at all', () => own(async (file) => {
  driver.reset();
  const devices = await Promise.all([open({ tuning: 'off' }), open({ tuning: 'measure', tuningStore: fileStore(file) })]);
  const [off, measured] = devices.map((device) => fingerprintOf(device, 'data'));
  assert.equal(fingerprintDifferences(off, measured), []);
  for (const device of devices) device.dispose();
}));

test('where operands have no room a second time the default is taken, and that is said', async () => {
  const warnings: string[] = [];
  const { warn } = console;
  console.warn = (words: string) => void warnings.push(words);
  try {
    driver.reset();
    const device = await open({ tuning: 'measure', tuningStore: { load: async () => ({}), save: async () => undefined } });
    const { launches } = product(device);
    driver.set('total', device.counters.bytesAllocated + 1024);
    await run(device, launches);
    device.dispose();
    assert.is(driver.launches().filter(({ kernel }) => kernel === 'gemm').length, 1);
    assert.is(driver.live().memory, 0);
    assert.is(warnings.length, 1);
    assert.match(warnings[0], /fovea: tuning: gemm keeps its default .*cannot allocate 196608 bytes for tuning/);
  } finally {
    console.warn = warn;
  }
});

test('options that are none are refused', async () => {
  await rejects(() => open({ tuning: 'sometimes' as 'off' }), DeviceError, /tuning is "sometimes"; expected one of table, measure, off/);
  await rejects(() => open({ tuningSeconds: -1 }), DeviceError, /tuningSeconds is -1/);
});

const software = suiteUnless(await cudaHostAbsent(), 'variants in software');

const epilogue = { ...conv, normalize: { epsilon: 1e-3, fixGamma: false, activation: 'relu' } } as const;
const x: Shape = [1, 7, 10, 24], w: Shape = [40, 3, 3, 24], y: Shape = [1, 7, 10, 40];
/** Each direction, at tiles whole and cut; of channels that are read in vectors, and one by one. */
const cases: readonly [name: string, make: (on: Device, dtype: DType) => ReturnType<typeof launchesOf>, tiles?: number][] = [
  ['matmul', (on, dtype) => launchesOf(on, matmulLowering, { transposeA: false, transposeB: true }, [[70, 96], [72, 96]], [[70, 72]], dtype)],
  ['conv2d', (on, dtype) => launchesOf(on, conv2dLowering, conv, [x, w], [y], dtype)],
  ['conv2d, 3 channels', (on, dtype) => launchesOf(on, conv2dLowering, conv, [[1, 6, 6, 3], [24, 3, 3, 3]], [[1, 6, 6, 24]], dtype)],
  ['conv2dNormalize', (on, dtype) => launchesOf(on, conv2dNormalizeLowering, epilogue, [x, w, [40], [40], [40], [40]], [y], dtype)],
  ['conv2dInputGrad', (on, dtype) => launchesOf(on, conv2dInputGradLowering, { ...conv, inputShape: x }, [y, w], [x], dtype)],
  ['conv2dFilterGrad', (on, dtype) => launchesOf(on, conv2dFilterGradLowering, { ...conv, filterShape: w }, [x, y], [w], dtype)],
];
const arithmetics: readonly [name: string, options: CudaHostOptions, dtype: DType][] = [
  ['multiply-adds', {}, 'float32'], ['TF32', { tf32: true }, 'float32'], ['bfloat16', {}, 'bfloat16'],
];

for (const [arithmetic, options, dtype] of arithmetics) {
  software(`${arithmetic}: every tile that is offered gives the same bits`, async () => {
    const device = await openCudaHost(options);
    let offered = 0;
    for (const [name, make] of cases) {
      const { launches, y: result } = make(device, dtype);
      const tiled = launches.find((launch) => launch.variants !== undefined);
      if (tiled === undefined) continue;
      let expected: Uint8Array | undefined;
      for (const variant of tiled.variants!) {
        device.write(result.buffer, 0, new Uint8Array(result.buffer.bytes).fill(0xff));
        await run(device, launches.map((launch) => (launch === tiled ? withVariant(launch, variant) : launch)));
        const got = await device.read(result.buffer, 0, result.buffer.bytes);
        expected ??= got;
        assert.not(got.every((byte) => byte === 0xff));
        equalBits(got, expected, `${name}, ${variant.name}`);
        offered++;
      }
    }
    // Of six products four tiles each, but where one would read its operands in other widths.
    assert.ok(offered >= 22, `${offered} variants`);
    device.dispose();
  });
}

software('a convolution that leaves statistics of its tiles has no variants', async () => {
  const device = await openCudaHost();
  const { launches } = launchesOf(device, conv2dStatsLowering, conv, [x, w], [y, [40], [40]]);
  assert.ok(launches.length > 1 && launches.every((launch) => launch.variants === undefined));
  device.dispose();
});

software('tuned by the time that tiles take here, a product has the bits that it has untuned', async () => {
  const store = { load: async () => ({}), save: async () => undefined };
  const [off, measured] = await Promise.all([openCudaHost(), openCudaHost({ tuning: 'measure', tuningStore: store, tuningSeconds: 100 })]);
  const results = await Promise.all([off, measured].map(async (on) => {
    const { launches, y: result } = cases[0][1](on, 'float32');
    await run(on, launches);
    return on.read(result.buffer, 0, result.buffer.bytes);
  }));
  equalBits(results[0], results[1], 'tuned');
  const { timings } = (measured as unknown as CudaDevice).tuner;
  const [times] = timings.values();
  assert.is(timings.size, 1);
  assert.ok(Object.keys(times).length >= 2 && Object.values(times).every((ms) => ms > 0), JSON.stringify(times));
  off.dispose();
  measured.dispose();
});
// Together: what is run while a file still waits for something is counted by itself.
for (const one of [test, software]) one.run();
