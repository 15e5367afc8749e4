/** Checks of one op: forward and gradient on a device against the float64 reference, and the gradient by finite differences. */
import type { DType, Device, HalfType, HostData } from '../device/types.ts';
import { evaluate } from '../graph/evaluate.ts';
import { isLeaf } from '../graph/leaves.ts';
import type { Leaf } from '../graph/leaves.ts';
import type { Node, Value } from '../graph/node.ts';
import { topologicalOrder } from '../graph/node.ts';
import type { HostTensor, Op, Sample } from '../graph/op.ts';
import { getOp } from '../fovea.ts';
import { takesHalf } from '../graph/half.ts';
import { runReference } from '../graph/reference.ts';
import { PhiloxStream } from '../random/philox.ts';
import type { DifferentiableOp } from '../tensor/define-op.ts';
import { grad } from '../tensor/grad.ts';
import { Tensor, apply, apply1, wrap } from '../tensor/tensor.ts';
import { layouts, placed, requested, sampleValues } from './inputs.ts';
import type { LayoutName, Placement, Requested } from './inputs.ts';
import { bounds, compare } from './tolerance.ts';

/** What a check found. It passed where `failures` is empty. */
export interface Report {
  /** Comparisons made. */
  readonly checks: number;
  /** Largest error over the error allowed. */
  readonly worst: number;
  readonly failures: readonly string[];
}

class Findings implements Report {
  checks = 0;
  worst = 0;
  readonly failures: string[] = [];

  compare(what: string, got: ArrayLike<number>, expected: Float64Array, bound: number, dtype: DType = 'float32'): void {
    this.checks++;
    const c = compare(got, expected, bound, dtype);
    this.worst = Math.max(this.worst, c.ratio);
    if (c.ratio > 1) {
      this.failures.push(`${what}: element ${c.at} is ${c.got}, expected ${c.expected}; ${c.ratio.toPrecision(3)} times what is allowed`);
    }
  }
}

const layoutNames = Object.keys(layouts) as LayoutName[];

/** A sample in words: shapes, attributes, note. */
export function describeSample(op: Op, sample: Sample): string {
  const shapes = sample.inputs.map((t) => `${t.dtype === 'float32' ? '' : t.dtype}[${t.shape.join(',')}]`).join(' ');
  const attrs = Object.keys(sample.attrs).length === 0 ? '' : ` ${JSON.stringify(sample.attrs)}`;
  return `${op.name} ${shapes}${attrs}${sample.note ? ` (${sample.note})` : ''}`;
}

export function samplesOf(op: Op): Sample[] {
  return op.samples?.() ?? [];
}

/**
 * The op's samples with a half where it may be: in all such inputs; and, but for matrix ops, in every other of them, the results being
 * stored the one way and the other.
 */
export function halfSamples(op: Op, dtype: HalfType = 'float16'): Sample[] {
  const { half } = op;
  if (half === undefined) return [];
  const own = samplesOf(op).filter((s) => s.inputs.some((t, i) => t.dtype === 'float32' && takesHalf(op, i)));
  const stored = (sample: Sample, which: (i: number) => boolean, store?: 'float32' | HalfType): Sample => ({
    ...sample,
    inputs: sample.inputs.map((t, i) => (t.dtype === 'float32' && takesHalf(op, i) && which(i) ? { ...t, dtype } : t)),
    attrs: store === undefined ? sample.attrs : { ...sample.attrs, store },
  });
  const all = own.map((s) => stored(s, () => true));
  const mixtures = half.same || half.outputs === undefined ? []
    : op.precision === 'matrix' ? own.filter((_, i) => i % 4 === 1).map((s) => stored(s, () => true, 'float32'))
    : own.flatMap((s) => [stored(s, (i) => i % 2 === 1, dtype), stored(s, (i) => i % 2 === 0, 'float32')]);
  return [...all, ...mixtures, ...(half.samples?.(dtype) ?? [])];
}

function sampleInputs(op: Op, sample: Sample): HostData[] {
  return sample.inputs.map((input, i) => sampleValues(input, op.name, i));
}

function hostTensors(sample: Sample, values: readonly HostData[]): HostTensor[] {
  return sample.inputs.map(({ shape, dtype }, i) => ({ shape, dtype, data: Float64Array.from(values[i]) }));
}

/**
 * Runs an op's samples on a device, inputs and outputs placed in several ways, and compares every output with the float64 reference.
 *
 * @param only the layouts to try; default all
 * @param samples default the op's own
 */
export async function checkForward(
  op: Op, device: Device, only: readonly LayoutName[] = layoutNames, samples: readonly Sample[] = samplesOf(op),
): Promise<Report> {
  const findings = new Findings();
  for (const layout of only) {
    const { inputs, outputs: sides } = layouts[layout];
    const cycle = (list: readonly Placement[], i: number): Placement => list[i % list.length];
    const cases = samples.map((sample) => {
      const values = sampleInputs(op, sample);
      const hosts = hostTensors(sample, values);
      const outputs = op.infer(hosts, sample.attrs);
      const references = op.reference!(hosts, sample.attrs, outputs);
      const allowed = bounds(op, hosts, sample.attrs, outputs, references);
      const tensors = apply(op, values.map((v, i) => placed(v, sample.inputs[i], cycle(inputs, i))), sample.attrs);
      const asked = tensors.map((t, i) => requested(t, cycle(sides, i)));
      return { label: `${describeSample(op, sample)}, ${layout}`, references, allowed, asked };
    });
    await together(cases, device, findings, (c, results) => {
      c.asked.forEach((r, i) => findings.compare(`${c.label}, output ${i}`, r.read(results[i]), c.references[i], c.allowed[i], r.tensor.dtype));
    });
  }
  return findings;
}

/**
 * Evaluates all cases in one program, which is quick and makes values share memory. Where that throws, one by one, to say which.
 */
async function together<C extends { label: string; asked: readonly Requested[] }>(
  cases: readonly C[],
  device: Device,
  findings: Findings,
  check: (c: C, results: readonly HostData[]) => void,
): Promise<void> {
  const guarded = (c: C, results: readonly HostData[]): void => {
    try {
      check(c, results);
    } catch (error) {
      findings.failures.push(`${c.label}: ${String(error)}`);
    }
  };
  const values = cases.map((c) => c.asked.map((r) => r.tensor.value));
  try {
    const all = await evaluate(values.flat(), device);
    let at = 0;
    cases.forEach((c) => guarded(c, all.slice(at, (at += c.asked.length))));
  } catch (first) {
    if (cases.length === 1) {
      findings.failures.push(`${cases[0].label}: ${String(first)}`);
      return;
    }
    for (const c of cases) await together([c], device, findings, check);
  }
}

/** A scalar that depends on every float32 output: the sum of the outputs times fixed random weights. */
function weightedSum(op: Op, outputs: readonly Tensor[]): Tensor | undefined {
  let loss: Tensor | undefined;
  outputs.forEach((y, i) => {
    if (y.dtype !== 'float32') return;
    const weights = sampleValues({ shape: y.shape, dtype: 'float32' }, `${op.name} weights`, i);
    const part = apply1(getOp('sum'), [y.mul(wrap(weights, y.shape, 'float32'))], { axes: y.shape.map((_, a) => a), keepDims: false });
    loss = loss === undefined ? part : loss.add(part);
  });
  return loss;
}

/** The graph of a sample's gradients: the loss, the leaves differentiated by, and the gradients. */
function gradientGraph(op: Op, sample: Sample): { loss: Tensor; leaves: Tensor[]; gradients: Tensor[] } | undefined {
  const values = sampleInputs(op, sample);
  const tensors = values.map((v, i) => wrap(v, sample.inputs[i].shape, sample.inputs[i].dtype));
  const leaves = tensors.filter((t, i) => t.dtype === 'float32' && sample.inputs[i].differentiable !== false);
  if (leaves.length === 0) return undefined;
  const loss = weightedSum(op, apply(op, tensors, sample.attrs));
  return loss && { loss, leaves, gradients: grad(loss, leaves) };
}

/** Samples that have an input to differentiate by. */
export function differentiableSamples(op: DifferentiableOp): Sample[] {
  if (op.gradient === undefined) return [];
  return samplesOf(op).filter((s) => s.inputs.some((t) => t.dtype === 'float32' && t.differentiable !== false));
}

/**
 * Runs the graphs of an op's gradients on a device and compares every node in them with its reference, fed the inputs that the
 * device itself computed: the tolerance rule holds op by op, so no error has to be propagated.
 */
export async function checkGradient(op: DifferentiableOp, device: Device): Promise<Report> {
  const findings = new Findings();
  const cases = differentiableSamples(op).flatMap((sample) => {
    const graph = gradientGraph(op, sample);
    if (graph === undefined) return [];
    const order = topologicalOrder(graph.gradients.map((t) => t.value.node));
    const known = new Map<Value, HostTensor>();
    for (const node of order) if (isLeaf(node)) known.set(node.value, leafTensor(node));
    // evaluation turns values into leaves: what is needed afterwards is taken down now
    const steps = order.filter((n) => !isLeaf(n)).map((node) => ({ node, inputs: [...node.inputs], outputs: [...node.outputs] }));
    const asked = steps.flatMap((s) => s.outputs.map((v) => requested(new Tensor(v), 'plain')));
    return [{ label: `gradient of ${describeSample(op, sample)}`, known, steps, asked }];
  });
  await together(cases, device, findings, (c, results) => {
    let at = 0;
    for (const { node, inputs, outputs } of c.steps) {
      const hosts = inputs.map((v) => c.known.get(v)!);
      const references = node.op.reference!(hosts, node.attrs, outputs);
      const allowed = bounds(node.op, hosts, node.attrs, outputs, references);
      outputs.forEach((v, i) => {
        const data = results[at++];
        findings.compare(`${c.label}, ${node.op.name} output ${i}`, data, references[i], allowed[i]);
        c.known.set(v, { shape: v.shape, dtype: v.dtype, data: Float64Array.from(data) });
      });
    }
  });
  return findings;
}

function leafTensor(leaf: Leaf): HostTensor {
  const [data] = runReference([leaf.value]);
  return { shape: leaf.value.shape, dtype: leaf.value.dtype, data };
}

/** Steps of finite differences, and how far they may be from the gradient, relative to its size. */
const difference = { step: 1e-5, tolerance: 2e-7, directions: 3, elements: 6 };

/**
 * Checks an op's gradient rule against central differences of its float64 reference, along random directions and single elements.
 * No device takes part: all is computed by the reference runner.
 */
export function checkDerivative(op: DifferentiableOp): Report {
  const findings = new Findings();
  for (const sample of differentiableSamples(op)) {
    const graph = gradientGraph(op, sample);
    if (graph === undefined) continue;
    const { loss, leaves, gradients } = graph;
    const exact = runReference(gradients.map((t) => t.value));
    leaves.forEach((leaf, i) => {
      const node = leaf.value.node;
      const start = runReference([leaf.value])[0];
      const lossAt = (x: Float64Array): number => runReference([loss.value], (l: Node) => (l === node ? x : undefined))[0][0];
      const size = Math.max(1, ...exact[i].map(Math.abs));
      for (const direction of directions(op, start.length)) {
        const moved = (sign: number): Float64Array => start.map((v, j) => v + sign * difference.step * direction[j]);
        const slope = (lossAt(moved(1)) - lossAt(moved(-1))) / (2 * difference.step);
        const expected = exact[i].reduce((sum, g, j) => sum + g * direction[j], 0);
        const length = Math.sqrt(direction.reduce((sum, d) => sum + d * d, 0));
        const bound = difference.tolerance * size * length;
        findings.compare(`${describeSample(op, sample)}, input ${i}`, [slope], Float64Array.of(expected), bound);
      }
    });
  }
  return findings;
}

/** Random directions, and some single elements: all of them where they are few. */
function directions(op: Op, n: number): Float64Array[] {
  const stream = new PhiloxStream(20161115, `${op.name} directions`, n);
  const list: Float64Array[] = [];
  for (let k = 0; k < difference.directions; k++) list.push(new Float64Array(n).map(() => stream.uniform(-1, 1)));
  for (let k = 0; k < Math.min(difference.elements, n); k++) {
    const single = new Float64Array(n);
    single[n <= difference.elements ? k : stream.int(n)] = 1;
    list.push(single);
  }
  return list;
}
