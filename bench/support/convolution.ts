/** What the convolution benchmarks share: the shapes, our side of the contest, the check of outputs, and the clock. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Device, Executable, Launch, Lowering, Placed, Shape } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import type { Conv2dAttrs } from '../../src/ops/conv2d.ts';

export interface Case {
  readonly name: string;
  readonly size: number;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
  readonly stride: number;
}

const layer = (name: string, size: number, channels: number, filters: number, kernel: number, stride = 1): Case =>
  ({ name, size, channels, filters, kernel, stride });

/** The distinct kinds of convolution in Inception-BN at 224x224. */
export const inceptionCases: readonly Case[] = [
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

export interface Problem extends Case {
  readonly batch: number;
  readonly pad: number;
  /** [batch, size, size, channels]. */
  readonly x: Float32Array<ArrayBuffer>;
  /** KRSC. */
  readonly filter: Float32Array<ArrayBuffer>;
  readonly bias: Float32Array<ArrayBuffer>;
}

let seed = 1;

function random(n: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: n }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  });
}

export function problem(c: Case, batch: number): Problem {
  return {
    ...c, batch, pad: (c.kernel - 1) / 2,
    x: random(batch * c.size * c.size * c.channels), filter: random(c.filters * c.kernel * c.kernel * c.channels), bias: random(c.filters),
  };
}

/** The filter as tfjs has it: [height, width, in, out]. */
export function filterHwio({ filter, filters, kernel, channels }: Problem): Float32Array {
  const taps = kernel * kernel * channels;
  const out = new Float32Array(filter.length);
  for (let o = 0; o < filters; o++) for (let t = 0; t < taps; t++) out[t * filters + o] = filter[o * taps + t];
  return out;
}

export interface Contestant {
  readonly name: string;
  /** Resolves when the work is done. */
  run(): Promise<void> | void;
  result(): Promise<Float32Array>;
  dispose(): void;
}

/** Convolution with bias and ReLU on a device of ours; all that a call needs is in its launches, packing included. */
export async function ours<L extends Launch>(name: string, device: Device, lowering: Lowering<Conv2dAttrs, L>, p: Problem): Promise<Contestant> {
  const out = Math.floor((p.size + 2 * p.pad - p.kernel) / p.stride) + 1;
  const place = (shape: Shape, data?: Float32Array): Placed => {
    const channels = shape[shape.length - 1];
    const buffer = device.allocate(sizeOf(shape) * 4, 'bench');
    if (data) device.write(buffer, 0, data);
    return { shape, dtype: 'float32', buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const inputs = [
    place([p.batch, p.size, p.size, p.channels], p.x), place([p.filters, p.kernel, p.kernel, p.channels], p.filter),
    place([p.filters], p.bias),
  ];
  const outputs = [place([p.batch, out, out, p.filters])];
  const attrs = {
    stride: [p.stride, p.stride], padding: [p.pad, p.pad, p.pad, p.pad], dilation: [1, 1], activation: 'relu',
  } satisfies Conv2dAttrs;
  const scratch = (lowering.scratch?.(inputs, outputs, attrs) ?? []).map((bytes) =>
    ({ buffer: device.allocate(bytes, 'bench'), byteOffset: 0, bytes }));
  const launches = lowering.launches({ attrs, inputs, outputs, scratch });
  const executable: Executable = await device.build(launches.map((launch) => ({ launch, node: p.name, flop: 0 })));
  return {
    name,
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

export interface Measured {
  readonly flop: number;
  /** Milliseconds of every run, by contestant. */
  readonly samples: readonly (readonly number[])[];
  /** GFLOP/s by the median run. */
  readonly speed: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

/** Runs of one contestant before the next has its turn: threads of the one before have gone to sleep by the second. */
const turn = 5;

/**
 * Compares the contestants' outputs, then times them in turns for some seconds, at least `runs` times each: other work on the machine
 * meets all alike.
 *
 * @throws Error when outputs differ: a kernel that computes nothing is fast
 */
export async function contest(p: Problem, contestants: readonly Contestant[], seconds: number, runs = 20): Promise<Measured> {
  for (const contestant of contestants) await contestant.run();
  const results: Float32Array[] = [];
  for (const contestant of contestants) results.push(await contestant.result());
  const depth = p.kernel * p.kernel * p.channels;
  for (const [k, other] of results.entries()) {
    const where = `${p.name}, ${contestants[k].name}`;
    if (other.length !== results[0].length) throw new Error(`${where}: ${other.length} outputs, expected ${results[0].length}`);
    const wrong = other.findIndex((x, i) => !(Math.abs(x - results[0][i]) <= 4e-5 * Math.sqrt(depth)));
    if (wrong >= 0) throw new Error(`${where}: output ${wrong} is ${other[wrong]}, expected ${results[0][wrong]}`);
  }
  const samples = contestants.map((): number[] => []);
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until || samples[0].length < runs) {
    for (const [i, contestant] of contestants.entries()) {
      for (let run = 0; run < turn; run++) {
        const start = performance.now();
        await contestant.run();
        samples[i].push(performance.now() - start);
      }
    }
  }
  const flop = 2 * results[0].length * depth;
  return { flop, samples, speed: samples.map((ms) => flop / median(ms) / 1e6) };
}

/** Writes what was measured, raw samples included, beside what it was measured on. */
export function writeResults(file: string | undefined, results: object): void {
  if (file === undefined) return;
  const machine = { processor: cpus()[0].model, cores: cpus().length, node: process.version, date: new Date().toISOString().slice(0, 10) };
  const rounded = (_: string, x: unknown): unknown => (typeof x === 'number' && !Number.isInteger(x) ? Number(x.toPrecision(5)) : x);
  writeFileSync(file, `${JSON.stringify({ machine, ...results }, rounded)}\n`);
}
