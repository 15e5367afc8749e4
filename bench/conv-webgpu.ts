/**
 * Convolution forward with bias and ReLU at the shapes of Inception-BN (224x224): the webgpu device against tfjs-webgpu 4.22, in one
 * process and one run, on one adapter of one instance of Dawn. Both find x, filters and bias in device memory; everything that a call
 * does from there is counted. Contestants run in turn; medians count. Outputs are compared before anything is timed: a kernel that did
 * not compile is fast.
 *
 *     npm install --prefix bench/peers
 *     npm run bench -- conv-webgpu [--batch 1] [--seconds 2] [--adapter llvmpipe] [--kernels software|hardware] [--only NAME] [--out FILE]
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { loadSoftwareDriver } from '../src/device/webgpu/driver.ts';
import { webgpu } from '../src/device/webgpu/index.ts';
import { conv2dLowering } from '../src/ops/webgpu/conv.ts';
import type { Contestant, Problem } from './support/convolution.ts';
import { contest, filterHwio, geometricMean, inceptionCases, ours, problem, writeResults } from './support/convolution.ts';

const { values: options } = parseArgs({
  options: {
    batch: { type: 'string', default: '1' }, seconds: { type: 'string', default: '2' }, adapter: { type: 'string', default: 'llvmpipe' },
    kernels: { type: 'string' }, only: { type: 'string' }, out: { type: 'string' },
  },
});
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
  const { kernel, pad } = p;
  const x = core.tensor4d(p.x, [p.batch, p.size, p.size, p.channels]);
  const filter = core.tensor4d(filterHwio(p), [kernel, kernel, p.channels, p.filters]);
  const bias = core.tensor1d(p.bias);
  const padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]];
  let last: TfTensor | undefined;
  return {
    name: 'tfjs-webgpu',
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
const batch = Number(options.batch);
const kernels = options.kernels as 'software' | 'hardware' | undefined;
const device = await webgpu({ gpu, ...(kernels === undefined ? {} : { kernels }) });
const tf = await loadTfjs();
if (tf === undefined) console.log('tfjs-webgpu is not installed (npm install --prefix bench/peers): measuring ours alone');
console.log(`${device.name}; node ${process.version}; batch ${batch}`);
console.log(`${'GFLOP/s (median)'.padEnd(18)}${'tfjs-webgpu'.padStart(12)}${'fovea'.padStart(9)}${'ratio'.padStart(8)}`);

const ratios: number[] = [];
const rows: object[] = [];
for (const c of inceptionCases.filter((one) => options.only === undefined || one.name === options.only)) {
  const p = problem(c, batch);
  const contestants = [await ours('fovea', device, conv2dLowering, p), ...(tf ? [tfjs(tf, p)] : [])];
  const { speed: [own, theirs = NaN], flop, samples } = await contest(p, contestants, Number(options.seconds));
  console.log(c.name.padEnd(18) + theirs.toFixed(1).padStart(12) + own.toFixed(1).padStart(9) + (own / theirs).toFixed(2).padStart(8));
  if (tf) ratios.push(own / theirs);
  rows.push({ name: c.name, flop, gflops: { fovea: own, tfjs: theirs }, milliseconds: samples });
  for (const contestant of contestants) contestant.dispose();
}
const ratio = geometricMean(ratios);
if (tf) console.log(`geometric mean over tfjs-webgpu: ${ratio.toFixed(2)}`);
writeResults(options.out, { bench: 'conv-webgpu', device: device.fingerprint, batch, ratio, rows });
device.dispose();
process.exit(0);
