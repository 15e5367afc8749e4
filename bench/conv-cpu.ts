/**
 * Convolution forward with bias and ReLU at the shapes of Inception-BN (224x224): the cpu device against tfjs-wasm 4.22 (XNNPACK), in
 * one process and one run. Everything that a call needs is counted on our side, packing of filters included; tfjs packs filters once
 * and keeps them. Repetitions of all contestants alternate, the least time of each counts: other work on the machine slows single
 * repetitions, not all. tfjs runs one thread in Node; so its one thread stands against our one and our two.
 *
 *     npm install --prefix bench/peers
 *     node --import tsx bench/conv-cpu.ts [--batch 4] [--seconds 2] [--threads 2] [--plain]
 *
 * Beside the clock stands mean processor time, for the contestants of one thread: on a busy machine it is the more trustworthy.
 *
 * Relaxed SIMD is used on our side where the engine has it (Node 20 by a flag, as the command line does), unless --plain.
 * The last line is JSON.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { cpu } from '../src/device/cpu/index.ts';
import type { Device, DType, Executable, Placed, Shape } from '../src/device/types.ts';
import { sizeOf } from '../src/device/types.ts';
import { conv2dLowering } from '../src/ops/cpu/conv.ts';

interface Case {
  readonly name: string;
  readonly size: number;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
  readonly stride: number;
}

const layer = (name: string, size: number, channels: number, filters: number, kernel: number, stride = 1): Case =>
  ({ name, size, channels, filters, kernel, stride });

/** The distinct kinds of convolution in Inception-BN. */
const cases: readonly Case[] = [
  layer('conv_1', 224, 3, 64, 7, 2),
  layer('conv_2_red', 56, 64, 64, 1),
  layer('conv_2', 56, 64, 192, 3),
  layer('3a_1x1', 28, 192, 64, 1),
  layer('3a_3x3', 28, 64, 64, 3),
  layer('3a_double_3x3_1', 28, 96, 96, 3),
  layer('3c_3x3', 28, 128, 160, 3, 2),
  layer('4a_1x1', 14, 576, 224, 1),
  layer('4a_3x3', 14, 64, 96, 3),
  layer('4c_double_3x3_1', 14, 160, 160, 3),
  layer('4d_3x3', 14, 128, 192, 3),
  layer('4e_double_3x3_1', 14, 256, 256, 3, 2),
  layer('5a_1x1', 7, 1024, 352, 1),
  layer('5a_3x3', 7, 192, 320, 3),
  layer('5b_double_3x3_1', 7, 224, 224, 3),
];

const { values: options } = parseArgs({
  options: {
    batch: { type: 'string', default: '4' }, seconds: { type: 'string', default: '2' }, threads: { type: 'string', default: '2' },
    plain: { type: 'boolean', default: false },
  },
});
const batch = Number(options.batch);

let seed = 1;
const random = (n: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: n }, () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
});

type Run = () => Promise<void> | void;
interface Contestant {
  readonly run: Run;
  result(): Promise<Float32Array>;
  dispose(): void;
}
interface Problem extends Case {
  readonly x: Float32Array<ArrayBuffer>;
  readonly filter: Float32Array<ArrayBuffer>;
  readonly bias: Float32Array<ArrayBuffer>;
}

async function fovea(device: Device, p: Problem): Promise<Contestant> {
  const pad = (p.kernel - 1) / 2;
  const out = Math.floor((p.size + 2 * pad - p.kernel) / p.stride) + 1;
  const place = (shape: Shape, data?: Float32Array): Placed => {
    const channels = shape[shape.length - 1];
    const buffer = device.allocate(sizeOf(shape) * 4, 'bench');
    if (data) device.write(buffer, 0, data);
    return { shape, dtype: 'float32' satisfies DType, buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const inputs = [
    place([batch, p.size, p.size, p.channels], p.x), place([p.filters, p.kernel, p.kernel, p.channels], p.filter),
    place([p.filters], p.bias),
  ];
  const outputs = [place([batch, out, out, p.filters])];
  const attrs = { stride: [p.stride, p.stride], padding: [pad, pad, pad, pad], dilation: [1, 1], activation: 'relu' } as const;
  const scratch = conv2dLowering.scratch!(inputs, outputs, attrs).map((bytes) =>
    ({ buffer: device.allocate(bytes, 'bench'), byteOffset: 0, bytes }));
  const launches = conv2dLowering.launches({ attrs, inputs, outputs, scratch });
  const executable: Executable = await device.build(launches.map((launch) => ({ launch, node: p.name, flop: 0 })));
  return {
    run: () => executable.run(),
    result: async () => new Float32Array((await device.read(outputs[0].buffer, 0, outputs[0].buffer.bytes)).buffer),
    dispose() {
      executable.dispose();
      for (const v of [...inputs, ...outputs, ...scratch]) v.buffer.dispose();
    },
  };
}

interface Tfjs {
  tensor4d(values: Float32Array, shape: number[]): TfTensor;
  tensor1d(values: Float32Array): TfTensor;
  fused: { conv2d(options: object): TfTensor };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
}
interface TfTensor {
  dataSync(): Float32Array;
  dispose(): void;
}

/** tfjs with its WebAssembly backend, or undefined where it is not installed. */
async function loadTfjs(): Promise<Tfjs | undefined> {
  const manifest = new URL('peers/package.json', import.meta.url);
  const require = createRequire(manifest);
  if (!existsSync(new URL('peers/node_modules/@tensorflow/tfjs-backend-wasm', import.meta.url))) return undefined;
  const tf = (await import(pathToFileURL(require.resolve('@tensorflow/tfjs-core')).href)) as { default?: Tfjs } & Tfjs;
  const path = require.resolve('@tensorflow/tfjs-backend-wasm');
  const backend = (await import(pathToFileURL(path).href)) as { default?: unknown; setWasmPaths?(prefix: string): void };
  const { setWasmPaths } = (backend.default ?? backend) as { setWasmPaths(prefix: string): void };
  setWasmPaths(`${dirname(path)}/`);
  const core = tf.default ?? tf;
  await core.setBackend('wasm');
  await core.ready();
  return core;
}

function tfjs(tf: Tfjs, p: Problem): Contestant {
  const x = tf.tensor4d(p.x, [batch, p.size, p.size, p.channels]);
  // filters are [height, width, in, out] there
  const k = p.kernel;
  const hwio = new Float32Array(p.filter.length);
  for (let o = 0; o < p.filters; o++) {
    for (let t = 0; t < k * k * p.channels; t++) hwio[t * p.filters + o] = p.filter[o * k * k * p.channels + t];
  }
  const filter = tf.tensor4d(hwio, [k, k, p.channels, p.filters]);
  const bias = tf.tensor1d(p.bias);
  const pad = (k - 1) / 2;
  const padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]];
  let last: TfTensor | undefined;
  return {
    run() {
      last?.dispose();
      last = tf.fused.conv2d({ x, filter, strides: p.stride, pad: padding, dimRoundingMode: 'floor', bias, activation: 'relu' });
    },
    result: async () => last!.dataSync(),
    dispose() {
      for (const t of [x, filter, bias, last!]) t.dispose();
    },
  };
}

const relaxedSimd = !options.plain;
const tf = await loadTfjs();
if (tf === undefined) console.log('tfjs-wasm is not installed (npm install --prefix bench/peers): measuring ours alone');
const threads = Number(options.threads);
const one = await cpu({ threads: 1, relaxedSimd });
const many = await cpu({ threads, relaxedSimd });
console.log(`${one.name}; ${many.name}; node ${process.version}; batch ${batch}`);
const heads = ['tfjs-wasm', '1 thread', `${threads} threads`, 'cpu: tfjs', '1 thread'];
console.log('GFLOP/s'.padEnd(18) + heads.map((h) => h.padStart(11)).join(''));

const ratios: { one: number; many: number; processor: number }[] = [];
const rows: object[] = [];
for (const c of cases) {
  const p: Problem = {
    ...c, x: random(batch * c.size * c.size * c.channels), filter: random(c.filters * c.kernel * c.kernel * c.channels),
    bias: random(c.filters),
  };
  const contestants = [await fovea(one, p), await fovea(many, p), ...(tf ? [tfjs(tf, p)] : [])];
  const best = contestants.map(() => Infinity);
  const processor = contestants.map(() => 0);
  let repetitions = 0;
  for (const contestant of contestants) await contestant.run();
  const results = await Promise.all(contestants.map((r) => r.result()));
  // outputs first: a kernel that computes nothing is fast
  const depth = c.kernel * c.kernel * c.channels;
  for (const other of results.slice(1)) {
    if (other.length !== results[0].length) throw new Error(`${c.name}: ${other.length} outputs, expected ${results[0].length}`);
    for (let i = 0; i < other.length; i++) {
      if (!(Math.abs(other[i] - results[0][i]) <= 1e-5 * Math.sqrt(depth) * 4)) {
        throw new Error(`${c.name}: output ${i} is ${results[0][i]} here and ${other[i]} there`);
      }
    }
  }
  const until = performance.now() + Number(options.seconds) * 1000;
  do {
    for (const [i, contestant] of contestants.entries()) {
      const start = performance.now();
      const used = process.cpuUsage();
      await contestant.run();
      best[i] = Math.min(best[i], performance.now() - start);
      const { user, system } = process.cpuUsage(used);
      processor[i] += (user + system) / 1000;
    }
    repetitions++;
  } while (performance.now() < until);
  const flop = 2 * results[0].length * depth;
  const speed = best.map((ms) => flop / ms / 1e6);
  const byProcessor = processor.map((ms) => (flop * repetitions) / ms / 1e6);
  const shown = [speed[2], speed[0], speed[1], byProcessor[2], byProcessor[0]];
  console.log(c.name.padEnd(18) + shown.map((s) => (s ?? NaN).toFixed(1).padStart(11)).join(''));
  if (tf) ratios.push({ one: best[2] / best[0], many: best[2] / best[1], processor: processor[2] / processor[0] });
  rows.push({
    name: c.name, gflops: { tfjs: speed[2], one: speed[0], many: speed[1] }, byProcessorTime: { tfjs: byProcessor[2], one: byProcessor[0] },
  });
  for (const contestant of contestants) contestant.dispose();
}
const mean = (values: number[]): number => Math.exp(values.reduce((s, v) => s + Math.log(v), 0) / values.length);
const summary = {
  one: mean(ratios.map((r) => r.one)), many: mean(ratios.map((r) => r.many)),
  oneByProcessorTime: mean(ratios.map((r) => r.processor)),
};
if (tf) {
  console.log(`geometric mean over tfjs-wasm: one thread ${summary.one.toFixed(2)}, ${threads} threads ${summary.many.toFixed(2)}; `
    + `by processor time, one thread ${summary.oneByProcessorTime.toFixed(2)}`);
}
console.log(JSON.stringify({ bench: 'conv-cpu', node: process.version, device: one.fingerprint, batch, threads, ratios: summary, rows }));
one.dispose();
many.dispose();
