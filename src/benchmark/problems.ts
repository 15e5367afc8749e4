/** The table of kernels: which op at which shapes. */
import type { HalfType, Shape } from '../device/types.ts';
import type { Attrs } from '../graph/node.ts';
import { getOp } from '../fovea.ts';
import { distinct, inceptionBNLayers, inceptionV3Layers } from './layers.ts';
import type { ConvolutionLayer, NormLayer, PoolingLayer } from './layers.ts';
import type { InputSpec, KernelProblem } from './types.ts';

const f32 = (shape: Shape, extra: Partial<InputSpec> = {}): InputSpec => ({ shape, dtype: 'float32', ...extra });
const problem = (group: KernelProblem['group'], op: string, name: string, inputs: readonly InputSpec[], attrs: Attrs, layers: readonly string[] = []) =>
  ({ kind: 'kernel', group, op, name: `${op} ${name}`, inputs, attrs, layers }) satisfies KernelProblem;

const product = ([m, k, n]: readonly number[], transposeB = false): KernelProblem =>
  problem('gemm', 'matmul', `${m}x${k}x${n}${transposeB ? ' right transposed' : ''}`, [f32([m, k]), f32(transposeB ? [n, k] : [k, n])],
    { transposeA: false, transposeB });

export const squareProduct = (side: number, transposeB = false): KernelProblem => product([side, side, side], transposeB);

/** Square products, and the shapes of a fully connected layer and its gradient. */
function gemm(): KernelProblem[] {
  const sizes = [[256, 256, 256], [512, 512, 512], [1024, 1024, 1024], [64, 1024, 1000], [3136, 64, 192]];
  return sizes.map((size) => product(size));
}

/** Convolution with bias and ReLU, as training has it (bias and batch statistics), and both gradients. */
function convolutions(layer: ConvolutionLayer, batch: number): KernelProblem[] {
  const { side, channels, filters, kernel: [r, s], stride, padding: [down, across], names } = layer;
  const x: Shape = [batch, side, side, channels];
  const filter: Shape = [filters, r, s, channels];
  const conv = { stride: [stride, stride], padding: [down, down, across, across], dilation: [1, 1] };
  const [{ shape: y }] = getOp('conv2d').infer([f32(x), f32(filter)], { ...conv, activation: 'none' });
  const padded = down === (r - 1) / 2 && across === (s - 1) / 2 ? '' : ` pad ${down},${across}`;
  const name = `${side}x${side}x${channels} ${r}x${s} ${filters}${stride > 1 ? ` stride ${stride}` : ''}${padded}`;
  const forward = [f32(x), f32(filter), f32([filters])];
  return [
    problem('conv', 'conv2d', name, forward, { ...conv, activation: 'relu' }, names),
    problem('conv', 'conv2dStats', name, forward, conv, names),
    // The image itself needs no gradient.
    ...(channels > 3 ? [problem('conv', 'conv2dInputGrad', name, [f32(y), f32(filter)], { ...conv, inputShape: x }, names)] : []),
    problem('conv', 'conv2dFilterGrad', name, [f32(x), f32(y)], { ...conv, filterShape: filter }, names),
  ];
}

function poolings(layer: PoolingLayer, batch: number): KernelProblem[] {
  const { side, channels, kernel: [r, s], stride, padding: [down, across], names, type } = layer;
  const x: Shape = [batch, side, side, channels];
  const window = { size: [r, s], stride: [stride, stride], padding: [down, down, across, across], ceil: false };
  const name = `${side}x${side}x${channels} ${r}x${s} stride ${stride}`;
  if (type === 'max') {
    const [{ shape: y }] = getOp('maxPool2d').infer([f32(x)], window);
    return [
      problem('pool', 'maxPool2d', name, [f32(x)], window, names),
      problem('pool', 'maxPool2dGrad', name, [f32(y), f32(x), f32(y, { from: 'maxPool2d' })], window, names),
      problem('pool', 'maxPool2dIndices', name, [f32(x)], window, names),
      problem('pool', 'maxPool2dIndexGrad', name, [f32(y), { shape: y, dtype: 'uint8', low: 0, high: r * s }], { ...window, inputShape: x }, names),
    ];
  }
  const attrs = { ...window, countPadding: true };
  const [{ shape: y }] = getOp('avgPool2d').infer([f32(x)], attrs);
  return [
    problem('pool', 'avgPool2d', name, [f32(x)], attrs, names),
    problem('pool', 'avgPool2dGrad', name, [f32(y)], { ...attrs, inputShape: x }, names),
  ];
}

/** Batch norm with ReLU, its second half where the convolution brings the statistics, and the backward pass of both. */
function norms({ side, channels, names }: NormLayer, batch: number): KernelProblem[] {
  const x = f32([batch, side, side, channels]);
  const [gamma, variance] = [f32([channels], { low: 0.5, high: 1.5 }), f32([channels], { low: 0.2, high: 2 })];
  const [beta, mean] = [f32([channels]), f32([channels], { low: -0.1, high: 0.1 })];
  const zero = f32([channels], { low: 0, high: 0 });
  const attrs = { epsilon: 1e-5, fixGamma: false };
  const name = `${side}x${side}x${channels}`;
  return [
    problem('norm', 'batchNorm', name, [x, gamma, beta], { ...attrs, activation: 'relu' }, names),
    problem('norm', 'normalize', name, [x, mean, variance, gamma, beta], { ...attrs, activation: 'relu' }, names),
    // Mean and beta of zero: rounding then never decides which side of the ReLU's kink an element is on.
    problem('norm', 'batchNormReluGrad', name, [x, x, zero, variance, gamma, zero], attrs, names),
  ];
}

function softmaxes(batch: number): KernelProblem[] {
  return [[batch, 2], [128, 1000]].flatMap(([n, classes]) => {
    const weights = [f32([classes], { low: 0.5, high: 2 }), f32([n], { low: 0.5, high: 1 })];
    const labels: InputSpec = { shape: [n], dtype: 'int32', low: 0, high: classes };
    const attrs = { ignoreLabel: null };
    return [
      problem('softmax', 'softmaxCrossEntropy', `${n}x${classes}`, [f32([n, classes]), labels, ...weights], attrs),
      problem('softmax', 'softmaxCrossEntropyGrad', `${n}x${classes}`, [f32([n]), f32([n, classes], { low: 0, high: 1 }), labels, ...weights], attrs),
    ];
  });
}

const CHUNK = 4096;

/** Updates of as many parameters as Inception-BN has, one segment, in the optimizers' chunks. */
function updates(parameters: number): KernelProblem[] {
  const arena = f32([parameters], { low: -0.1, high: 0.1 });
  const count = Math.ceil(parameters / CHUNK);
  const chunks = Int32Array.from({ length: count * 3 }, (_, i) => {
    const start = Math.floor(i / 3) * CHUNK;
    return [start, Math.min(CHUNK, parameters - start), 0][i % 3];
  });
  const table: InputSpec[] = [
    { shape: [count, 3], dtype: 'int32', values: chunks }, f32([1, 2], { values: Float32Array.of(1, 1) }), f32([], { values: Float32Array.of(0.01) }),
  ];
  const rule = { weightDecay: 1e-4, rescale: 1, clip: null };
  return [
    problem('update', 'sgdUpdate', String(parameters), [arena, arena, arena, ...table], { ...rule, momentum: 0.9 }),
    problem('update', 'adamUpdate', String(parameters), [
      // Second moments of at least the squares of the first, as training has them: none is so near zero that an update is of no size.
      arena, arena, arena, f32([parameters], { low: 0.01, high: 0.1 }), ...table, { shape: [], dtype: 'int32', values: Int32Array.of(10) },
    ], { ...rule, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, correctBias: true }),
  ];
}

/** Parameters of Inception-BN with 1000 classes. */
const inceptionBNParameters = 11_295_240;

/** Of each op at most so many problems, the first, the last and what lies between at equal distances; all where no number is given. */
export function spread(problems: readonly KernelProblem[], shapes = Infinity): KernelProblem[] {
  const byOp = new Map<string, KernelProblem[]>();
  for (const one of problems) byOp.set(one.op, [...(byOp.get(one.op) ?? []), one]);
  return [...byOp.values()].flatMap((all) => {
    if (all.length <= shapes) return all;
    return Array.from({ length: shapes }, (_, i) => all[Math.round(i * (all.length - 1) / Math.max(1, shapes - 1))]);
  });
}

/** The half that operands of a problem have, with which its name ends then. */
export const operandHalf = ({ name }: { readonly name: string }): HalfType | undefined => / (b?float16)$/.exec(name)?.[1] as HalfType | undefined;

/** Side of a product by which matrix units show what they can do; too large for anything else. */
export const LARGE_SIDE = 8192;

/**
 * Products, those of LARGE_SIDE among them, and convolutions as mixed precision has them: operands and, where the op may, results stored as
 * halves, sums in float32. The large one in two layouts: with the right operand transposed, as a fully connected layer has it, the terms of a sum
 * lie beside each other in both.
 */
export function halfProblems(problems: readonly KernelProblem[], dtype: HalfType): KernelProblem[] {
  return [...problems, squareProduct(LARGE_SIDE), squareProduct(LARGE_SIDE, true)].filter(({ group }) => group === 'gemm' || group === 'conv').map((p) => {
    const { inputs } = getOp(p.op).half!;
    const half = (i: number): boolean => inputs === 'all' || inputs.includes(i);
    return {
      ...p, name: `${p.name} ${dtype}`,
      inputs: p.inputs.map((input, i): InputSpec => (half(i) ? { ...input, dtype } : input)),
    };
  });
}

/** Every kernel of the table, for a batch of so many images. */
export function kernelProblems(batch: number): KernelProblem[] {
  const bn = inceptionBNLayers();
  const layers = distinct([...bn.convolutions, ...inceptionV3Layers()]);
  return [
    ...gemm(), ...layers.flatMap((l) => convolutions(l, batch)), ...bn.poolings.flatMap((l) => poolings(l, batch)),
    ...bn.norms.flatMap((l) => norms(l, batch)), ...softmaxes(batch), ...updates(inceptionBNParameters),
  ];
}
