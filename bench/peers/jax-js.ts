/** jax-js with its WebAssembly backend: products and convolutions forward, compiled with its jit. Its gradients are not compared. */
import { timed } from '../../src/benchmark/contest.ts';
import type { AbsentPeer, Contestant } from '../../src/benchmark/types.ts';
import { channelsFirst, channelsLast, convolutionOf } from './convolution.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Engine } from './isolated.ts';

interface JaxArray {
  /** One more reference: every use of an array consumes one. */
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  add(x: JaxArray): JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Jax {
  init(): Promise<string[]>;
  defaultDevice(name: string): void;
  jit(fn: (...args: JaxArray[]) => JaxArray): ((...args: JaxArray[]) => JaxArray) & { dispose?(): void };
  readonly numpy: { array(values: Float32Array): JaxArray; matmul(a: JaxArray, b: JaxArray): JaxArray };
  readonly nn: { relu(x: JaxArray): JaxArray };
  readonly lax: { convWithGeneralPadding(x: JaxArray, w: JaxArray, strides: readonly number[], padding: readonly (readonly number[])[]): JaxArray };
}

const name = 'jax-js, wasm';
const packageName = '@jax-js/jax';

/** Its other backend, as its authors say. */
export const jaxJsWebgpu: AbsentPeer = { name: 'jax-js, webgpu', absent: 'its authors say that this backend does not run in Node' };

export async function open(): Promise<Engine | AbsentPeer> {
  if (locate(packageName) === undefined) return { name, absent: installCommand };
  const jax = await load<Jax>(packageName);
  jax.defaultDevice('wasm');
  const { numpy: np, lax } = jax;
  return {
    name, beside: ['cpu'], ops: ['matmul', 'conv2d'], slowness: 30, versions: { 'jax-js': versionOf(packageName) },
    async enter(problem, values) {
      if (problem.kind === 'step') return { absent: 'not compared: no network of its own' };
      const make = (data: ArrayLike<number>, shape: readonly number[]): JaxArray => np.array(Float32Array.from(data)).reshape(shape);
      const first = ([n, h, w, c]: readonly number[]): number[] => [n, c, h, w];
      let inputs: JaxArray[];
      let compute: (...args: JaxArray[]) => JaxArray;
      let layout = (y: Float32Array): ArrayLike<number> => y;
      const conv = convolutionOf(problem);
      if (problem.op === 'matmul') {
        inputs = problem.inputs.map(({ shape }, i) => make(values[i], shape));
        compute = np.matmul;
      } else if (conv?.direction === 'conv2d') {
        const { image, filter, output, stride, padding: [top, bottom, left, right] } = conv;
        inputs = [
          make(channelsFirst(values[0], image), first(image)), make(channelsFirst(values[1], filter), first(filter)), make(values[2], [1, filter[0], 1, 1]),
        ];
        compute = (x, w, b) => jax.nn.relu(lax.convWithGeneralPadding(x, w, stride, [[top, bottom], [left, right]]).add(b));
        layout = (y) => channelsLast(y, output);
      } else {
        return { absent: 'not compared' };
      }
      const run = jax.jit(compute);
      let last: JaxArray | undefined;
      return {
        name,
        run: (times, queued) => timed(times, async () => {
          last?.dispose();
          last = run(...inputs.map((x) => x.ref));
          await last.blockUntilReady();
        }, queued),
        result: async () => [layout(await last!.ref.data())],
        dispose() {
          for (const x of [...inputs, last]) x?.dispose();
          run.dispose?.();
        },
      } satisfies Contestant;
    },
  };
}
