/** The CUDA device against a driver built from C that is told to fail: each call in turn, in every way, and what is then said and given back. */
import * as assert from 'uvu/assert';
import { signatures } from '../../src/device/cuda/bindings.ts';
import type { CudaCall } from '../../src/device/cuda/bindings.ts';
import type { CudaDeviceInfo, CudaOptions } from '../../src/device/cuda/index.ts';
import type { CudaExecutable } from '../../src/device/cuda/executable.ts';
import type { DeviceBuffer, PlacedLaunch, TensorMap } from '../../src/device/types.ts';
import { DeviceError, FoveaError, OptionError, OutOfMemoryError } from '../../src/errors.ts';
import { copying, counted, driver, floats, launching, nothing, nvrtc, on, open, reason, value } from '../support/cuda/device.ts';
import { rejects, throws } from '../support/errors.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(reason, 'failures of the CUDA driver');

/** Longer than a block of staging. */
const long = new Uint8Array((8 << 20) + 64);

test('where page-locked memory runs out, it is the host\'s that is told of', () => on(async (device) => {
  const buffer = device.allocate(64, 'x');
  const message = new RegExp('^cuda:0 \\(Fake GPU 0\\): cuMemHostAlloc failed for \\d+ bytes of page-locked memory for (writing|reading) "x": .*; '
    + "the host's memory ran out: \\d+ of its \\d+ bytes are free$");
  driver.fail('cuMemHostAlloc', 1, 2);
  throws(() => device.write(buffer, 0, counted(16)), OutOfMemoryError, message);
  driver.fail('cuMemHostAlloc', 1, 2);
  await rejects(() => device.read(buffer, 0, 64), OutOfMemoryError, message);
}));

test('reads, writes and waits that fail leave nothing held', () => on(async (device) => {
  const buffer = device.allocate(8 << 20, 'x');
  const block = long.subarray(0, 8 << 20);
  const attempts: [keyof typeof signatures, nth: number, work: () => unknown][] = [
    ['cuMemHostAlloc', 1, () => device.write(buffer, 0, block)],
    ['cuEventCreate', 1, () => device.write(buffer, 0, block)],
    ['cuEventRecord', 1, () => device.write(buffer, 0, block)],
    ['cuMemHostAlloc', 1, () => device.read(buffer, 0, 64)],
    ['cuEventCreate', 1, () => device.read(buffer, 0, 64)],
    ['cuMemcpyDtoHAsync_v2', 1, () => device.read(buffer, 0, 64)],
    ['cuEventRecord', 1, () => device.read(buffer, 0, 64)],
    ['cuEventQuery', 1, () => device.read(buffer, 0, 64)],
    ['cuCtxSetCurrent', 2, () => device.read(buffer, 0, 64)],
    ['cuCtxSetCurrent', 3, () => device.read(buffer, 0, 64)],
    ['cuEventRecord', 1, () => device.synchronize()],
    ['cuCtxSetCurrent', 2, () => device.synchronize()],
    ['cuEventQuery', 1, () => device.synchronize()],
  ];
  const before = driver.live();
  for (const [call, nth, work] of attempts) {
    driver.fail(call, nth, 1);
    await rejects(async () => void await work(), DeviceError, new RegExp(`^${call} failed`));
    assert.equal(driver.live(), before, `${call} ${nth}, ${String(work)}`);
  }
  // A read that ends when the device is gone has nothing to give back.
  driver.set('hold', 1);
  const late = device.read(buffer, 0, 64);
  device.dispose();
  await rejects(() => late, DeviceError, /was disposed/);
}));

test('out of memory says what was asked for and what is free, after a second try without what the pool keeps', () => on(async (device) => {
  const kept = device.allocate(512 << 20, 'kept');
  assert.throws(() => device.allocate(600 << 20, 'activations'), (error: Error) => error instanceof OutOfMemoryError &&
    error.message === 'cuda:0 (Fake GPU 0) cannot allocate 629145600 bytes for activations: 536870912 of 1073741824 bytes are free, '
      + '536870912 are in use here; cuMemAllocAsync failed for activations: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory');
  assert.ok(driver.calls().includes('cuMemPoolTrimTo'));
  driver.fail('cuMemAllocAsync', 1, 2);
  device.allocate(64, 'fits at the second try').dispose();
  // Freed in the stream's order, so that there is room again at once.
  kept.dispose();
  device.allocate(600 << 20, 'activations').dispose();
  assert.is(device.counters.bytesAllocated, 0);
  assert.is(device.counters.peakBytes, 600 << 20);
}));

test('after a kernel that leaves the context dead, every call says which it was', async () => {
  for (const code of [700, 719]) {
    driver.reset();
    const device = await open();
    const [a, b] = [device.allocate(64, 'a'), device.allocate(64, 'b')];
    const program = await device.build([copying(value(a, { rows: 2 }), value(b, { rows: 2 }), 'conv_7')]);
    driver.failKernel('copy', code);
    driver.set('hold', 1);
    await program.run();
    driver.set('hold', 0);
    const message = new RegExp(`cuda:0 \\(Fake GPU 0\\) was lost in conv_7 \\(kernel copy\\) from model.ts:7: cuEventQuery failed.*\\(${code}\\)`);
    await rejects(() => device.read(b, 0, 4), DeviceError, message);
    await rejects(() => device.synchronize(), DeviceError, message);
    await rejects(() => program.run(), DeviceError, message);
    await rejects(() => device.build([]), DeviceError, message);
    assert.throws(() => device.allocate(4, 'c'), message);
    assert.throws(() => device.write(a, 0, new Uint8Array(4)), message);
    device.dispose();
    assert.equal(driver.live(), nothing);
  }
});

test('what a kernel left shows in whichever call comes next, and its name is told all the same', async () => {
  for (const next of ['cuCtxSetCurrent', 'cuEventQuery', 'cuEventRecord', 'cuMemcpyDtoHAsync_v2', 'cuMemHostAlloc'] as const) {
    driver.reset();
    const device = await open();
    const a = device.allocate(64, 'a');
    const program = await device.build([copying(value(a, { rows: 2 }), value(a, { rows: 2 }), 'conv_7')]);
    driver.set('hold', 1);
    await program.run();
    driver.fail(next, 1, 700);
    const message = new RegExp(`was lost in conv_7 \\(kernel copy\\) from model.ts:7: ${next} failed.*\\(700\\)`);
    await rejects(() => device.read(a, 0, 4), DeviceError, message);
    await rejects(() => program.run(), DeviceError, message);
    device.dispose();
    assert.equal(driver.live(), nothing);
  }
  // A run is suspected from the moment that the driver has it, and not before.
  for (const [next, suspects] of [['cuEventRecord', 'lost in conv_7 '], ['cuEventCreate', 'lost: cuEventCreate']] as const) {
    driver.reset();
    const device = await open();
    const a = device.allocate(64, 'a');
    const program = await device.build([copying(value(a, { rows: 2 }), value(a, { rows: 2 }), 'conv_7')]);
    driver.fail(next, 1, 700);
    await rejects(() => program.run(), DeviceError, new RegExp(suspects));
    device.dispose();
  }
});

test('of several launches all are named, and with checkLaunches the very one', async () => {
  driver.reset();
  const launches = (a: DeviceBuffer): PlacedLaunch[] => ['first', 'second'].map((node) => copying(value(a, { rows: 1 }), value(a, { rows: 1 }), node));
  const device = await open();
  const program = await device.build(launches(device.allocate(64, 'a')));
  driver.failKernel('copy', 700);
  driver.set('hold', 1);
  await program.run();
  driver.set('hold', 0);
  await rejects(() => device.synchronize(), DeviceError, /lost in one of first .*, second .*FOVEA_CUDA_CHECK=1/);
  device.dispose();
  driver.reset();
  const checked = await open({ checkLaunches: true });
  const again = await checked.build(launches(checked.allocate(64, 'a')));
  await again.run();
  assert.is(driver.launches().length, 2);
  driver.failKernel('copy', 700);
  await rejects(() => again.run(), DeviceError, /was lost in first \(kernel copy\) from model.ts:7: cuStreamSynchronize failed/);
  checked.dispose();
  assert.equal(driver.live(), nothing);
});

test('a driver that is missing, wrong, too old or without a GPU that will do is refused with the reason', async () => {
  await rejects(() => open({ libcuda: '/nowhere/libcuda.so.1' }), DeviceError, /no CUDA driver: \/nowhere\/libcuda.so.1 could not be loaded/);
  await rejects(() => open({ libcuda: nvrtc.path }), DeviceError, /has no cuInit/);
  const refused: [Parameters<typeof driver.set>[0], number, RegExp, CudaOptions?][] = [
    ['version', 11080, /driver is too old: it has CUDA 11.8, and 12.0 is needed \(driver 525/],
    ['count', 0, /the driver lists none/],
    ['major', 7, /cuda:0 \(Fake GPU 0\) has compute capability 7.0; 8.0 \(Ampere\) or later/],
    ['pools', 0, /no memory pools/],
  ];
  for (const [key, setting, message] of refused) {
    driver.reset();
    driver.set(key, setting);
    await rejects(() => open(), DeviceError, message);
    assert.equal(driver.live(), nothing);
  }
  driver.reset();
  driver.fail('cuInit', 1, 100);
  await rejects(() => open(), DeviceError, /no CUDA device: cuInit failed: CUDA_ERROR_NO_DEVICE \(100\)/);
  await rejects(() => open({ index: 1 }), OptionError, /there is no cuda:1: the driver lists one GPU, cuda:0/);
  await rejects(() => open({ rung: 'wooden' as 'simt' }), OptionError, /rung is "wooden"/);
  driver.set('count', 2);
  const second = await open({ index: 1, tf32: true, rung: 'async', prologues: true });
  assert.is(second.name, 'cuda:1 (Fake GPU 1)');
  assert.equal(second.features?.cuda, { capability: 90, multiprocessors: 132, sharedBytes: 232448, tf32: true, rung: 'async', prologues: true });
  assert.equal([second.fingerprint.tf32, second.fingerprint.rung, second.fingerprint.driver], [true, 'async', '13.0']);
  second.dispose();
});

/** Everything that a device does, once. */
async function everything(open: () => Promise<CudaDeviceInfo>, openChecked: () => Promise<CudaDeviceInfo>): Promise<void> {
  const device = await open();
  try {
    const [a, b] = [device.allocate(64, 'a'), device.allocate(64, 'b')];
    device.write(a, 0, counted(16));
    const large = device.allocate(9 << 20, 'large');
    device.write(large, 0, long);
    device.copy(a, 0, b, 0, 16);
    const half = value(large, { dtype: 'float16', rows: 16, channels: 64 });
    const maps: TensorMap[] = [
      { value: half, lengths: [64, 16], strides: [128], box: [64, 4] },
      { value: half, lengths: [64, 4, 2, 2], strides: [128, 512, 1024], windows: { lower: [0, 0], upper: [0, 0], channels: 64, pixels: 8 } },
    ];
    const program = await device.build([
      copying(value(a, { rows: 2 }), value(b, { rows: 2 })),
      launching({ shared: 100 << 10, args: maps.map((tensorMap) => ({ tensorMap })) }, 'shared'),
    ]) as CudaExecutable;
    await program.run();
    await program.profile();
    await program.time();
    assert.equal(await floats(device, b, 4, 8), [2, 3]);
    await device.synchronize();
    device.lookAtMemory?.();
    program.dispose();
    large.dispose();
    const checked = await openChecked();
    try {
      const own = checked.allocate(64, 'own');
      await (await checked.build([copying(value(own, { rows: 1 }), value(own, { rows: 1 }))])).run();
    } finally {
      checked.dispose();
    }
  } finally {
    device.dispose();
  }
}

/** Writes wait for the oldest of as many blocks as may be under way. */
async function full(open: () => Promise<CudaDeviceInfo>): Promise<void> {
  const device = await open();
  try {
    const buffer = device.allocate(8 << 20, 'x');
    driver.set('hold', 1);
    for (let i = 0; i < 33; i++) device.write(buffer, 0, long.subarray(0, 8 << 20));
  } finally {
    device.dispose();
  }
}

/** There is no room, not even without what the pool keeps, and that is what is told. */
async function tooMuch(open: () => Promise<CudaDeviceInfo>): Promise<void> {
  const device = await open();
  try {
    device.allocate(2 ** 31, 'too much').dispose();
    assert.unreachable('2 GiB of 1 were allocated');
  } catch (error) {
    if (!(error instanceof OutOfMemoryError && error.message.includes('cannot allocate 2147483648 bytes for too much'))) throw error;
  } finally {
    device.dispose();
  }
}

/** Calls that only give back: nobody is told of their failure, and what they were to give back is lost. */
const gives: Readonly<Record<string, string>> = {
  cuDevicePrimaryCtxRelease_v2: 'contexts', cuStreamDestroy_v2: 'streams', cuEventDestroy_v2: 'events', cuMemFreeAsync: 'memory',
  cuMemFreeHost: 'pinned', cuModuleUnload: 'modules', cuGraphDestroy: 'graphs', cuGraphExecDestroy: 'execs',
};

/** What is done, and the calls that are made to fail in it: all, where none are named. */
const scenarios: readonly { work: typeof everything; failing?: readonly CudaCall[] }[] = [
  { work: everything },
  { work: full, failing: ['cuEventSynchronize'] },
  { work: tooMuch, failing: ['cuMemAllocAsync', 'cuStreamSynchronize', 'cuMemPoolTrimTo', 'cuMemGetInfo_v2', 'cuGetErrorName', 'cuGetErrorString'] },
];

for (const code of [1, 2, 700]) {
  test(`each call in turn that fails with ${code} ends in an error that names it, and leaks nothing`, async () => {
    const failed = new Set<string>();
    /** Whether a device is under way to be opened: it is no device yet that could be lost. */
    let opening = false;
    const opens = (options?: CudaOptions) => async (): Promise<CudaDeviceInfo> => {
      opening = true;
      const made = await open(options);
      opening = false;
      return made;
    };
    for (const { work, failing } of scenarios) {
      driver.reset();
      await work(opens(), opens({ checkLaunches: true }));
      assert.equal(driver.live(), nothing);
      const times = new Map<string, number>();
      for (const call of driver.calls()) times.set(call, (times.get(call) ?? 0) + 1);
      const unseen: string[] = [];
      for (const call of failing ?? times.keys()) {
        const most = times.get(call) ?? 0;
        assert.ok(most > 0, `${work.name} makes no ${call}`);
        failed.add(call);
        for (let nth = 1; nth <= most; nth++) {
          driver.reset();
          driver.fail(call, nth, code);
          const error = await work(opens(), opens({ checkLaunches: true })).then(() => undefined, (e: unknown) => e);
          const about = `${work.name}, ${call} ${nth}: ${(error as Error | undefined)?.message}`;
          const held = Object.entries(driver.live()).filter(([kind, n]) => n !== 0 && !(gives[call] === kind && n === 1));
          assert.equal(held, [], about);
          if (error === undefined) {
            unseen.push(call);
            continue;
          }
          assert.instance(error, FoveaError, about);
          assert.match((error as Error).message, `${call} failed`);
          assert.is(error instanceof OutOfMemoryError, code === 2, about);
          if (code === 700 && !opening) assert.match((error as Error).message, /^cuda:0 \(Fake GPU 0\) was lost/);
        }
      }
      // Those that tell nobody: what gives back; all of dispose(); the allocation that is tried again, and what is given back for it, but
      // that the device was lost; what is free, and a code's words, asked for a message.
      const silent = new Set([
        ...Object.keys(gives), 'cuCtxSetCurrent', 'cuStreamSynchronize', 'cuMemPoolTrimTo', 'cuMemPoolSetAttribute', 'cuGetErrorName',
        'cuGetErrorString',
        ...(code === 2 ? ['cuMemAllocAsync'] : []), ...(work === tooMuch ? ['cuMemGetInfo_v2'] : []),
      ]);
      const count = (call: string): number => unseen.filter((one) => one === call).length;
      assert.equal(unseen.filter((call) => !silent.has(call)), []);
      assert.ok(count('cuCtxSetCurrent') <= 12, String(count('cuCtxSetCurrent')));
      // In the end a device lets nobody know; and where there is no room, only that it was lost.
      const trims = work === everything ? [3, 2] : [2, code === 700 ? 1 : 2];
      if (failing === undefined || failing.includes('cuMemPoolTrimTo')) assert.equal([times.get('cuMemPoolTrimTo'), count('cuMemPoolTrimTo')], trims);
    }
    assert.equal([...failed].sort(), Object.keys(signatures).sort());
  });
}

test.run();
