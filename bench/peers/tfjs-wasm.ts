/** tfjs with its WebAssembly backend (XNNPACK). It runs one thread in Node, has no filter gradient, and packs filters once and keeps them. */
import { dirname } from 'node:path';
import type { AbsentPeer } from '../../src/benchmark/types.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Engine } from './isolated.ts';
import type { Tf } from './tfjs.ts';
import { tfKernel } from './tfjs.ts';

const name = 'tfjs-wasm';
const packageName = '@tensorflow/tfjs-backend-wasm';

export async function open(): Promise<Engine | AbsentPeer> {
  const path = locate(packageName);
  if (path === undefined) return { name, absent: installCommand };
  const tf = await load<Tf>('@tensorflow/tfjs');
  const { setWasmPaths } = await load<{ setWasmPaths(prefix: string): void }>(packageName);
  setWasmPaths(`${dirname(path)}/`);
  return {
    name, beside: ['cpu'], ops: ['matmul', 'conv2d', 'conv2dInputGrad', 'maxPool2d'], versions: { tfjs: versionOf(packageName), threads: 1 },
    async enter(problem, values) {
      await tf.setBackend('wasm');
      await tf.ready();
      if (problem.kind === 'step') return { absent: 'no kernel for the gradient of a convolution by its filter' };
      return tfKernel(tf, name, async () => undefined, problem, values) ?? { absent: 'not compared' };
    },
  };
}
