/** Every kernel of CUDA with every set of macros that lowerings ask for: for the ops' samples in all placements, and for the networks' shapes. */
import { copyLaunch } from '../src/device/copy.ts';
import type { CudaLaunch, DType, DeviceBuffer, GpuFeatures, Launch, Placed, PlacedLaunch, Shape, TensorType } from '../src/device/types.ts';
import { withVariant } from '../src/device/tuner.ts';
import { bytesPerElement, sizeOf } from '../src/device/types.ts';
import { gpuProbes } from '../src/benchmark/probes.ts';
import { kernelProblems } from '../src/benchmark/problems.ts';
import { getOp } from '../src/fovea.ts';
import { takesHalf } from '../src/graph/half.ts';
import { hostArray, isLeaf } from '../src/graph/leaves.ts';
import { topologicalOrder } from '../src/graph/node.ts';
import type { Op, Sample } from '../src/graph/op.ts';
import { registeredOps } from '../src/graph/op.ts';
import { Program } from '../src/graph/program.ts';
import { NORMALIZE_INPUTS } from '../src/ops/support/prologue.ts';
import { apply } from '../src/tensor/tensor.ts';
import { halfSamples, samplesOf } from '../src/testing/check-op.ts';
import { layouts, placed, requested } from '../src/testing/inputs.ts';
import { planningDevice } from '../test/support/planning-device.ts';

export interface Variant {
  readonly kernel: string;
  readonly define: Readonly<Record<string, string | number>>;
  /** Of the GPU that asks for it: 80 or 90. */
  readonly capability: number;
  readonly block: number;
  /** Most bytes of dynamic shared memory of a launch. */
  readonly dynamic: number;
  /** Whether a network's shapes ask for it. */
  readonly network: boolean;
}

/** A GPU, and what is asked of its products. Which kernels these are follows from the capability, not from multiprocessors or shared memory. */
export const gpu = (capability: number, limits: Partial<GpuFeatures['cuda']> = {}): GpuFeatures => ({
  hardware: true, subgroup: 32, cuda: { capability, multiprocessors: 132, sharedBytes: capability === 90 ? 232448 : 166912, ...limits },
});

/** Ampere's first and Hopper, and each rung of products. */
const allGpus = [
  gpu(80), gpu(90), gpu(80, { rung: 'simt' }), gpu(80, { rung: 'async' }), gpu(80, { rung: 'tensor', tf32: true }), gpu(90, { rung: 'tensor' }),
  gpu(90, { rung: 'hopper', tf32: true }),
];
const allCapabilities = [80, 90];

/** Images of the networks' shapes, as the record files and the paper train. */
const BATCH = 32;

class Variants {
  readonly all = new Map<string, Variant>();

  /** @param network whether a network's shapes ask for it: for what it is unless tuned */
  keep(launch: Launch, capability: number, network: boolean): void {
    const { variants = [] } = launch as CudaLaunch;
    this.#keep(launch as CudaLaunch, capability, network);
    for (const variant of variants) this.#keep(withVariant(launch as CudaLaunch, variant), capability, false);
  }

  #keep({ kernel, define = {}, block, shared = 0 }: CudaLaunch, capability: number, network: boolean): void {
    const key = `${capability} ${kernel} ${JSON.stringify(define)}`;
    const before = this.all.get(key);
    this.all.set(key, {
      kernel, define, capability, block, dynamic: Math.max(shared, before?.dynamic ?? 0), network: network || (before?.network ?? false),
    });
  }
}

function keepCopies(variants: Variants, buffer: DeviceBuffer, capabilities: readonly number[]): void {
  for (const dtype of ['float32', 'float16', 'bfloat16', 'uint8'] as DType[]) {
    for (const channels of [3, 4]) {
      const value = { buffer, offset: 0, rows: 1, channels, stride: channels, shape: [1, channels], dtype };
      for (const capability of capabilities) variants.keep(copyLaunch('cuda', value, value), capability, false);
    }
  }
}

/** The benchmark's own. */
function keepProbes(variants: Variants, capabilities: readonly number[]): void {
  const value = whole({ shape: [1, 4096], dtype: 'float32' });
  const { stream, multiplyAdd } = gpuProbes.cuda;
  const launches = [[1, 0], [0, 1], [1, 1]].map(([reads, writes]) => stream(value, value, 1024, reads, writes));
  for (const launch of [...launches, multiplyAdd(value, 1, 1024)]) for (const capability of capabilities) variants.keep(launch, capability, false);
}

async function keepSamples(variants: Variants, features: GpuFeatures, ops: readonly Op[], only: readonly number[]): Promise<void> {
  const planning = planningDevice(2 ** 36, 'cuda');
  const device = {
    ...planning, features, build: (launches: readonly PlacedLaunch[]) => {
      for (const { launch } of launches) for (const capability of only) variants.keep(launch, capability, false);
      return planning.build(launches);
    },
  };
  for (const op of ops) {
    const samples = [...samplesOf(op), ...halfSamples(op), ...halfSamples(op, 'bfloat16')].map((sample: Sample) =>
      ({ ...sample, data: sample.inputs.map(({ dtype, shape }) => hostArray(dtype, sizeOf(shape))) }));
    for (const { inputs: sides, outputs } of Object.values(layouts)) {
      const asked = samples.flatMap(({ inputs, attrs, data }) => {
        const values = inputs.map((input, j) => placed(data[j], input, sides[j % sides.length]));
        return apply(op, values, attrs).map((t, j) => requested(t, outputs[j % outputs.length]).tensor.value);
      });
      // Made ready and not run, so that no values are converted.
      const leaves = topologicalOrder(asked.map(({ node }) => node)).filter(isLeaf);
      const program = await Program.create({ device, requested: asked.filter(({ node }) => !isLeaf(node)), assignments: [], inputs: leaves });
      program.dispose();
    }
  }
}

const whole = (type: TensorType): Placed => {
  const channels = type.shape.at(-1) ?? 1, total = sizeOf(type.shape);
  const buffer = { bytes: total * bytesPerElement[type.dtype], label: 'x', dispose: () => undefined };
  return { ...type, buffer, offset: 0, rows: channels === 0 ? 0 : total / channels, channels, stride: channels };
};

/** Launches of an op at shapes of a network, placed as a plan places most: one after another. */
function keepProblem(variants: Variants, op: Op, inputs: readonly TensorType[], attrs: Sample['attrs'], features: GpuFeatures): void {
  const lowering = op.kernels?.cuda;
  if (lowering === undefined) return;
  const outputs = op.infer(inputs, attrs);
  const bytes = lowering.scratch?.(inputs, outputs, attrs, features) ?? [];
  const scratch = bytes.map((size) => ({ buffer: { bytes: size, label: 'scratch', dispose: () => undefined }, byteOffset: 0, bytes: size }));
  for (const launch of lowering.launches({ attrs, inputs: inputs.map(whole), outputs: outputs.map(whole), scratch, features })) {
    variants.keep(launch, features.cuda!.capability, true);
  }
}

type Problem = readonly [op: Op, inputs: readonly TensorType[], attrs: Sample['attrs']];

/** Both gradients of a filter gradient's convolution where batch norm and ReLU follow it; of an image itself none is asked. */
function unitProblem(name: string, [x, dy]: readonly TensorType[], attrs: Sample['attrs']): Problem[] {
  if (name !== 'conv2dFilterGrad') return [];
  const vectors = Array.from({ length: 4 }, (): TensorType => ({ shape: [dy.shape[3]], dtype: 'float32' }));
  const filter: TensorType[] = x.shape[3] > 3 ? [{ shape: attrs.filterShape as Shape, dtype: 'float32' }] : [];
  return [[getOp('conv2dBatchNormGrad'), [x, dy, dy, ...vectors, ...filter], { ...attrs, epsilon: 1e-3, fixGamma: false, activation: 'relu' }]];
}

/** What normalizes by channel, and inputs of a problem with the vectors for it. */
const normalize = { epsilon: 1e-3, fixGamma: false, activation: 'relu' } as const;
const withVectors = (before: readonly TensorType[], channels: number, behind: readonly TensorType[]): TensorType[] =>
  [...before, ...Array.from({ length: NORMALIZE_INPUTS - 1 }, (): TensorType => ({ shape: [channels], dtype: 'float32' })), ...behind];

/** The same with its image normalized on its way, and with its result normalized as it is stored, where there are such kernels. */
function normalizedProblems([{ name }, inputs, attrs]: Problem): Problem[] {
  const problems: Problem[] = [];
  const [x, filter, ...others] = inputs;
  const fused = registeredOps().find((op) => op.rewrites?.some((rule) => rule.stage === 'prologue' && rule.anchor === name));
  if (fused !== undefined) problems.push([fused, withVectors([x], x.shape[3], [filter, ...others]), { ...attrs, normalize }]);
  if (name === 'conv2d') problems.push([getOp('conv2dNormalize'), withVectors([x, filter], filter.shape[0], others), { ...attrs, normalize }]);
  return problems;
}

/**
 * For compute capability 8.0 and 9.0 with every rung, or for what one GPU asks for.
 * @param batches of the networks' shapes
 */
export async function collectVariants(only?: GpuFeatures, batches: readonly number[] = [BATCH]): Promise<Variant[]> {
  const variants = new Variants();
  const [gpus, capabilities] = only === undefined ? [allGpus, allCapabilities] : [[only], [only.cuda!.capability]];
  const ops = registeredOps().filter((op) => op.kernels?.cuda !== undefined);
  keepCopies(variants, planningDevice().allocate(64, 'x'), capabilities);
  keepProbes(variants, capabilities);
  for (const [i, features] of gpus.entries()) {
    // The GPU matters to products alone.
    await keepSamples(variants, features, ops.filter((op) => op.precision === 'matrix'), [features.cuda!.capability]);
    if (i === 0) await keepSamples(variants, features, ops.filter((op) => op.precision !== 'matrix'), capabilities);
    for (const { op: name, inputs, attrs } of batches.flatMap(kernelProblems)) {
      const plain: Problem[] = [[getOp(name), inputs, attrs], ...unitProblem(name, inputs, attrs)];
      for (const [op, given, how] of [...plain, ...plain.flatMap(normalizedProblems)]) {
        keepProblem(variants, op, given, how, features);
        for (const dtype of ['bfloat16', 'float16'] as const) {
          const halves = given.map((t, j): TensorType => (t.dtype === 'float32' && takesHalf(op, j) ? { ...t, dtype } : t));
          if (halves.some((t) => t.dtype === dtype)) keepProblem(variants, op, halves, how, features);
        }
      }
    }
  }
  return [...variants.all.values()];
}
