/** What tfjs's backends share: the part of tfjs-core that is called here, and contestants for products, convolutions and poolings. */
import type { HostData } from '../../src/device/types.ts';
import { timed } from '../../src/benchmark/contest.ts';
import type { Contestant, KernelProblem } from '../../src/benchmark/types.ts';
import { convolutionOf, filterHwio, filterKrsc } from './convolution.ts';

export interface TfTensor {
  readonly shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
  add(x: TfTensor | number): TfTensor;
  sub(x: TfTensor | number): TfTensor;
  mul(x: TfTensor | number): TfTensor;
  div(x: TfTensor | number): TfTensor;
  square(): TfTensor;
  rsqrt(): TfTensor;
  relu(): TfTensor;
  mean(axes?: number[], keepDims?: boolean): TfTensor;
  reshape(shape: number[]): TfTensor;
}

export interface TfVariable extends TfTensor {
  assign(x: TfTensor): void;
}

type Pads = number | [[number, number], [number, number], [number, number], [number, number]];

/** Of backend_webgpu.js, 4.22; other backends have none of it. */
export interface TfBackend {
  endComputePassEncoder?(): void;
  submitQueue?(): void;
  /** What is recorded and not yet submitted; null where there is nothing. */
  readonly commandEncoder?: object | null;
  readonly device?: Pick<GPUDevice, 'queue'>;
}

export interface Tf {
  tensor(values: ArrayLike<number>, shape: readonly number[], dtype?: string): TfTensor;
  variable(x: TfTensor, trainable?: boolean, name?: string): TfVariable;
  tidy<T>(fn: () => T): T;
  dispose(x: unknown): void;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  conv2d(x: TfTensor, filter: TfTensor, strides: readonly number[], pad: Pads, format?: string, dilations?: number, rounding?: string): TfTensor;
  maxPool(x: TfTensor, size: readonly number[], strides: readonly number[], pad: Pads, rounding?: string): TfTensor;
  avgPool(x: TfTensor, size: readonly number[], strides: readonly number[], pad: Pads, rounding?: string): TfTensor;
  pad(x: TfTensor, widths: readonly (readonly number[])[]): TfTensor;
  concat(x: TfTensor[], axis: number): TfTensor;
  fused: { conv2d(options: object): TfTensor };
  losses: { softmaxCrossEntropy(oneHot: TfTensor, logits: TfTensor): TfTensor };
  oneHot(labels: TfTensor, classes: number): TfTensor;
  variableGrads(fn: () => TfTensor): { value: TfTensor; grads: Record<string, TfTensor> };
  train: { momentum(rate: number, momentum: number): { applyGradients(grads: Record<string, TfTensor>): void; dispose(): void } };
  backend(): TfBackend;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
}

/** Waits for what was recorded. */
export type Flush = (last: TfTensor) => Promise<void>;

export const pads = ([top, bottom, left, right]: readonly number[]): Pads => [[0, 0], [top, bottom], [left, right], [0, 0]];

/** `compute` is timed until `flush` says that it is done; its result is kept until the next. */
export function tfContestant(
  name: string, flush: Flush, compute: () => TfTensor, inputs: readonly TfTensor[], layout: (values: Float32Array) => ArrayLike<number>,
): Contestant {
  let last: TfTensor | undefined;
  return {
    name,
    run: (times, queued) => timed(times, () => {
      last?.dispose();
      last = compute();
    }, queued, () => flush(last!)),
    result: async () => [layout(await last!.data())],
    dispose() {
      for (const t of [...inputs, last]) t?.dispose();
    },
  };
}

const same = (values: Float32Array): Float32Array => values;

/** A contestant of a backend; undefined for problems that tfjs-core has no op for. */
export function tfKernel(tf: Tf, name: string, flush: Flush, problem: KernelProblem, values: readonly HostData[]): Contestant | undefined {
  const { op, inputs, attrs } = problem;
  const conv = convolutionOf(problem);
  if (conv !== undefined) {
    const { stride, padding, image, filter } = conv;
    const [k, r, s, c] = filter;
    const hwio = (v: HostData): TfTensor => tf.tensor(filterHwio(v, filter), [r, s, c, k]);
    const a = op === 'conv2d' || op === 'conv2dFilterGrad' ? tf.tensor(values[0], inputs[0].shape) : hwio(values[1]);
    const b = op === 'conv2d' ? hwio(values[1]) : op === 'conv2dInputGrad' ? tf.tensor(values[0], inputs[0].shape) : tf.tensor(values[1], inputs[1].shape);
    if (op === 'conv2d') {
      const bias = tf.tensor(values[2], [k]);
      const options = { x: a, filter: b, strides: stride, pad: pads(padding), dimRoundingMode: 'floor', bias, activation: 'relu' };
      return tfContestant(name, flush, () => tf.fused.conv2d(options), [a, b, bias], same);
    }
    const gradients = tf as unknown as {
      engine(): { runKernel(name: string, inputs: object, attrs: object): TfTensor };
    };
    // tfjs-core keeps its gradient ops to itself; the kernels that its own gradients run have names.
    const shared = { strides: stride, pad: pads(padding), dataFormat: 'NHWC', dimRoundingMode: 'floor' };
    const compute = op === 'conv2dInputGrad'
      ? () => gradients.engine().runKernel('Conv2DBackpropInput', { dy: b, filter: a }, { ...shared, inputShape: image })
      : () => gradients.engine().runKernel('Conv2DBackpropFilter', { x: a, dy: b }, { ...shared, filterShape: [r, s, c, k] });
    return tfContestant(name, flush, compute, [a, b], op === 'conv2dFilterGrad' ? (v) => filterKrsc(v, filter) : same);
  }
  if (op === 'matmul') {
    const [a, b] = inputs.map((t, i) => tf.tensor(values[i], t.shape));
    return tfContestant(name, flush, () => tf.matMul(a, b), [a, b], same);
  }
  if (op === 'maxPool2d') {
    const x = tf.tensor(values[0], inputs[0].shape);
    const { size, stride, padding } = attrs as unknown as { size: number[]; stride: number[]; padding: number[] };
    return tfContestant(name, flush, () => tf.maxPool(x, size, stride, pads(padding), 'floor'), [x], same);
  }
  return undefined;
}
