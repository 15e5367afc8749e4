/**
 * Convolution forward with bias and ReLU at the shapes of Inception-BN (224x224): the webgpu device against tfjs-webgpu 4.22, in one
 * process and one run, on one adapter of one instance of Dawn. Both find x, filters and bias in device memory; everything that a call
 * does from there is counted. Repetitions of the contestants alternate, the least time of each counts: other work on the machine slows
 * single repetitions, not all. Outputs are compared before anything is timed: a kernel that did not compile is fast.
 *
 *     npm install --prefix bench/peers
 *     node --import tsx bench/conv-webgpu.ts [--batch 1] [--seconds 2] [--adapter llvmpipe] [--kernels software|hardware] [--only NAME]
 *
 * The last line is JSON.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Device, Executable, Placed, Shape } from '../src/device/types.ts';
import { sizeOf } from '../src/device/types.ts';
import { loadSoftwareDriver } from '../src/device/webgpu/driver.ts';
import { webgpu } from '../src/device/webgpu/index.ts';
import { conv2dLowering } from '../src/ops/webgpu/conv.ts';

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
    batch: { type: 'string', default: '1' }, seconds: { type: 'string', default: '2' }, adapter: { type: 'string', default: 'llvmpipe' },
    kernels: { type: 'string' }, only: { type: 'string' },
  },
});
const batch = Number(options.batch);

let seed = 1;
const random = (n: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: n }, () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
});

interface Contestant {
  /** Resolves when the device is done. */
  run(): Promise<void>;
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
    return { shape, dtype: 'float32', buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const inputs = [
    place([batch, p.size, p.size, p.channels], p.x), place([p.filters, p.kernel, p.kernel, p.channels], p.filter),
    place([p.filters], p.bias),
  ];
  const outputs = [place([batch, out, out, p.filters])];
  const attrs = { stride: [p.stride, p.stride], padding: [pad, pad, pad, pad], dilation: [1, 1], activation: 'relu' } as const;
  const types = [...inputs, ...outputs];
  const scratch = (conv2dLowering.scratch?.(types.slice(0, 3), types.slice(3), attrs) ?? []).map((bytes) =>
    ({ buffer: device.allocate(bytes, 'bench'), byteOffset: 0, bytes }));
  const launches = conv2dLowering.launches({ attrs, inputs, outputs, scratch });
  const executable: Executable = await device.build(launches.map((launch) => ({ launch, node: p.name, flop: 0 })));
  return {
    async run() {
      await executable.run();
      await device.synchronize();
    },
    result: async () => new Float32Array((await device.read(outputs[0].buffer, 0, outputs[0].buffer.bytes)).buffer),
    dispose() {
      executable.dispose();
      for (const v of [...inputs, ...outputs, ...scratch]) v.buffer.dispose();
    },
  };
}

interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface TfCore {
  tensor4d(values: Float32Array, shape: number[]): TfTensor;
  tensor1d(values: Float32Array): TfTensor;
  fused: { conv2d(options: object): TfTensor };
  backend(): { endComputePassEncoder(): void; submitQueue(): void; readonly device: GPUDevice };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
}
interface Tfjs {
  readonly core: TfCore;
  /** Submits what was recorded and waits for it. */
  flush(): Promise<void>;
}

/** tfjs with its WebGPU backend, or undefined where it is not installed. */
async function loadTfjs(): Promise<Tfjs | undefined> {
  if (!existsSync(new URL('peers/node_modules/@tensorflow/tfjs-backend-webgpu', import.meta.url))) return undefined;
  const require = createRequire(new URL('peers/package.json', import.meta.url));
  const load = async (name: string): Promise<object> => {
    const loaded = (await import(pathToFileURL(require.resolve(name)).href)) as { default?: object };
    return loaded.default ?? loaded;
  };
  const core = (await load('@tensorflow/tfjs-core')) as TfCore;
  await load('@tensorflow/tfjs-backend-webgpu');
  await core.setBackend('webgpu');
  await core.ready();
  const made = core.backend();
  return {
    core,
    async flush() {
      made.endComputePassEncoder();
      made.submitQueue();
      await made.device.queue.onSubmittedWorkDone();
    },
  };
}

function tfjs({ core, flush }: Tfjs, p: Problem): Contestant {
  const x = core.tensor4d(p.x, [batch, p.size, p.size, p.channels]);
  // filters are [height, width, in, out] there
  const k = p.kernel;
  const hwio = new Float32Array(p.filter.length);
  for (let o = 0; o < p.filters; o++) {
    for (let t = 0; t < k * k * p.channels; t++) hwio[t * p.filters + o] = p.filter[o * k * k * p.channels + t];
  }
  const filter = core.tensor4d(hwio, [k, k, p.channels, p.filters]);
  const bias = core.tensor1d(p.bias);
  const pad = (k - 1) / 2;
  const padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]];
  let last: TfTensor | undefined;
  return {
    async run() {
      last?.dispose();
      last = core.fused.conv2d({ x, filter, strides: p.stride, pad: padding, dimRoundingMode: 'floor', bias, activation: 'relu' });
      await flush();
    },
    result: () => last!.data(),
    dispose() {
      for (const t of [x, filter, bias, last!]) t.dispose();
    },
  };
}

async function openGpu(): Promise<GPU> {
  const { create, globals } = await import('webgpu');
  if (options.adapter === 'llvmpipe') loadSoftwareDriver();
  const gpu = create(options.adapter === 'llvmpipe' ? ['backend=opengles'] : []);
  // tfjs sets itself up through a browser's names; it does not know of compatibility adapters, so the request says it.
  const requestAdapter = async (): Promise<GPUAdapter | null> =>
    (await gpu.requestAdapter()) ?? (await gpu.requestAdapter({ featureLevel: 'compatibility' }));
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: { requestAdapter }, userAgent: 'node' }, configurable: true });
  return gpu;
}

const gpu = await openGpu();
const kernels = options.kernels as 'software' | 'hardware' | undefined;
const device = await webgpu({ gpu, ...(kernels === undefined ? {} : { kernels }) });
const tf = await loadTfjs();
if (tf === undefined) console.log('tfjs-webgpu is not installed (npm install --prefix bench/peers): measuring ours alone');
console.log(`${device.name}; node ${process.version}; batch ${batch}`);
console.log(`${'GFLOP/s'.padEnd(18)}${'tfjs-webgpu'.padStart(12)}${'fovea'.padStart(9)}${'ratio'.padStart(8)}`);

const ratios: number[] = [];
const rows: object[] = [];
for (const c of cases.filter((one) => options.only === undefined || one.name === options.only)) {
  const p: Problem = {
    ...c, x: random(batch * c.size * c.size * c.channels), filter: random(c.filters * c.kernel * c.kernel * c.channels),
    bias: random(c.filters),
  };
  const contestants = [await fovea(device, p), ...(tf ? [tfjs(tf, p)] : [])];
  for (const contestant of contestants) await contestant.run();
  const results = await Promise.all(contestants.map((r) => r.result()));
  const depth = c.kernel * c.kernel * c.channels;
  for (const other of results.slice(1)) {
    if (other.length !== results[0].length) throw new Error(`${c.name}: ${other.length} outputs, expected ${results[0].length}`);
    for (let i = 0; i < other.length; i++) {
      if (!(Math.abs(other[i] - results[0][i]) <= 1e-5 * Math.sqrt(depth) * 4)) {
        throw new Error(`${c.name}: output ${i} is ${results[0][i]} here and ${other[i]} there`);
      }
    }
  }
  const best = contestants.map(() => Infinity);
  const until = performance.now() + Number(options.seconds) * 1000;
  do {
    for (const [i, contestant] of contestants.entries()) {
      const start = performance.now();
      await contestant.run();
      best[i] = Math.min(best[i], performance.now() - start);
    }
  } while (performance.now() < until);
  const flop = 2 * results[0].length * depth;
  const [ours, theirs = NaN] = best.map((ms) => flop / ms / 1e6);
  console.log(c.name.padEnd(18) + theirs.toFixed(1).padStart(12) + ours.toFixed(1).padStart(9) + (ours / theirs).toFixed(2).padStart(8));
  if (tf) ratios.push(ours / theirs);
  rows.push({ name: c.name, gflops: { tfjs: theirs, fovea: ours } });
  for (const contestant of contestants) contestant.dispose();
}
const ratio = Math.exp(ratios.reduce((s, v) => s + Math.log(v), 0) / ratios.length);
if (tf) console.log(`geometric mean over tfjs-webgpu: ${ratio.toFixed(2)}`);
console.log(JSON.stringify({ bench: 'conv-webgpu', node: process.version, device: device.fingerprint, batch, ratio, rows }));
device.dispose();
process.exit(0);
