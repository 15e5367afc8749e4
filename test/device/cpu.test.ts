import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Allocator } from '../../src/device/cpu/allocator.ts';
import { copyLaunch, cpu } from '../../src/device/cpu/index.ts';
import { availableThreads } from '../../src/device/cpu/module.ts';
import type { CpuLaunch, Device, DType, Placed, PlacedLaunch } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { DeviceError, OptionError, OutOfMemoryError } from '../../src/errors.ts';
import { rejects, throws } from '../support/errors.ts';

const device = await cpu({ threads: 2, relaxedSimd: false });

function place(on: Device, shape: number[], dtype: DType = 'float32', offset = 0, stride?: number): Placed {
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  const rows = sizeOf(shape) / channels;
  const buffer = on.allocate((offset + rows * (stride ?? channels)) * bytesPerElement[dtype], 'value');
  return { shape, dtype, buffer, offset, rows, channels, stride: stride ?? channels };
}

const placed = (launch: CpuLaunch): PlacedLaunch => ({ launch, node: 'test#1', site: 'test.ts:1', flop: 1 });
const floats = async (v: Placed): Promise<number[]> =>
  [...new Float32Array((await device.read(v.buffer, 0, v.buffer.bytes)).buffer)];

/** Adds 1 to every element, in place. */
function increment(v: Placed, one: Placed): CpuLaunch {
  return {
    kernel: 'ew_add', tiles: 1, label: 'increment',
    args: [
      v.rows * v.channels, v.rows * v.channels, 1, 1, 1, 0, { f32: 0 }, { f32: 0 }, { address: v }, 4, { address: v }, 4, { address: one }, 0, 0, 0,
    ],
  };
}

function ones(): Placed {
  const one = place(device, [1]);
  device.write(one.buffer, 0, Float32Array.of(1));
  return one;
}

test('a buffer is zero-filled, also where memory was used before', async () => {
  const first = device.allocate(5000, 'first');
  device.write(first, 0, new Uint8Array(5000).fill(255));
  first.dispose();
  const second = device.allocate(5000, 'second');
  assert.equal([...await device.read(second, 0, 5000)], new Array(5000).fill(0));
  second.dispose();
});

test('reads and writes at any offset, and refuses what lies outside', async () => {
  const buffer = device.allocate(1001, 'bytes');
  const data = Uint8Array.from({ length: 1001 }, (_, i) => i % 251);
  device.write(buffer, 0, data);
  assert.equal(await device.read(buffer, 333, 77), data.slice(333, 410));
  throws(() => device.write(buffer, 1000, new Uint8Array(2)), DeviceError, /bytes 1000 to 1002 of buffer "bytes", which has 1001/);
  await rejects(() => device.read(buffer, -1, 2), DeviceError, /bytes -1 to 1/);
  buffer.dispose();
  await rejects(() => device.read(buffer, 0, 1), DeviceError, /"bytes", which is disposed/);
});

test('work is done in the order in which it was submitted', async () => {
  const one = ones();
  const a = place(device, [4]);
  const b = place(device, [4]);
  const program = await device.build([placed(increment(a, one))]);
  void program.run();
  device.copy(a.buffer, 0, b.buffer, 0, 16);
  device.write(a.buffer, 0, Float32Array.of(10, 20, 30, 40));
  void program.run();
  assert.equal(await floats(a), [11, 21, 31, 41]);
  assert.equal(await floats(b), [1, 1, 1, 1]);
  await device.synchronize();
});

test('what is written while a run is pending is copied at once', async () => {
  const one = ones();
  const a = place(device, [2]);
  const program = await device.build(Array.from({ length: 2000 }, () => placed(increment(a, one))));
  void program.run();
  const data = Float32Array.of(5, 6);
  device.write(a.buffer, 0, data);
  data.fill(-1);
  assert.equal(await floats(a), [5, 6]);
});

test('memory freed while a run is pending is not handed out before its end', async () => {
  const one = ones();
  const a = place(device, [64]);
  const program = await device.build(Array.from({ length: 5000 }, () => placed(increment(a, one))));
  const run = program.run();
  a.buffer.dispose();
  const next = device.allocate(256, 'next');
  await run;
  assert.equal([...await device.read(next, 0, 256)], new Array(256).fill(0));
});

for (const [offset, stride, channels] of [[0, 8, 8], [4, 16, 8], [3, 7, 5], [64, 12, 12], [1, 300, 290]]) {
  for (const dtype of ['float32', 'uint8'] as const) {
    test(`copies ${dtype} rows at offset ${offset}, stride ${stride}, ${channels} channels`, async () => {
      const from = place(device, [6, channels], dtype, offset, stride);
      const flat = place(device, [6 * channels], dtype);
      const back = place(device, [6, channels], dtype, offset, stride);
      const size = offset + 6 * stride;
      const data = dtype === 'uint8' ? Uint8Array.from({ length: size }, (_, i) => (i * 7) % 256) : Float32Array.from({ length: size }, (_, i) => i);
      device.write(from.buffer, 0, data);
      const program = await device.build([placed(copyLaunch(from, flat)), placed(copyLaunch(flat, back))]);
      await program.run();
      const raw = await device.read(back.buffer, 0, back.buffer.bytes);
      const got = dtype === 'uint8' ? raw : new Float32Array(raw.buffer);
      for (let i = 0; i < size; i++) {
        const inside = i >= offset && (i - offset) % stride < channels;
        assert.is(got[i], inside ? data[i] : 0, `element ${i}`);
      }
    });
  }
}

test('copies between strided values of other rows', async () => {
  const from = place(device, [6, 4], 'float32', 0, 5);
  const to = place(device, [4, 6], 'float32', 2, 9);
  device.write(from.buffer, 0, Float32Array.from({ length: 30 }, (_, i) => i));
  const program = await device.build([placed(copyLaunch(from, to))]);
  await program.run();
  const got = await floats(to);
  for (let i = 0; i < 24; i++) assert.is(got[2 + Math.floor(i / 6) * 9 + (i % 6)], Math.floor(i / 4) * 5 + (i % 4));
});

test('counts runs, launches and bytes', async () => {
  const one = ones();
  const a = place(device, [4]);
  const program = await device.build([placed(increment(a, one)), placed(increment(a, one))]);
  const before = { ...device.counters };
  await program.run();
  await program.run();
  assert.is(device.counters.runs - before.runs, 2);
  assert.is(device.counters.launches - before.launches, 4);
  assert.is(device.counters.allocations, before.allocations);
  const big = device.allocate(1 << 20, 'big');
  assert.is(device.counters.bytesAllocated - before.bytesAllocated, 1 << 20);
  big.dispose();
  assert.is(device.counters.bytesAllocated, before.bytesAllocated);
  assert.ok(device.counters.peakBytes >= before.bytesAllocated + (1 << 20));
});

test('profiles launch by launch', async () => {
  const one = ones();
  const a = place(device, [100_000]);
  const program = await device.build([placed(increment(a, one)), placed(copyLaunch(a, place(device, [100_000])))]);
  const times = await program.profile();
  assert.equal(times.map((t) => [t.label, t.node]), [['increment', 'test#1'], ['copy', 'test#1']]);
  assert.ok(times.every((t) => t.ms >= 0 && t.ms < 1000));
  assert.is((await floats(a))[99_999], 1);
});

test('runs an empty program', async () => {
  const program = await device.build([]);
  await program.run();
  assert.equal(await program.profile(), []);
});

test('says which kernel or argument is wrong', async () => {
  await rejects(() => device.build([placed({ kernel: 'nothing', tiles: 1, args: [] })]), DeviceError, /no kernel "nothing" \(test#1, test.ts:1\)/);
  await rejects(() => device.build([placed({ kernel: 'copy', tiles: 1, args: [0.5] })]), DeviceError, /argument 0 of kernel "copy"/);
  const gone = place(device, [4]);
  gone.buffer.dispose();
  await rejects(() => device.build([placed(copyLaunch(gone, gone))]), DeviceError, /disposed/);
  using other = await cpu({ threads: 1, relaxedSimd: false });
  const foreign = place(other, [4]);
  await rejects(() => device.build([placed(copyLaunch(foreign, foreign))]), DeviceError, /of another device/);
});

test('a kernel that traps loses the device with its name, and nothing hangs', async () => {
  const lost = await cpu({ threads: 2, relaxedSimd: false });
  const a = place(lost, [4]);
  // an address beyond all memory
  const program = await lost.build([placed({ kernel: 'copyFlat', tiles: 1, args: [0xf0000000, { address: a }, 16, 16] })]);
  await rejects(() => program.run(), DeviceError, /was lost in kernel "copyFlat" of test#1 \(test.ts:1\)/);
  await rejects(() => program.run(), DeviceError, /was lost/);
  await rejects(() => lost.read(a.buffer, 0, 4), DeviceError, /was lost/);
  lost.dispose();
});

test('without workers the calling thread computes the same, slice by slice', async () => {
  using inline = await cpu({ workers: false, relaxedSimd: false });
  assert.match(inline.name, /no workers/);
  const a = place(inline, [1 << 20]);
  const b = place(inline, [1 << 20]);
  const data = Float32Array.from({ length: 1 << 20 }, (_, i) => i);
  inline.write(a.buffer, 0, data);
  const program = await inline.build(Array.from({ length: 200 }, (_, i) => placed(i % 2 ? copyLaunch(b, a) : copyLaunch(a, b))));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await program.run();
  clearInterval(timer);
  assert.ok(turns > 0, 'other work has its turn');
  assert.equal(new Float32Array((await inline.read(b.buffer, 0, b.buffer.bytes)).buffer), data);
  const times = await program.profile();
  assert.ok(times.every((t) => t.ms >= 0 && t.ms < 1000));
  const wrong = await inline.build([placed({ kernel: 'copyFlat', tiles: 1, args: [0xf0000000, { address: a }, 16, 16] })]);
  await rejects(() => wrong.run(), DeviceError, /was lost in kernel "copyFlat" of test#1/);
});

test('a disposed device refuses work, and a pending run is rejected', async () => {
  const other = await cpu({ threads: 1, relaxedSimd: false });
  const a = place(other, [4]);
  const program = await other.build(Array.from({ length: 20_000 }, () => placed(copyLaunch(a, place(other, [4])))));
  const run = program.run();
  other.dispose();
  await rejects(() => run, DeviceError, /disposed/);
  throws(() => other.allocate(4, 'x'), DeviceError, /used after dispose/);
});

for (const workers of [true, false]) {
  test(`all that waits behind a run is rejected when the device is disposed${workers ? '' : ', without workers too'}`, async () => {
    const other = await cpu({ threads: 1, relaxedSimd: false, workers });
    // Without workers a run goes on in slices of 20 ms, so it must be longer.
    const n = workers ? 4 : 40_000;
    const [a, b] = [place(other, [n]), place(other, [n])];
    other.write(a.buffer, 0, new Float32Array(n).fill(1));
    const program = await other.build(Array.from({ length: 20_000 }, () => placed(copyLaunch(a, b))));
    const waiting = {
      run: program.run(), read: other.read(a.buffer, 0, 16), 'second run': program.run(), profile: program.profile(), synchronize: other.synchronize(),
    };
    const runs = other.counters.runs;
    other.dispose();
    const settled = await Promise.allSettled(Object.values(waiting));
    settled.forEach((s, i) => {
      assert.is(s.status, 'rejected', Object.keys(waiting)[i]);
      const { reason } = s as PromiseRejectedResult;
      assert.instance(reason, DeviceError);
      assert.match((reason as Error).message, /disposed/);
    });
    assert.is(other.counters.runs, runs, 'no run that waited was begun');
  });
}

test('an executable that is disposed rejects, and does not throw', async () => {
  const a = place(device, [4]);
  const program = await device.build([placed(copyLaunch(a, place(device, [4])))]);
  program.dispose();
  for (const promise of [program.run(), program.profile()]) await rejects(() => promise, DeviceError, /after dispose\(\)/);
});

test('says how much memory was asked for and is in use', () => {
  throws(() => device.allocate(5 * 2 ** 30, 'slab'), OutOfMemoryError, /5120\.0 MiB asked for "slab", [\d.]+ MiB in use of 4095\.\d MiB/);
});

test('refuses thread counts that make no sense', async () => {
  await rejects(() => cpu({ threads: 0 }), OptionError, /threads is 0/);
  await rejects(() => cpu({ threads: 1.5 }), OptionError, /threads is 1\.5/);
  assert.ok((await availableThreads(undefined)) >= 1);
});

test('the allocator fits best, joins neighbours and keeps figures', () => {
  const grown: number[] = [];
  const allocator = new Allocator(0, 1024, 8192, (end) => grown.push(end));
  const [a, b, c] = [256, 512, 256].map((n) => allocator.allocate(n, 'x'));
  assert.equal([a, b, c], [0, 256, 768]);
  allocator.release(b, 512);
  assert.is(allocator.allocate(200, 'x'), 256);
  assert.is(allocator.allocate(256, 'x'), 512);
  for (const at of [0, 256, 512, 768]) allocator.release(at, 256);
  assert.is(allocator.used, 0);
  // one block again, which grows by what is missing
  assert.is(allocator.allocate(2048, 'x'), 0);
  assert.equal(grown, [2048]);
  throws(() => allocator.allocate(8192, 'y'), OutOfMemoryError, /8192 bytes asked for "y", 2048 bytes in use of 8192 bytes/);
});

/** Runs a program in a process of its own and gives what it printed. */
function script(text: string, flags: readonly string[] = []): { status: number | null; out: string; error: string } {
  const index = new URL('../../src/device/cpu/index.ts', import.meta.url).href;
  const result = spawnSync(process.execPath, [...flags, '--import', 'tsx', '--input-type=module', '-e', `
    import { cpu, copyLaunch } from ${JSON.stringify(index)};
    const place = (d, n) => ({ shape: [n], dtype: 'float32', buffer: d.allocate(n * 4, 'v'), offset: 0, rows: 1, channels: n, stride: n });
    ${text}
  `], { encoding: 'utf8', cwd: fileURLToPath(new URL('../..', import.meta.url)), timeout: 60_000 });
  return { status: result.status, out: result.stdout, error: result.stderr };
}

test('20,000 commands in Liftoff code, 2 threads that sleep and wake', () => {
  // Liftoff of Node 20 loses locals across atomic.wait: crashes and hangs come after some thousand barriers
  const { status, out, error } = script(`
    const d = await cpu({ threads: 2, relaxedSimd: false });
    const a = place(d, 40000), b = place(d, 40000);
    d.write(a.buffer, 0, Float32Array.from({ length: 40000 }, (_, i) => i));
    const one = (from, to) => ({ launch: copyLaunch(from, to), node: 'n', flop: 0 });
    const program = await d.build(Array.from({ length: 20000 }, (_, i) => (i % 2 ? one(b, a) : one(a, b))));
    await program.run();
    const got = new Float32Array((await d.read(b.buffer, 0, 160000)).buffer);
    console.log(got.every((v, i) => v === i) ? 'right' : 'wrong');
  `, ['--liftoff-only']);
  assert.is(out.trim(), 'right', error);
  assert.is(status, 0);
});

test('a process with an idle device ends, and one with a pending run does not end before it', () => {
  const idle = script('await cpu({ threads: 2 }); console.log("made");');
  assert.equal([idle.status, idle.out.trim()], [0, 'made'], idle.error);
  const pending = script(`
    const d = await cpu({ threads: 2 });
    const a = place(d, 1 << 20), b = place(d, 1 << 20);
    const program = await d.build(Array.from({ length: 300 }, () => ({ launch: copyLaunch(a, b), node: 'n', flop: 0 })));
    void program.run().then(() => console.log('done'));
  `);
  assert.equal([pending.status, pending.out.trim()], [0, 'done'], pending.error);
});

test('relaxed SIMD is switched on when asked for', () => {
  const { status, out, error } = script(`
    const d = await cpu({ threads: 1, relaxedSimd: true });
    console.log(d.name, d.fingerprint.relaxedSimd);
  `);
  assert.equal([status, out.trim()], [0, 'cpu (1 thread, relaxed SIMD) true'], error);
});

test.after(() => device.dispose());
test.run();
