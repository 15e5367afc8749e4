/** onnxruntime-node on the CPU: products and convolutions forward, as models of one or two nodes. It cannot train. */
import { timed } from '../../src/benchmark/contest.ts';
import type { AbsentPeer, Contestant, KernelProblem } from '../../src/benchmark/types.ts';
import type { HostData } from '../../src/device/types.ts';
import { channelsFirst, channelsLast, convolutionOf } from './convolution.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Engine } from './isolated.ts';

interface OrtTensor {
  readonly data: Float32Array;
}
interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  readonly Tensor: new (dtype: 'float32', data: Float32Array, shape: readonly number[]) => OrtTensor;
}
interface OnnxProto {
  readonly onnx: { readonly ModelProto: { create(model: object): object; encode(model: object): { finish(): Uint8Array } } };
}

const FLOAT = 1;
const ATTRIBUTE_INTS = 7;

export async function open({ threads }: { threads: number }): Promise<Engine | AbsentPeer> {
  const name = `onnxruntime, ${threads} thread${threads === 1 ? '' : 's'}`;
  if (locate('onnxruntime-node') === undefined || locate('onnx-proto') === undefined) return { name, absent: installCommand };
  const ort = await load<Ort>('onnxruntime-node');
  const { onnx } = await load<OnnxProto>('onnx-proto');
  return {
    name, beside: ['cpu'], ops: ['matmul', 'conv2d'], versions: { onnxruntime: versionOf('onnxruntime-node'), threads },
    async enter(problem, values) {
      if (problem.kind === 'step') return { absent: 'it cannot train' };
      const graph = graphOf(problem, values);
      if (graph === undefined) return { absent: 'forward products and convolutions only' };
      const { nodes, feeds, layout } = graph;
      const describe = (key: string, shape?: readonly number[]): object => ({
        name: key, type: { tensorType: { elemType: FLOAT, shape: { dim: shape?.map((dimValue) => ({ dimValue })) ?? [] } } },
      });
      const model = onnx.ModelProto.encode(onnx.ModelProto.create({
        irVersion: 8, opsetImport: [{ domain: '', version: 17 }],
        graph: {
          name: 'benchmark', node: nodes, input: Object.entries(feeds).map(([key, f]) => describe(key, f.shape)), output: [describe('y', graph.output)],
        },
      })).finish();
      const session = await ort.InferenceSession.create(model, { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'] });
      const tensors = Object.fromEntries(Object.entries(feeds).map(([key, f]) => [key, new ort.Tensor('float32', f.data, f.shape)]));
      let last: OrtTensor | undefined;
      return {
        name,
        run: (times, queued) => timed(times, async () => {
          last = (await session.run(tensors)).y;
        }, queued),
        result: async () => [layout(last!.data)],
        dispose: () => session.release(),
      } satisfies Contestant;
    },
  };
}

interface Graph {
  readonly nodes: readonly object[];
  readonly feeds: Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>;
  readonly output: readonly number[];
  readonly layout: (y: Float32Array) => ArrayLike<number>;
}

/** Filters are inputs, not constants, so that packing is done in every run, as it is in training. */
function graphOf(problem: KernelProblem, values: readonly HostData[]): Graph | undefined {
  const conv = convolutionOf(problem);
  if (problem.op === 'matmul') {
    const [a, b] = problem.inputs.map(({ shape }, i) => ({ data: values[i] as Float32Array, shape }));
    return { nodes: [{ opType: 'MatMul', input: ['a', 'b'], output: ['y'] }], feeds: { a, b }, output: [a.shape[0], b.shape[1]], layout: (y) => y };
  }
  if (conv?.direction !== 'conv2d') return undefined;
  const { image, filter, output, stride, padding: [top, bottom, left, right] } = conv;
  const first = ([n, h, w, c]: readonly number[]): number[] => [n, c, h, w];
  const attribute = (name: string, ints: readonly number[]): object => ({ name, type: ATTRIBUTE_INTS, ints });
  return {
    nodes: [
      {
        opType: 'Conv', input: ['x', 'w', 'b'], output: ['z'],
        attribute: [attribute('strides', stride), attribute('pads', [top, left, bottom, right]), attribute('kernel_shape', [filter[1], filter[2]])],
      },
      { opType: 'Relu', input: ['z'], output: ['y'] },
    ],
    feeds: {
      x: { data: channelsFirst(values[0], image), shape: first(image) }, w: { data: channelsFirst(values[1], filter), shape: first(filter) },
      b: { data: values[2] as Float32Array, shape: [filter[0]] },
    },
    output: first(output),
    layout: (y) => channelsLast(y, output),
  };
}
