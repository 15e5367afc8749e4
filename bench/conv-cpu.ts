/**
 * Convolution forward with bias and ReLU at the shapes of Inception-BN (224x224): the cpu device against tfjs-wasm 4.22 (XNNPACK), in
 * one process and one run. Everything that a call needs is counted on our side, packing of filters included; tfjs packs filters once
 * and keeps them. Contestants run in turn; medians count. tfjs runs one thread in Node, so its one thread stands against our one and
 * against our several.
 *
 *     npm install --prefix bench/peers
 *     npm run bench -- conv-cpu [--batch 4] [--seconds 2] [--threads 2] [--plain] [--out FILE]
 *
 * Relaxed SIMD is used on our side where the engine has it (Node 20 by a flag, as the command line does), unless --plain.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { cpu } from '../src/device/cpu/index.ts';
import { conv2dLowering } from '../src/ops/cpu/conv.ts';
import type { Contestant, Problem } from './support/convolution.ts';
import { contest, filterHwio, geometricMean, inceptionCases, ours, problem, writeResults } from './support/convolution.ts';

const { values: options } = parseArgs({
  options: {
    batch: { type: 'string', default: '4' }, seconds: { type: 'string', default: '2' }, threads: { type: 'string', default: '2' },
    plain: { type: 'boolean', default: false }, out: { type: 'string' },
  },
});

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
  const require = createRequire(new URL('peers/package.json', import.meta.url));
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
  const { kernel, pad } = p;
  const x = tf.tensor4d(p.x, [p.batch, p.size, p.size, p.channels]);
  const filter = tf.tensor4d(filterHwio(p), [kernel, kernel, p.channels, p.filters]);
  const bias = tf.tensor1d(p.bias);
  const padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]];
  let last: TfTensor | undefined;
  return {
    name: 'tfjs-wasm',
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
const [batch, threads, seconds] = [options.batch, options.threads, options.seconds].map(Number);
const tf = await loadTfjs();
if (tf === undefined) console.log('tfjs-wasm is not installed (npm install --prefix bench/peers): measuring ours alone');
const one = await cpu({ threads: 1, relaxedSimd });
const many = await cpu({ threads, relaxedSimd });
console.log(`${one.name}; ${many.name}; node ${process.version}; batch ${batch}`);
console.log('GFLOP/s (median)'.padEnd(18) + ['tfjs-wasm', '1 thread', `${threads} threads`].map((h) => h.padStart(11)).join(''));

const ratios = { one: [] as number[], many: [] as number[] };
const rows: object[] = [];
for (const c of inceptionCases) {
  const p = problem(c, batch);
  const contestants = [
    await ours('1 thread', one, conv2dLowering, p), await ours(`${threads} threads`, many, conv2dLowering, p), ...(tf ? [tfjs(tf, p)] : []),
  ];
  const { speed, flop, samples } = await contest(p, contestants, seconds);
  console.log(c.name.padEnd(18) + [speed[2], speed[0], speed[1]].map((s) => (s ?? NaN).toFixed(1).padStart(11)).join(''));
  if (tf) {
    ratios.one.push(speed[0] / speed[2]);
    ratios.many.push(speed[1] / speed[2]);
  }
  rows.push({ name: c.name, flop, gflops: { one: speed[0], many: speed[1], tfjs: speed[2] }, milliseconds: samples });
  for (const contestant of contestants) contestant.dispose();
}
const summary = { one: geometricMean(ratios.one), many: geometricMean(ratios.many) };
if (tf) console.log(`geometric mean over tfjs-wasm: one thread ${summary.one.toFixed(2)}, ${threads} threads ${summary.many.toFixed(2)}`);
writeResults(options.out, { bench: 'conv-cpu', device: one.fingerprint, batch, threads, ratios: summary, rows });
one.dispose();
many.dispose();
