/**
 * maxPool2dIndices: max pooling that also gives where in its window each maximum was found, a byte each, and the gradient that reads
 * these in place of x. Training takes them for maxPool2d and maxPool2dGrad, so that x need not be kept for the backward pass.
 */
import { sizeOf } from '../device/types.ts';
import type { Shape, TensorType } from '../device/types.ts';
import type { Node } from '../graph/node.ts';
import type { HostTensor, Rewrite, Sample } from '../graph/op.ts';
import { defineOp } from '../tensor/define-op.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import * as cpu from './cpu/pool.ts';
import * as cuda from './cuda/pool.ts';
import { maxPool2dOp } from './max-pool2d.ts';
import { bytesTouched } from './support/cost.ts';
import { forEachWindow, poolCases, poolOutputShape } from './support/pool.ts';
import type { PoolAttrs } from './support/pool.ts';
import { f32, given, scrambled } from './support/samples.ts';
import { checkDType, checkFloat, checkSameShape, named, sameShape, shapeError, show } from './support/shapes.ts';
import * as gpuPool from './webgpu/pool.ts';

/** The index of a maximum that is NaN, and equals no element. Windows have as many places at most. */
const NONE = 255;

/** Attributes of the gradient. */
type IndexGradAttrs = PoolAttrs & { readonly inputShape: Shape };

/** Whether a maxPool2dGrad was given this pooling's very input and output. */
const isGradOf = (grad: Node, pool: Node): boolean =>
  grad.op.name === 'maxPool2dGrad' && grad.inputs[1] === pool.inputs[0] && grad.inputs[2] === pool.outputs[0]
  && JSON.stringify(grad.attrs) === JSON.stringify(pool.attrs);

/** Larger windows keep maxPool2d, and x for its gradient. */
const withIndices: Rewrite = {
  name: 'maxPool2d + indices',
  anchor: 'maxPool2d',
  keeps: true,
  match(node, graph) {
    const { size } = node.attrs as PoolAttrs;
    if (size[0] * size[1] > NONE || !graph.users(node).some((user) => isGradOf(user, node))) return undefined;
    const [by] = graph.make('maxPool2dIndices', node.attrs, node.inputs);
    return [{ node, output: 0, by }];
  },
};

const fromIndices: Rewrite = {
  name: 'maxPool2dGrad by indices',
  anchor: 'maxPool2dGrad',
  match(node, graph) {
    const [dy, x, { node: pool }] = node.inputs;
    if (pool.op.name !== 'maxPool2dIndices' || !isGradOf(node, pool)) return undefined;
    const [by] = graph.make('maxPool2dIndexGrad', { ...pool.attrs, inputShape: x.shape }, [dy, pool.outputs[1]]);
    return [{ node, output: 0, by }];
  },
};

/** Where in the window of element `o` of y, row-major and with the padding, element `i` of x lies. */
function placeInWindow(i: number, x: Shape, o: number, y: Shape, { size, stride, padding }: PoolAttrs): number {
  const pixel = (at: number, [, h, w, c]: Shape): [number, number] => [Math.floor(at / (w * c)) % h, Math.floor(at / c) % w];
  const [ih, iw] = pixel(i, x);
  const [oh, ow] = pixel(o, y);
  return (ih + padding[0] - oh * stride[0]) * size[1] + iw + padding[2] - ow * stride[1];
}

/** y [N,P,Q,C] as maxPool2d gives it; and uint8 [N,P,Q,C], the place of the first maximum in its window, row-major and with the padding. */
export const maxPool2dIndicesOp: DifferentiableOp<PoolAttrs> = defineOp<PoolAttrs>({
  name: 'maxPool2dIndices',
  inputs: ['x'],
  infer([x]: readonly TensorType[], attrs) {
    checkFloat('maxPool2dIndices', ['x'], [x]);
    const shape = poolOutputShape('maxPool2dIndices', x, attrs);
    const { size } = attrs;
    if (size[0] * size[1] > NONE) {
      shapeError('maxPool2dIndices', `window ${show(size)} has more than ${NONE} places, which a byte cannot tell apart`);
    }
    return [{ shape, dtype: 'float32' }, { shape, dtype: 'uint8' }];
  },
  reference([x]: readonly HostTensor[], attrs, outputs) {
    // As float32: a maximum that is rounded for its storage equals no element.
    const [y] = maxPool2dOp.reference!([x], attrs, [{ ...outputs[0], dtype: 'float32' }]);
    const index = new Float64Array(y.length);
    forEachWindow(x.shape, outputs[0].shape, attrs, (o, inputs) => {
      const first = inputs.find((i) => x.data[i] === y[o]);
      index[o] = first === undefined ? NONE : placeInWindow(first, x.shape, o, outputs[0].shape, attrs);
    });
    return [y, index];
  },
  kernels: { cpu: cpu.maxPoolIndicesLowering, webgpu: gpuPool.maxPoolIndicesLowering, cuda: cuda.maxPoolIndicesLowering },
  // threads of the WebGPU device write whole words, which hold four indices
  contiguousOutputs: [1],
  precision: 'follow',
  half: { inputs: 'all', outputs: [0] },
  cost: (inputs, outputs, { size }) => ({
    flop: sizeOf(outputs[0].shape) * size[0] * size[1],
    bytes: bytesTouched(inputs, outputs),
  }),
  samples: (): Sample<PoolAttrs>[] => indexCases().map(({ x, attrs, note }) => ({ inputs: [given(x)], attrs, note })),
  rewrites: [withIndices],
});

/** dx[i] = sum of dy over the windows whose index says x[i]. It has no gradient itself. */
export const maxPool2dIndexGradOp: DifferentiableOp<IndexGradAttrs> = defineOp<IndexGradAttrs>({
  name: 'maxPool2dIndexGrad',
  inputs: ['dy', 'index'],
  infer([dy, index]: readonly TensorType[], attrs) {
    checkFloat('maxPool2dIndexGrad', ['dy'], [dy]);
    checkDType('maxPool2dIndexGrad', 'index', index, 'uint8');
    checkSameShape('maxPool2dIndexGrad', 'dy', dy, 'index', index);
    const x: TensorType = { shape: attrs.inputShape, dtype: 'float32' };
    const shape = poolOutputShape('maxPool2dIndexGrad', x, attrs);
    if (!sameShape(shape, dy.shape)) shapeError('maxPool2dIndexGrad', `${named('dy', dy)} should be ${show(shape)}, for ${named('x', x)}`);
    return [x];
  },
  reference([dy, index]: readonly HostTensor[], attrs) {
    const { inputShape } = attrs;
    const dx = new Float64Array(sizeOf(inputShape));
    forEachWindow(inputShape, dy.shape, attrs, (o, inputs) => {
      for (const i of inputs) if (placeInWindow(i, inputShape, o, dy.shape, attrs) === index.data[o]) dx[i] += dy.data[o];
    });
    return [dx];
  },
  kernels: { cpu: cpu.maxPoolIndexGradLowering, webgpu: gpuPool.maxPoolIndexGradLowering, cuda: cuda.maxPoolIndexGradLowering },
  precision: 'follow',
  half: { inputs: [0], outputs: 'all' },
  reductionLength: (_inputs, { size, stride }) => Math.ceil(size[0] / stride[0]) * Math.ceil(size[1] / stride[1]),
  cost: (inputs, outputs, { size, stride }) => ({
    flop: sizeOf(outputs[0].shape) * Math.ceil(size[0] / stride[0]) * Math.ceil(size[1] / stride[1]),
    bytes: bytesTouched(inputs, outputs),
  }),
  samples: (): Sample<IndexGradAttrs>[] => indexCases().map(({ x, attrs, note }) => {
    const [y, type] = maxPool2dIndicesOp.infer([x], attrs);
    const [, data] = maxPool2dIndicesOp.reference!([x], attrs, [y, type]);
    return { inputs: [f32(y.shape, { differentiable: false }), given({ ...type, data })], attrs: { ...attrs, inputShape: x.shape }, note };
  }),
  rewrites: [fromIndices],
});

/** Poolings over images of few levels, so that windows hold equal maxima, and with more channels than kernels take at a time. */
function indexCases(): { x: HostTensor; attrs: PoolAttrs; note?: string }[] {
  const wide = { size: [3, 3], stride: [2, 2], padding: [1, 1, 1, 1], ceil: false } as const;
  const cases: { x: Shape; attrs: PoolAttrs; note?: string }[] = [
    ...poolCases(), { x: [2, 7, 6, 16], attrs: wide }, { x: [1, 6, 7, 37], attrs: wide },
  ];
  return cases.map(({ x, attrs, note }, i) => ({ x: scrambled(x, i + 1, i % 2 === 0 ? 4 : 1024), attrs, note }));
}
