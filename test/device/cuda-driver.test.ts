/** The CUDA device against a driver built from C, whose memory is the host's: what it calls. What comes of calls that fail: cuda-failures.test.ts. */
import * as assert from 'uvu/assert';
import type { CudaExecutable } from '../../src/device/cuda/executable.ts';
import type { CudaArg, CudaLaunch, Placed, TensorMap } from '../../src/device/types.ts';
import { DeviceError } from '../../src/errors.ts';
import { copying, counted, driver, floats, launching, nothing, on, open, reason, value } from '../support/cuda/device.ts';
import { rejects } from '../support/errors.ts';
import { suiteUnless } from '../support/webgpu.ts';

const test = suiteUnless(reason, 'cuda driver');

test('memory is zero, and bytes come back from wherever they were written', () => on(async (device) => {
  const buffer = device.allocate(37, 'odd');
  assert.equal([...await device.read(buffer, 0, 37)], new Array(37).fill(0));
  device.write(buffer, 3, Uint8Array.of(1, 2, 3, 4, 5));
  device.write(buffer, 36, Uint8Array.of(9));
  assert.equal([...await device.read(buffer, 2, 7)], [0, 1, 2, 3, 4, 5, 0]);
  assert.equal([...await device.read(buffer, 36, 1)], [9]);
  assert.is((await device.read(buffer, 37, 0)).length, 0);
  device.write(buffer, 37, new Uint8Array(0));
  // From the middle of another array, and from shared memory.
  device.write(buffer, 0, new Uint8Array(Uint8Array.of(7, 8, 9, 10).buffer, 1, 2));
  const shared = new Uint8Array(new SharedArrayBuffer(2));
  shared.set([20, 21]);
  device.write(buffer, 10, shared);
  assert.equal([...await device.read(buffer, 0, 3)], [8, 9, 0]);
  assert.equal([...await device.read(buffer, 10, 2)], [20, 21]);
}));

test('what is written may be changed at once, however long the copy takes', () => on(async (device) => {
  // Longer than a staging block, so that it is cut; and small ones beside it, which share one.
  const large = device.allocate(20 << 20, 'large');
  const small = device.allocate(1024, 'small');
  driver.set('hold', 1);
  const data = Uint8Array.from({ length: 20 << 20 }, (_, i) => i % 251);
  device.write(large, 0, data);
  data.fill(0);
  for (let i = 0; i < 256; i++) {
    const word = Int32Array.of(i);
    device.write(small, 4 * i, word);
    word[0] = -1;
  }
  driver.set('hold', 0);
  const back = await device.read(large, 0, 20 << 20);
  assert.ok(back.every((byte, i) => byte === i % 251));
  assert.equal([...new Int32Array((await device.read(small, 0, 1024)).buffer)], Array.from({ length: 256 }, (_, i) => i));
  // 300 MiB under way wait for what is over the limit, and steady writing then allocates no more.
  driver.set('hold', 1);
  for (let i = 0; i < 15; i++) device.write(large, 0, data);
  const { pinned } = driver.live();
  for (let i = 0; i < 30; i++) device.write(large, 0, data);
  assert.is(driver.live().pinned, pinned);
  // 32 blocks of writes, and what the two lengths of reads have left.
  assert.is(pinned, 34);
}));

test('work is done in the order in which it is submitted, reads and frees too', () => on(async (device) => {
  const [a, b] = [device.allocate(64, 'a'), device.allocate(80, 'b')];
  const program = await device.build([copying(value(a, { rows: 3, channels: 3 }), value(b, { rows: 3, channels: 3 }))]);
  driver.set('hold', 1);
  device.write(a, 0, counted(16));
  const running = program.run();
  const first = device.read(b, 4, 36);
  device.write(a, 0, new Float32Array(16));
  const again = program.run();
  const second = device.read(b, 4, 36);
  device.copy(b, 0, a, 16, 4);
  const copied = device.read(a, 16, 4);
  a.dispose();
  driver.set('hold', 0);
  await Promise.all([running, again]);
  assert.equal([...new Float32Array((await first).buffer)], [2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal([...new Float32Array((await second).buffer)], new Array(9).fill(0));
  assert.equal([...await copied], [0, 0, 0, 0]);
}));

test('values go by offset and stride, and only their own bytes', () => on(async (device) => {
  const [a, b] = [device.allocate(128, 'a'), device.allocate(128, 'b')];
  device.write(a, 0, counted(32));
  const [from, to] = [value(a, { rows: 3, channels: 2, stride: 5, offset: 0 }), value(b, { rows: 2, channels: 3, stride: 7, offset: 3 })];
  const program = await device.build([copying(from, to)]);
  await program.run();
  const expected = new Array(32).fill(0);
  [2, 3, 7].forEach((v, i) => (expected[4 + i] = v));
  [8, 12, 13].forEach((v, i) => (expected[11 + i] = v));
  assert.equal(await floats(device, b), expected);
  const [{ args }] = driver.launches();
  // Spans end with their last element: rows - 1 strides and a row.
  assert.is(args.readBigUInt64LE(8), BigInt(4 * (2 * 5 + 2)));
  assert.is(args.readBigUInt64LE(24), BigInt(4 * (7 + 3)));
  assert.is(args.readBigUInt64LE(16) - args.readBigUInt64LE(0) > 0n, driver.launches()[0].args.readBigUInt64LE(16) > args.readBigUInt64LE(0));
}));

test('arguments are laid out as a C++ parameter list, in graphs and in single launches', () => on(async (device) => {
  const buffer = device.allocate(4096, 'memory');
  const half: Placed = value(buffer, { rows: 2, channels: 3, stride: 8, offset: 5, dtype: 'float16' });
  const scratch = { buffer, byteOffset: 256, bytes: 512 };
  const args: CudaArg[] = [-1, { address: half }, { f32: 1.5 }, -0x80000000, { address: scratch }, 7, 8];
  const program = await device.build([launching({ args, grid: [5, 6, 7], block: 96, shared: 60 << 10 })]);
  await program.run();
  const checked = await open({ checkLaunches: true });
  const own = checked.allocate(4096, 'memory');
  const there = (arg: CudaArg): CudaArg => (typeof arg === 'object' && 'address' in arg ? { address: { ...arg.address, buffer: own } } : arg);
  const again = await checked.build([launching({ args: args.map(there), grid: [5, 6, 7], block: 96, shared: 60 << 10 })]);
  await again.run();
  checked.dispose();
  const [graph, single] = driver.launches();
  assert.equal({ ...graph, args: graph.args.length }, { ...single, args: single.args.length });
  for (const at of [0, 16, 24, 28, 40, 48, 52]) assert.is(graph.args.readInt32LE(at), single.args.readInt32LE(at));
  assert.equal([graph.grid, graph.block, graph.shared], [[5, 6, 7], 96, 60 << 10]);
  const words = graph.args;
  assert.is(words.length, 56);
  assert.is(words.readInt32LE(0), -1);
  assert.is(words.readBigUInt64LE(16), BigInt(2 * (8 + 3)));
  assert.is(words.readFloatLE(24), 1.5);
  assert.is(words.readInt32LE(28), -0x80000000);
  assert.is(words.readBigUInt64LE(32) - words.readBigUInt64LE(8), BigInt(256 - 10));
  assert.is(words.readBigUInt64LE(40), 512n);
  assert.equal([words.readInt32LE(48), words.readInt32LE(52)], [7, 8]);
  // More than 48 KiB of shared memory has to be allowed first, once a kernel.
  assert.is(driver.calls().filter((call) => call === 'cuFuncSetAttribute').length, 2);
  await program.profile();
  assert.is(driver.calls().filter((call) => call === 'cuFuncSetAttribute').length, 2);
}));

test('maps for the copy engine are made by the driver, in place', () => on(async (device) => {
  const buffer = device.allocate(1 << 16, 'x');
  const half = value(buffer, { rows: 70, channels: 64, offset: 128, dtype: 'float16' });
  const maps: TensorMap[] = [
    { value: half, lengths: [64, 8], strides: [128], box: [64, 4] },
    { value: half, lengths: [64, 7, 5, 2], strides: [128, 896, 4480], windows: { lower: [-1, -2], upper: [1, 2], channels: 64, pixels: 32, strides: [2, 3] } },
  ];
  const program = await device.build([launching({ args: [3, ...maps.map((tensorMap) => ({ tensorMap })), { address: half }] })]);
  await program.run();
  const [{ args }] = driver.launches();
  assert.is(args.length, 64 + 128 + 128 + 16);
  const words = (at: number, n: number): number[] => Array.from({ length: n }, (_, i) => args.readInt32LE(at + 4 * i));
  // float16, rank, swizzle and promotion; the address is that of the value's first element, as the span has it.
  assert.equal(words(64, 4), [1, 6, 2, 0x330]);
  assert.equal(words(192, 4), [2, 6, 4, 0x330]);
  assert.is(args.readBigUInt64LE(64 + 16), args.readBigUInt64LE(320));
  assert.is(args.readBigUInt64LE(192 + 16), args.readBigUInt64LE(320));
  assert.equal(words(64 + 24, 12), [64, 8, 0, 0, 0, 128, 0, 0, 0, 0, 64, 4]);
  assert.equal(words(192 + 24, 20), [64, 7, 5, 2, 0, 128, 896, 4480, 0, 0, -1, -2, 1, 2, 64, 32, 1, 2, 3, 1]);
  const bad = { ...maps[0], value: { ...half, dtype: 'float32' as const } };
  await rejects(() => device.build([launching({ args: [{ tensorMap: bad }] })]), DeviceError, /no map of float32/);
  const odd = { ...maps[0], value: { ...half, offset: 1 } };
  await rejects(() => device.build([launching({ args: [{ tensorMap: odd }] })]), DeviceError,
    /^cuTensorMapEncodeTiled failed for node_1 \(kernel copy\): CUDA_ERROR_INVALID_VALUE/);
}));

test('maps that run past their value, and values past their buffer, are refused by name', () => on(async (device) => {
  const buffer = device.allocate(1 << 16, 'x');
  // Every second 64 channels of rows of 128.
  const half = value(buffer, { rows: 12, channels: 64, stride: 128, dtype: 'float16' });
  const [tiled, windows]: TensorMap[] = [
    { value: half, lengths: [64, 12], strides: [256], box: [64, 4] },
    {
      value: half, lengths: [64, 3, 2, 2], strides: [256, 3 * 256, 6 * 256],
      windows: { lower: [0, 0], upper: [0, 0], channels: 64, pixels: 8 },
    },
  ];
  const build = (tensorMap: TensorMap) => () => device.build([launching({ args: [7, { tensorMap }] })]);
  for (const map of [tiled, windows]) (await build(map)()).dispose();
  const past: TensorMap[] = [
    { ...tiled, lengths: [64, 13] }, { ...tiled, lengths: [65, 12] }, { ...tiled, strides: [272] },
    ...[[64, 4, 2, 2], [64, 3, 3, 2], [64, 3, 2, 3]].map((lengths) => ({ ...windows, lengths })),
  ];
  const bytes = [12 * 256 + 128, 11 * 256 + 130, 11 * 272 + 128, 12 * 256 + 128, 14 * 256 + 128, 17 * 256 + 128];
  for (const [i, map] of past.entries()) {
    await rejects(build(map), DeviceError, new RegExp(`^argument 1 of node_1 \\(kernel copy\\): a map of ${bytes[i]} bytes, of a value that has 2944$`));
  }
  const late = { ...tiled, value: { ...half, offset: 32640 } };
  await rejects(build(late), DeviceError, /^argument 1 of node_1 \(kernel copy\): bytes 65280 to 68224 of buffer "x", which has 65536$/);
  buffer.dispose();
  await rejects(build(tiled), DeviceError, /"x" was disposed/);
}));

test('launches that the GPU would refuse are refused by name', () => on(async (device) => {
  const buffer = device.allocate(64, 'short');
  const refused: [Partial<CudaLaunch>, RegExp][] = [
    [{ grid: [0, 1, 1] }, /node_1 \(kernel copy\) has a grid of 0 x 1 x 1 blocks/],
    [{ grid: [1, 65536, 1] }, /has a grid of 1 x 65536 x 1/],
    [{ block: 1025 }, /blocks of 1025 threads; the kernel takes 1 to 1024/],
    [{ shared: 232448 }, /1024 \+ 232448 bytes of shared memory; a block has 232448/],
    [{ args: [0.5] }, /argument 0 of node_1 \(kernel copy\) is 0.5, not an integer of 32 bits/],
    [{ args: [2 ** 31] }, /is 2147483648, not an integer of 32 bits/],
    [{ args: [{ address: value(buffer, { rows: 2 ** 29 - 1 }) }] }, /has shape \[536870911,4\], 2147483644 elements; kernels count to 2147418112/],
    [{ args: new Array(1025).fill(1) }, /more than 4096 bytes of arguments/],
    [{ args: [{ address: value(buffer, { offset: 1 }) }] }, /bytes 4 to 68 of buffer "short", which has 64/],
    [{ kernel: 'nowhere' }, /no CUDA kernel "nowhere" for node_1/],
  ];
  for (const [launch, message] of refused) await rejects(() => device.build([launching(launch)]), DeviceError, message);
  const other = { tiles: 1, kernel: 'copy', args: [] };
  await rejects(() => device.build([{ launch: other, node: 'node_1', flop: 0 }]), DeviceError, /lowered for another device/);
  buffer.dispose();
  await rejects(() => device.build([launching({ args: [{ address: value(buffer) }] })]), DeviceError, /"short" was disposed/);
}));

test('buffers and ranges that are not the device\'s are refused', async () => {
  driver.reset();
  const [one, two] = [await open(), await open()];
  const buffer = one.allocate(8, 'own');
  assert.throws(() => two.write(buffer, 0, new Uint8Array(1)), /"own" belongs to another device/);
  assert.throws(() => one.write(buffer, 4, new Uint8Array(5)), /write "own": bytes 4 to 9 of 8/);
  await rejects(() => one.read(buffer, -1, 2), DeviceError, /read "own": bytes -1 to 1 of 8/);
  assert.throws(() => one.copy(buffer, 0, buffer, 6, 4), /copy to "own": bytes 6 to 10 of 8/);
  one.dispose();
  two.dispose();
  assert.throws(() => one.allocate(8, 'late'), /was disposed/);
  await rejects(() => one.read(buffer, 0, 8), DeviceError, /was disposed/);
  buffer.dispose();
  assert.equal(driver.live(), nothing);
});

test('a run is one call, whatever it launches; programs of nothing run too', () => on(async (device) => {
  const buffer = device.allocate(256, 'x');
  const chain = Array.from({ length: 40 }, (_, i) => copying(value(buffer, { rows: 1 }), value(buffer, { rows: 1, offset: 8 }), `n${i}`));
  const program = await device.build(chain) as CudaExecutable;
  assert.is(device.counters.compilations, 1);
  const before = driver.calls().length;
  await program.run();
  const calls = driver.calls().slice(before).filter((call) => !/^cuCtxSetCurrent|^cuEvent/.test(call));
  assert.equal(calls, ['cuGraphLaunch']);
  assert.is(driver.launches().length, 40);
  assert.equal([device.counters.runs, device.counters.launches], [1, 40]);
  const launched = driver.calls().length;
  const rows = await program.profile();
  // Events lie between a graph's nodes: no launch waits for the host.
  const profiled = driver.calls().slice(launched);
  assert.equal(['cuGraphLaunch', 'cuLaunchKernel', 'cuEventRecord', 'cuGraphAddEventRecordNode'].map((call) => profiled.filter((c) => c === call).length),
    [1, 0, 1, 41]);
  assert.equal(rows.map(({ label, node }) => [label, node]), chain.map(({ node }) => ['copy', node]));
  assert.ok(rows.every(({ ms }) => ms > 0));
  assert.ok(await program.time() > 0);
  const empty = await device.build([]);
  await empty.run();
  assert.equal(await empty.profile(), []);
  program.dispose();
  await rejects(() => program.run(), DeviceError, /after dispose/);
}));

test('steady runs hold no more events and memory than the first, and wait when too many are under way', () => on(async (device) => {
  const buffer = device.allocate(256, 'x');
  const program = await device.build([copying(value(buffer), value(buffer))]);
  const step = async (): Promise<void> => {
    device.write(buffer, 0, counted(4));
    await program.run();
    await device.read(buffer, 0, 4);
  };
  for (let i = 0; i < 3; i++) await step();
  const before = driver.live();
  for (let i = 0; i < 50; i++) await step();
  assert.equal(driver.live(), before);
  driver.set('hold', 1);
  let done = 0;
  const runs = Array.from({ length: 20 }, () => program.run().then(() => done++));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(done, 16);
  driver.set('hold', 0);
  await Promise.all(runs);
  assert.is(done, 20);
}));

test('a pool keeps what was freed for as long as a device has it, and then does as before', async () => {
  driver.reset();
  const before = BigInt(driver.threshold());
  const all = 2n ** 64n - 1n;
  const [one, two] = [await open(), await open()];
  assert.is(BigInt(driver.threshold()), all);
  one.dispose();
  assert.is(BigInt(driver.threshold()), all);
  two.dispose();
  assert.is(BigInt(driver.threshold()), before);
  driver.fail('cuMemGetInfo_v2', 1, 1);
  await rejects(() => open(), DeviceError, /cuMemGetInfo_v2 failed/);
  assert.is(BigInt(driver.threshold()), before);
});

test.run();
