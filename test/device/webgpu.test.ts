import * as assert from 'uvu/assert';
import type { DType, Placed, PlacedLaunch, WebgpuLaunch } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { findAdapter } from '../../src/device/webgpu/adapter.ts';
import { copyLaunch, webgpu } from '../../src/device/webgpu/index.ts';
import { shaderSource } from '../../src/device/webgpu/shader.ts';
import { f32, linearGrid, read, write } from '../../src/device/webgpu/launch.ts';
import { DeviceError, OutOfMemoryError } from '../../src/errors.ts';
import { compile, tensor } from '../../src/fovea.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { rejects } from '../support/errors.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const { device, reason } = await openWebgpu();
const test = suiteUnless(reason, 'webgpu device');

function place(label: string, shape: number[], dtype: DType, offset = 0, stride?: number): Placed {
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  const rows = sizeOf(shape) / channels;
  const elements = offset + rows * (stride ?? channels);
  const buffer = device.allocate(elements * bytesPerElement[dtype], label);
  return { shape, dtype, buffer, offset, rows, channels, stride: stride ?? channels };
}

function put(v: Placed, data: ArrayBufferView): void {
  device.write(v.buffer, 0, data);
}

async function floats(v: Placed): Promise<Float32Array> {
  return new Float32Array((await device.read(v.buffer, 0, v.buffer.bytes)).buffer);
}

const placed = (launch: WebgpuLaunch): PlacedLaunch => ({ launch, node: 'test#1', site: 'test.ts:1', flop: 1 });

async function runOnce(...launches: WebgpuLaunch[]): Promise<void> {
  const program = await device.build(launches.map(placed));
  await program.run();
  program.dispose();
}

test('a buffer is zero-filled, written and read at any offset', async () => {
  const buffer = device.allocate(1001, 'bytes');
  assert.equal([...await device.read(buffer, 0, 1001)], new Array(1001).fill(0));
  const data = Uint8Array.from({ length: 1001 }, (_, i) => i % 251);
  device.write(buffer, 0, data);
  assert.equal(await device.read(buffer, 0, 1001), data);
  assert.equal(await device.read(buffer, 333, 77), data.slice(333, 410));
  buffer.dispose();
});

test('shared memory is written, and long reads go in pieces', async () => {
  const bytes = 33 << 20;
  const buffer = device.allocate(bytes, 'long');
  const shared = new Uint8Array(new SharedArrayBuffer(bytes));
  for (let i = 0; i < bytes; i += 4093) shared[i] = i % 251;
  device.write(buffer, 0, shared);
  const got = await device.read(buffer, 0, bytes);
  for (let i = 0; i < bytes; i += 4093) if (got[i] !== i % 251) assert.unreachable(`byte ${i} is ${got[i]}`);
  buffer.dispose();
});

test('copies between and within buffers', async () => {
  const a = device.allocate(64, 'a');
  const b = device.allocate(64, 'b');
  device.write(a, 0, Int32Array.from({ length: 16 }, (_, i) => i));
  device.copy(a, 16, b, 0, 32);
  device.copy(b, 0, b, 32, 32);
  const got = new Int32Array((await device.read(b, 0, 64)).buffer);
  assert.equal([...got], [4, 5, 6, 7, 8, 9, 10, 11, 4, 5, 6, 7, 8, 9, 10, 11]);
});

for (const [offset, stride, channels] of [[0, 8, 8], [4, 16, 8], [3, 7, 5], [64, 12, 12]]) {
  for (const dtype of ['float32', 'uint8'] as const) {
    test(`copies ${dtype} rows at offset ${offset}, stride ${stride}, ${channels} channels`, async () => {
      const from = place('from', [6, channels], dtype, offset, stride);
      const to = place('to', [6 * channels], dtype);
      const back = place('back', [6, channels], dtype, offset, stride);
      const n = from.buffer.bytes / bytesPerElement[dtype];
      const data = Array.from({ length: n }, (_, i) => (i * 7 + 1) % 256);
      const view = (bytes: Uint8Array<ArrayBuffer>): number[] =>
        [...(dtype === 'uint8' ? bytes : new Float32Array(bytes.buffer))];
      const typed = (values: number[]): Uint8Array | Float32Array => (dtype === 'uint8' ? Uint8Array.from(values) : Float32Array.from(values));
      put(from, typed(data));
      // all bits set, of which a kernel that only adds bits would leave some
      put(to, typed(new Array(6 * channels).fill(255)));
      put(back, typed(new Array(n).fill(255)));
      await runOnce(copyLaunch(from, to), copyLaunch(to, back));
      const want: number[] = [];
      const kept: number[] = new Array(n).fill(255);
      for (let r = 0; r < 6; r++) {
        for (let c = 0; c < channels; c++) {
          want.push(data[offset + r * stride + c]);
          kept[offset + r * stride + c] = data[offset + r * stride + c];
        }
      }
      assert.equal(view(await device.read(to.buffer, 0, to.buffer.bytes)), want);
      // What lies between the rows is left alone.
      assert.equal(view(await device.read(back.buffer, 0, back.buffer.bytes)), kept);
    });
  }
}

test('a launch that reads and writes one buffer is refused, by name', async () => {
  const v = place('v', [16], 'float32');
  const launch: WebgpuLaunch = { ...copyLaunch(v, v), bindings: [read(v), write(v)] };
  await device.build([placed(launch)]).then(() => assert.unreachable(), (error: Error) => {
    assert.match(error.message, /test#1 \(kernel copy\) from test\.ts:1 reads and writes buffer "v"/);
  });
});

test('a shader that does not compile says so, with kernel, node and line', async () => {
  const [a, b] = [place('a', [16], 'float32'), place('b', [16], 'float32')];
  await device.build([placed({ ...copyLaunch(a, b), replace: { T: 'nonsense' } })]).then(() => assert.unreachable(), (e: Error) => {
    assert.match(e.message, /createComputePipeline failed for test#1 \(kernel copy\) from test\.ts:1: .*nonsense/);
  });
  await runOnce(copyLaunch(a, b));
});

test('a binding over the limit and a buffer too large name what was asked for and the limit', async () => {
  assert.throws(() => device.allocate(2 ** 40, 'too much'), /cannot allocate 1099511627776 bytes for too much/);
  const big: Placed = { ...place('big', [16], 'float32'), shape: [2 ** 26], channels: 2 ** 26, rows: 1, stride: 2 ** 26 };
  await device.build([placed(copyLaunch(big, place('b', [16], 'float32')))]).then(() => assert.unreachable(), (e: Error) => {
    assert.match(e.message, /binds a value of shape \[67108864\], 268435456 bytes; the adapter's limit is \d+/);
  });
});

test('replays allocate and compile nothing, and profile names the launches', async () => {
  const [a, b] = [place('a', [64, 8], 'float32'), place('b', [64, 8], 'float32')];
  put(a, Float32Array.from({ length: 512 }, (_, i) => i));
  const program = await device.build([placed(copyLaunch(a, b))]);
  await program.run();
  await floats(b);
  const before = { ...device.counters };
  for (let i = 0; i < 20; i++) {
    await program.run();
    await floats(b);
  }
  assert.is(device.counters.allocations, before.allocations);
  assert.is(device.counters.compilations, before.compilations);
  assert.is(device.counters.runs, before.runs + 20);
  const rows = await program.profile();
  assert.equal(rows.map((r) => r.label), ['copy']);
  assert.ok(rows[0].ms > 0);
});

test('says what it is', () => {
  assert.is(device.kind, 'webgpu');
  assert.is(device.software, true);
  assert.is(device.why, 'named llvmpipe');
  assert.match(device.name, /^webgpu \(llvmpipe.*, software\)$/);
  assert.equal(Object.keys(device.fingerprint), ['kind', 'adapter', 'driver', 'dawn', 'kernels', 'lowerings']);
});

test('an adapter that is not there is refused by name', async () => {
  await webgpu({ adapter: 'voodoo' }).then(() => assert.unreachable(), (error: Error) => {
    assert.match(error.message, /^no WebGPU adapter named "voodoo"; found .*llvmpipe/);
  });
  await webgpu({ adapter: 'llvmpipe', hardwareOnly: true }).then(() => assert.unreachable(), (error: Error) => {
    assert.match(error.message, /no WebGPU adapter named "llvmpipe"/);
  });
});

test('a Program with a value that no binding holds is refused before anything is allocated, with the largest batch that can be bound', async () => {
  const f = compile((x: Tensor, y: Tensor) => {
    const wide = x.reshape([-1, 1024, 1]).add(y);
    return wide.matmul(wide.exp()).sum();
  }, { device });
  const most = Math.floor(device.memory.maxBuffer / 2 ** 22);
  const before = device.counters.allocations;
  const attempt = (n: number): Promise<unknown> => f.prepare(tensor(new Float32Array(n * 1024), [n, 1024]), tensor(new Float32Array(1024)));
  for (const n of [2 * most, most + 1]) {
    await rejects(() => attempt(n), OutOfMemoryError, new RegExp(`is over the ${device.memory.maxBuffer} that webgpu .* can bind; `
      + `of the input \\[${n},1024\\] ${most} of ${n} along the first axis fit$`));
  }
  assert.is(device.counters.allocations, before);
  f.dispose();
});

test('a batch that does not fit a binding: how many would', async () => {
  const small = place('small', [16], 'float32');
  const big: Placed = { ...small, shape: [64, 2 ** 20], channels: 2 ** 20, rows: 64, stride: 2 ** 20 };
  await device.build([placed(copyLaunch(big, small))]).then(() => assert.unreachable(), (e: Error) => {
    const limit = Number(/limit is (\d+)/.exec(e.message)![1]);
    assert.match(e.message, `at most ${Math.floor(limit / 2 ** 22)} of 64 along the first axis fit`);
  });
});

test('a buffer for which there was no memory is told of when it is bound, as such', async () => {
  const { gpu } = await findAdapter({ adapter: 'llvmpipe' });
  const requestAdapter = async (): Promise<object | null> => {
    const adapter = (await gpu.requestAdapter({ featureLevel: 'compatibility' }))!;
    return { info: adapter.info, limits: adapter.limits, features: adapter.features, requestDevice: async (wanted: GPUDeviceDescriptor) => {
      const made = await adapter.requestDevice(wanted);
      const [create, bind] = [made.createBuffer.bind(made), made.createBindGroup.bind(made)];
      class GPUOutOfMemoryError { readonly message = 'nothing left'; }
      // The error comes as late as it can, and what there is cannot be bound.
      return Object.assign(made, {
        createBuffer: (d: GPUBufferDescriptor) => create(d.label === 'large' ? { ...d, usage: 8 } : d),
        createBindGroup: (d: GPUBindGroupDescriptor) => {
          queueMicrotask(() => made.onuncapturederror!({ error: new GPUOutOfMemoryError() } as unknown as GPUUncapturedErrorEvent));
          return bind(d);
        },
      });
    } };
  };
  const own = await webgpu({ gpu: { requestAdapter } });
  const value = (label: string): Placed =>
    ({ shape: [64], dtype: 'float32', buffer: own.allocate(256, label), offset: 0, rows: 1, channels: 64, stride: 64 });
  const [from, to] = [value('small'), value('large')];
  await rejects(() => own.build([placed(copyLaunch(from, to))]), OutOfMemoryError, /is out of memory with \d+ bytes in use: nothing left/);
  own.dispose();
});

test('an executable that is disposed rejects, and does not throw', async () => {
  const [a, b] = [place('a', [4], 'float32'), place('b', [4], 'float32')];
  const program = await device.build([placed(copyLaunch(a, b))]);
  await program.run();
  program.dispose();
  // Called here, not by `rejects`: what throws at once would fail the test.
  const [run, profile] = [program.run(), program.profile()];
  await rejects(() => run, DeviceError, /^run\(\) of an executable that was disposed/);
  await rejects(() => profile, DeviceError, /^profile\(\) of an executable that was disposed/);
});

test('memory counts go up and down, and a disposed buffer is refused by name', () => {
  const before = device.counters.bytesAllocated;
  const buffer = device.allocate(1000, 'shortlived');
  assert.ok(device.counters.bytesAllocated >= before + 1000);
  buffer.dispose();
  buffer.dispose();
  assert.is(device.counters.bytesAllocated, before);
  assert.throws(() => device.write(buffer, 0, new Uint8Array(4)), /buffer "shortlived" was disposed/);
});

test('runs that are not waited for keep their order', async () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => place(name, [256], 'float32'));
  put(a, new Float32Array(256).fill(3));
  const first = await device.build([placed(copyLaunch(a, b))]);
  const second = await device.build([placed(copyLaunch(b, c))]);
  void first.run();
  void second.run();
  assert.equal([...await floats(c)], new Array(256).fill(3));
});

test('a long program lets timers have their turn', async () => {
  const n = 1 << 20;
  const [a, b] = [place('a', [n], 'float32'), place('b', [n], 'float32')];
  // Each says that it takes 40 ms, so each is a segment of its own.
  const launches = Array.from({ length: 20 }, (_, i) => ({ ...placed(i % 2 === 0 ? copyLaunch(a, b) : copyLaunch(b, a)), flop: 2e8 }));
  const program = await device.build(launches);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 0);
  await program.run();
  const first = ticks;
  await program.run();
  clearInterval(timer);
  assert.ok(first > 0, 'no timer ran during the first run');
  assert.ok(ticks > first, 'no timer ran during the second run');
});

test('shader sources: repeats nest, conditions keep or leave out, and what is wrong is named', () => {
  assert.throws(() => shaderSource('no_such_shader'), /no shader named "no_such_shader"/);
  assert.throws(() => shaderSource('copy'), /shader "copy" needs a replacement for \$\{T\}/);
  const source = shaderSource('conv2d_forward_rows', { TM: 2, NV: 1, TEX: 0, V: 'f32', XT: 'f32', WT: 'f32', YT: 'f32', W: 1, M: 'vec4f' });
  assert.match(source, /var a0_0 = vec4f\(\);[^]*var a1_0 = vec4f\(\);/);
  assert.not.match(source, /a2_0|\$\{|#for|#end/);
  const elements = shaderSource('pool', { T: 'f32', XT: 'f32', YT: 'f32', MAX: 1 });
  assert.match(elements, /a = max\(a, v\);/);
  assert.not.match(elements, /a \+= v|#if|#else/);
});

test('a grid of more workgroups than one axis takes is folded', () => {
  assert.equal(linearGrid(64 * 1000), [1000, 1, 1]);
  const [x, y] = linearGrid(64 * 100000);
  assert.ok(x <= 65535 && x * y >= 100000);
  assert.equal(f32(1), { f32: 1 });
});

test.after(() => device.dispose());
test.run();
