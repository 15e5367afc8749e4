/**
 * gpu.js: what a JavaScript author gets without hand-written kernels. One function computes one element, and is compiled for
 * JavaScript (cpu), WebAssembly with SIMD and threads (webasm) or WGSL on our adapter (webgpu). It is handed arrays and hands arrays
 * back: what that costs is part of what it offers, and counted.
 */
import { availableParallelism } from 'node:os';
import { timed } from '../../src/benchmark/contest.ts';
import type { AbsentPeer, Contestant, KernelProblem, Peer } from '../../src/benchmark/types.ts';
import { outputTypes } from '../../src/benchmark/check.ts';
import type { HostData } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { offerAdapter } from './adapter.ts';
import { convolutionOf } from './convolution.ts';
import { versionOf } from './install.ts';
import type { Engine } from './isolated.ts';

type Mode = 'cpu' | 'webasm' | 'webgpu';
interface GpuKernel {
  (...args: HostData[]): Float32Array | Promise<Float32Array>;
  destroy(): void;
}
interface GpuJs {
  createKernel(source: string, options: object): GpuKernel;
  destroy(): Promise<void> | void;
}

/** The kernels in gpu.js's subset of JavaScript: `this.thread.x` is the element of the flat result, `this.constants` the shapes. */
const sources = {
  matmul: `function (a, b) {
    const row = Math.floor(this.thread.x / this.constants.n);
    const column = this.thread.x - row * this.constants.n;
    let sum = 0;
    for (let i = 0; i < this.constants.k; i++) sum += a[row * this.constants.k + i] * b[i * this.constants.n + column];
    return sum;
  }`,
  conv2d: `function (x, w, bias) {
    const pixel = Math.floor(this.thread.x / this.constants.k);
    const f = this.thread.x - pixel * this.constants.k;
    const ox = pixel % this.constants.q;
    const line = Math.floor(pixel / this.constants.q);
    const oy = line % this.constants.p;
    const image = Math.floor(line / this.constants.p);
    let sum = bias[f];
    for (let i = 0; i < this.constants.r; i++) {
      const iy = oy * this.constants.u + i - this.constants.top;
      if (iy >= 0 && iy < this.constants.h) {
        for (let j = 0; j < this.constants.s; j++) {
          const ix = ox * this.constants.v + j - this.constants.left;
          if (ix >= 0 && ix < this.constants.w) {
            const from = ((image * this.constants.h + iy) * this.constants.w + ix) * this.constants.c;
            const tap = ((f * this.constants.r + i) * this.constants.s + j) * this.constants.c;
            for (let c = 0; c < this.constants.c; c++) sum += x[from + c] * w[tap + c];
          }
        }
      }
    }
    return Math.max(sum, 0);
  }`,
  conv2dFilterGrad: `function (x, dy) {
    const tap = Math.floor(this.thread.x / this.constants.c);
    const c = this.thread.x - tap * this.constants.c;
    const j = tap % this.constants.s;
    const line = Math.floor(tap / this.constants.s);
    const i = line % this.constants.r;
    const f = Math.floor(line / this.constants.r);
    let sum = 0;
    for (let image = 0; image < this.constants.n; image++) {
      for (let oy = 0; oy < this.constants.p; oy++) {
        const iy = oy * this.constants.u + i - this.constants.top;
        if (iy >= 0 && iy < this.constants.h) {
          for (let ox = 0; ox < this.constants.q; ox++) {
            const ix = ox * this.constants.v + j - this.constants.left;
            if (ix >= 0 && ix < this.constants.w) {
              const from = ((image * this.constants.h + iy) * this.constants.w + ix) * this.constants.c + c;
              sum += x[from] * dy[((image * this.constants.p + oy) * this.constants.q + ox) * this.constants.k + f];
            }
          }
        }
      }
    }
    return sum;
  }`,
};

export async function open({ mode, adapter }: { mode: Mode; adapter?: string }): Promise<Engine | AbsentPeer> {
  const name = `gpu.js, ${mode}`;
  let GPU: new (options: object) => GpuJs;
  let version: string;
  try {
    if (mode === 'webgpu') await offerAdapter(adapter);
    ({ GPU } = (await import('gpu.js')) as unknown as { GPU: typeof GPU });
    version = versionOf('gpu.js');
  } catch (error) {
    return { name, absent: `npm install (${(error as Error).message.split('\n')[0]})` };
  }
  const threads: Peer['versions'] = mode === 'webasm' ? { threads: availableParallelism() } : {};
  return {
    name, ops: Object.keys(sources), slowness: 150, beside: [mode === 'webgpu' ? 'webgpu' : 'cpu'], versions: { 'gpu.js': version, ...threads },
    async enter(problem, values) {
      if (problem.kind === 'step') return { absent: 'no autograd' };
      const source = sources[problem.op as keyof typeof sources];
      const gpu = new GPU({ mode });
      const [{ shape }] = outputTypes(problem);
      const kernel = gpu.createKernel(source, {
        output: [sizeOf(shape)], constants: constantsOf(problem), precision: 'single', asyncMode: mode !== 'cpu', loopMaxIterations: 1 << 24,
      });
      return contestant(name, gpu, kernel, values);
    },
  };
}

function contestant(name: string, gpu: GpuJs, kernel: GpuKernel, values: readonly HostData[]): Contestant {
  let last: Float32Array | undefined;
  return {
    name,
    run: (times, queued) => timed(times, async () => {
      last = await kernel(...values);
    }, queued),
    result: async () => [last!],
    async dispose() {
      kernel.destroy();
      await gpu.destroy();
    },
  };
}

function constantsOf(problem: KernelProblem): Record<string, number> {
  const conv = convolutionOf(problem);
  if (conv === undefined) {
    const [[, k], [, n]] = problem.inputs.map((t) => t.shape);
    return { k, n };
  }
  const { image: [n, h, w, c], filter: [k, r, s], output: [, p, q], stride: [u, v], padding: [top, , left] } = conv;
  return { n, h, w, c, k, r, s, p, q, u, v, top, left };
}
