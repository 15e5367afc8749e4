/**
 * The emulator that runs CUDA kernels without a GPU (kernels/cuda/host): that it computes what CUDA says, and that it reports each fault for
 * which it is there.
 */
import * as assert from 'uvu/assert';
import { CudaError } from '../../src/device/cuda/bindings.ts';
import { fromHalfBits, roundToHalf, toHalfBits } from '../../src/device/half.ts';
import { DeviceError, MissingPackageError } from '../../src/errors.ts';
import { hostLauncher } from '../support/cuda/host-launch.ts';
import type { HostLaunch } from '../support/cuda/host-launch.ts';
import { suiteUnless } from '../support/webgpu.ts';

let launch: (launch: HostLaunch) => Promise<void>;
let reason: string | undefined;
try {
  launch = await hostLauncher();
} catch (error) {
  if (!(error instanceof DeviceError || error instanceof MissingPackageError)) throw error;
  reason = error.message;
}
const test = suiteUnless(reason, 'kernels in software');

const x = Float32Array.from({ length: 256 }, (_, i) => i + 1);

/** Runs the statements of a kernel with t = threadIdx.x over x (1 to 256), n = 256 and the 256 floats that are returned. */
async function trial(statements: string, more: Partial<HostLaunch> = {}): Promise<Float32Array> {
  const y = new Float32Array(256);
  await launch({ kernel: 'trial', body: statements, args: [x, y, 256], block: 256, ...more });
  return y;
}

test('a row of a thread is told in 32 bits, where the threads before it are more', async () => {
  // The last block's of 2^27 + 8 rows by warps, and of 2^24 + 1 by blocks.
  for (const [threads, block] of [[32, 2 ** 24], [256, 2 ** 24]]) {
    const y = await trial(`y[t] = rowOf<${threads}>(${block}u, t) - ${block * (256 / threads)};`);
    assert.equal([...y], Array.from({ length: 256 }, (_, t) => Math.floor(t / threads)));
  }
});

/** Statements, and what is said of them. */
const faults: Readonly<Record<string, readonly [statements: string, says: RegExp, more?: Partial<HostLaunch>]>> = {
  'an index behind the end':
    ['y[t] = x[t + 1];', /block \(0, 0, 0\), thread 255, trial.cu:\d+: index 256 of argument 0, which has 256 elements of 4 bytes/],
  'a negative index': ['y[t - 1] = 0.0f;', /thread 0, .*index -1 of argument 1/],
  'a vector over the end':
    ['if (t == 0) y.store(254, make_float4(0, 0, 0, 0));', /index 254 of argument 1, .*the vector that begins there ends behind it/],
  'a vector that is not aligned':
    ['y[t] = x.load<float4>(t % 250).x;', /index \d+ of argument 0 is not aligned to the 16 bytes of a vector/],
  'an index behind shared memory': ['panel[t + 1] = 0.0f;', /index 256 of panel, which has 256 elements/],
  'a part of shared memory that is larger than the whole':
    ['panel.part<Half>(200, 113)[0] = halfOf(1.0f);', /a part of panel, which has 256 elements/],
  'an index behind dynamic shared memory':
    ['DYNAMIC_SHARED(float, own); own[t] = 0.0f;', /index 255 of own, which has 255 elements/, { shared: 1020 }],
  'a missing barrier': [
    'panel[t] = x[t]; y[t] = panel[255 - t];',
    /a race in shared panel: it (reads what thread \d+ wrote|writes what thread \d+ read) in line \d+/,
  ],
  'a missing barrier before what was read is overwritten':
    ['panel[t] = x[t]; __syncthreads(); y[t] = panel[255 - t]; panel[t] = 0.0f;',
    /a race in shared panel: it (writes what thread \d+ read|reads what thread \d+ wrote)/],
  'lanes that rely on lockstep': ['panel[t] = x[t]; y[t] = panel[t ^ 1];', /a race in shared panel/],
  'a shuffle taken for a barrier':
    ['panel[t] = x[t]; float v = __shfl_sync(~0u, 1.0f, 0); y[t] = v * panel[t ^ 1];', /a race in shared panel/],
  'two threads that write one place': ['panel[t / 2] = x[t];', /a race in shared panel: it writes what thread \d+ wrote/],
  'a thread that ends ahead of a barrier':
    ['if (t == 7) return; __syncthreads();', /deadlock: threads 0 to 6, 8 to 255 wait at __syncthreads in trial.cu:\d+; threads 7 ended/],
  'a barrier in a branch': ['if (t < 32) __syncthreads();', /deadlock: threads 0 to 31 wait at __syncthreads .*threads 32 to 255 ended/],
  'barriers of two branches': ['if (t < 128) __syncthreads();\nelse __syncthreads();', /thread \d+ waits at another/],
  'a shuffle without some of its lanes':
    ['if (t % 32 < 16) y[t] = __shfl_sync(~0u, x[t], 0);', /deadlock: threads 0 to 15.* wait at __shfl_sync/],
  'a shuffle from a lane that takes no part':
    ['if (t % 32 < 16) y[t] = __shfl_sync(0xffffu, x[t], 20);', /takes from lane 20, which gives nothing/],
  'a lane that is not in its own mask': ['__syncwarp(1u);', /in which its own lane \d+ is not/],
  'a copy that is not waited for': [
    'copyAsync<4>(panel, t, x, t); commitCopies(); y[t] = panel[t];',
    /reads what thread \d+ copies to shared panel in line \d+, which is not waited for/,
  ],
  'a copy that is waited for too weakly':
    ['copyAsync<4>(panel, t, x, t); commitCopies(); waitCopies<1>(); __syncthreads(); y[t] = panel[255 - t];', /not waited for/],
  'a copy that others read without a barrier':
    ['copyAsync<4>(panel, t, x, t); commitCopies(); waitCopies<0>(); y[t] = panel[255 - t];', /(a race in shared panel|not waited for)/],
  'a copy into what others read':
    ['panel[t] = 0.0f; __syncthreads(); y[t] = panel[255 - t]; copyAsync<4>(panel, t, x, t);', /a race in shared panel|not waited for/],
  'a copy from behind the end': ['copyAsync<4>(panel, t, x, t + 1);', /cp.async of 4 bytes from index 256 of argument 0/],
  'a copy that is not aligned': ['copyAsync<16>(panel, t * 4 % 256, x, 1);', /not aligned to 16 bytes/],
  'a product without some of a warp\'s lanes':
    ['u32 a[4] = {}, b[2] = {}; float s[4] = {}; if (t != 3) multiplyAdd16x8x16<Half>(s, a, b); y[t] = s[0];', /deadlock: .*wait at mma.sync/],
  'a row of ldmatrix that is not aligned':
    ['u32 m[1]; loadMatrices(halves, t % 8 * 8 + 1, m); y[t] = m[0];', /index \d+ of halves is not aligned to the 16 bytes/],
  'more threads than the kernel is bounded to': ['y[0] = 0.0f;', /a block of 257 threads, bounded to 256/, { block: 257 }],
  'more shared memory than is allowed':
    ['y[0] = 0.0f;', /65536 bytes of dynamic shared memory, of which 49152 are allowed/, { shared: 65536 }],
  'more static shared memory than there is': ['SHARED(float4, vast, 3000); vast.store(t, make_float4(0, 0, 0, 0));', /bytes with vast/],
  'too few arguments': ['y[0] = 0.0f;', /takes 36 bytes of arguments, not 32/, { args: [x, x] }],
};
for (const [name, [statements, says, more]] of Object.entries(faults)) {
  test(`reported: ${name}`, async () => {
    let told: unknown;
    await trial(statements, more).catch((error: unknown) => (told = error));
    assert.instance(told, CudaError);
    assert.match((told as CudaError).message, says);
    // One that failed leaves nothing behind.
    assert.equal([...await trial('panel[t] = x[t]; __syncthreads(); y[t] = panel[255 - t];')], [...x].reverse());
  });
}

test('what is right is not reported', async () => {
  const right: Readonly<Record<string, (i: number) => number>> = {
    'panel[t] = x[t]; __syncthreads(); y[t] = panel[255 - t]; __syncthreads(); panel[255 - t] = 0.0f;': (i) => 256 - i,
    'panel[t] = x[t]; __syncwarp(); y[t] = panel[t ^ 1];': (i) => (i ^ 1) + 1,
    'halves[t] = halfOf(x[t]); y[t] = toFloat(halves[t]);': (i) => i + 1,
    'DYNAMIC_SHARED(float, own); if (t < 128) own.part(128, 128)[t] = x[t]; __syncthreads(); y[t] = t < 128 ? own[128 + t] : x[t];': (i) => i + 1,
    'if (t < 32) { panel[t] = x[t]; __syncwarp(); y[t] = panel[31 - t]; } else y[t] = x[t];': (i) => (i < 32 ? 32 - i : i + 1),
  };
  for (const [statements, expected] of Object.entries(right)) {
    assert.equal([...await trial(statements, { shared: 1024 })], Array.from({ length: 256 }, (_, i) => expected(i)), statements);
  }
});

test('copies: groups are waited for in their order, what is not read is zero', async () => {
  const y = await trial('SHARED(float, late, 128); copyAsync<4>(panel, t, x, t); commitCopies(); if (t < 128) copyAsync<4>(late, t, x, t); '
    + 'commitCopies(); waitCopies<1>(); __syncthreads(); y[t] = panel[255 - t];');
  assert.equal([...y], [...x].reverse());
  const part = await trial('if (t < 64) copyAsync<16>(panel, 4 * t, x, 4 * t, t % 5 * 4); commitCopies(); waitCopies<0>(); __syncthreads(); y[t] = panel[t];');
  assert.equal([...part], Array.from(x, (v, i) => (i % 4 < (i >> 2) % 5 ? v : 0)));
});

test('shuffles and votes are as CUDA has them', async () => {
  const lanes: Readonly<Record<string, (i: number) => number>> = {
    '__shfl_sync(~0u, x[t], 5)': (i) => (i & ~31) + 5,
    '__shfl_sync(~0u, x[t], 18, 16)': (i) => (i & ~15) + 2,
    '__shfl_xor_sync(~0u, x[t], 9)': (i) => i ^ 9,
    '__shfl_down_sync(~0u, x[t], 20)': (i) => (i % 32 < 12 ? i + 20 : i),
    '__shfl_down_sync(~0u, x[t], 3, 8)': (i) => (i % 8 < 5 ? i + 3 : i),
    '__shfl_up_sync(~0u, x[t], 2, 4)': (i) => (i % 4 < 2 ? i : i - 2),
    'x[t] - 1 + (__ballot_sync(~0u, t % 32 == 3) == 8u) + __any_sync(~0u, t == 40) - __all_sync(~0u, t != 40)':
      (i) => i - 1 + 1 + (i >> 5 === 1 ? 1 : -1),
  };
  for (const [value, from] of Object.entries(lanes)) {
    assert.equal([...await trial(`y[t] = ${value};`)], Array.from(x, (_, i) => from(i) + 1), value);
  }
});

test('blocks and threads run in no order to rely on, shared memory begins as NaN', async () => {
  // Each writes down the block that wrote last: in order it would be the one before.
  const y = new Float32Array(256);
  await launch({ kernel: 'trial', body: 'if (t == 0) { y[blockIdx.x] = y[255]; y[255] = blockIdx.x; }', args: [x, y, 256], block: 32, grid: 64 });
  assert.ok([...y.subarray(1, 64)].some((before, i) => before !== i), 'blocks ran in order');
  const orders = [];
  for (let i = 0; i < 3; i++) orders.push((await trial('y[(i32)y[255]] = t; if (y[255] < 254.0f) y[255] = y[255] + 1.0f;')).slice(0, 200).join());
  assert.is(new Set(orders).size, 3);
  assert.ok((await trial('y[t] = panel[t] + toFloat(halves[t]);')).every(Number.isNaN));
});

const random = (count: number, salt: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + salt * 78.233) * 3);
const bfloat = (v: number): number => new Float32Array(Uint32Array.of(toBfloat(v) << 16).buffer)[0];
function toBfloat(v: number): number {
  const bits = new Uint32Array(Float32Array.of(v).buffer)[0];
  const low = bits & 0xffff, up = low > 0x8000 || (low === 0x8000 && (bits >>> 16) % 2 === 1);
  return (bits >>> 16) + (up ? 1 : 0);
}
/** 10 bits of mantissa, ties away from zero. */
function tf32(v: number): number {
  const bits = Uint32Array.of(new Uint32Array(Float32Array.of(v).buffer)[0] + 0x1000 & 0xffffe000);
  return new Float32Array(bits.buffer)[0];
}

const float16Bits = (values: ArrayLike<number>): Uint16Array => toHalfBits(values, 'float16');

for (const [name, K, pack, round, define] of [
  ['float16', 16, float16Bits, (v) => roundToHalf(v, 'float16'), { TYPE: 'Half', TRANSPOSED: 0 }],
  ['float16, transposed', 16, float16Bits, (v) => roundToHalf(v, 'float16'), { TYPE: 'Half', TRANSPOSED: 1 }],
  ['float16, matrices one by one', 16, float16Bits, (v) => roundToHalf(v, 'float16'), { TYPE: 'Half', TRANSPOSED: 0, SINGLE: 1 }],
  ['bfloat16', 16, (v) => Uint16Array.from(v, toBfloat), bfloat, { TYPE: 'Bfloat16', TRANSPOSED: 0 }],
  ['TF32', 8, (v) => Float32Array.from(v), tf32, { TYPE: 'float', TF32: 1, TRANSPOSED: 1 }],
] as [string, number, (values: number[]) => Uint16Array | Float32Array, (v: number) => number, HostLaunch['define'] & { TRANSPOSED: number }][]) {
  test(`a product on tensor cores: ${name}`, async () => {
    const a = random(16 * K, 1), b = random(K * 8, 2), y = new Float32Array(16 * 8);
    // b as the kernel wants it: by rows of k, or of n.
    const given = define.TRANSPOSED ? b : Array.from({ length: K * 8 }, (_, i) => b[i % K * 8 + Math.floor(i / K)]);
    await launch({ kernel: 'product', define, args: [pack(a), pack(given), y], block: 32 });
    y.forEach((got, i) => {
      const [row, column] = [i >> 3, i & 7];
      const terms = Array.from({ length: K }, (_, k) => round(a[row * K + k]) * round(b[k * 8 + column]));
      const expected = terms.reduce((sum, v) => sum + v, 0), size = terms.reduce((sum, v) => sum + Math.abs(v), 0);
      assert.ok(Math.abs(got - expected) <= size * 2 ** -22, `y[${row}][${column}] is ${got}, expected ${expected}`);
    });
  });
}

test('conversions to float16 and bfloat16 round to nearest even, with infinities, NaN and what is below normal', async () => {
  const halves = fromHalfBits(Uint16Array.from({ length: 0x7c00 }, (_, i) => i), 'float16');
  // Every float16, the middle between it and the next, and what is next to that.
  const values = [...halves].flatMap((h, i) => {
    const middle = Math.fround((h + (halves[i + 1] ?? 65536)) / 2);
    const bits = new Uint32Array(Float32Array.of(middle).buffer)[0];
    return [h, middle, ...new Float32Array(Uint32Array.of(bits - 1, bits + 1).buffer)];
  });
  const all = Float32Array.from([...values, ...values.map((v) => -v), Infinity, -Infinity, NaN, 1e-45, 3.4e38, -3.4e38, 65519.996, 65520]);
  const n = all.length;
  const out = [new Uint16Array(n), new Uint16Array(n)], back = [new Float32Array(n), new Float32Array(n)];
  await launch({ kernel: 'convert', args: [all, ...out, ...back, n], block: 256, grid: Math.ceil(n / 256) });
  const expected = float16Bits(all);
  let wrong = 0;
  for (let i = 0; i < n; i++) {
    if (Number.isNaN(all[i])) {
      assert.ok(Number.isNaN(back[0][i]) && Number.isNaN(back[1][i]));
      continue;
    }
    if (out[0][i] !== expected[i] || !Object.is(back[0][i], fromHalfBits(expected.subarray(i, i + 1), 'float16')[0]) && back[0][i] !== 0) wrong++;
    if (out[1][i] !== toBfloat(all[i]) || !Object.is(back[1][i], bfloat(all[i]))) wrong++;
  }
  assert.is(wrong, 0);
});
test.run();
