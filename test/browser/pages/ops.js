/**
 * The op suite of fovea/testing on one device, over the samples of at most so many elements.
 *
 * @param {{ device: string, elements: number, layouts: string[] }} input
 */
import { device, registeredOps } from 'fovea';
import { checkForward, checkGradient, samplesOf } from 'fovea/testing';

const size = ({ shape }) => shape.reduce((n, d) => n * d, 1);

/** The op with its small samples alone; with its smallest one where none is small. */
function small(op, elements) {
  const weight = (sample) => Math.max(0, ...sample.inputs.map(size));
  const sorted = [...samplesOf(op)].sort((a, b) => weight(a) - weight(b));
  const kept = sorted.filter((sample) => weight(sample) <= elements);
  const samples = kept.length > 0 ? kept : sorted.slice(0, 1);
  return { op: { ...op, samples: () => samples }, kept: samples.length, all: sorted.length };
}

const brief = ({ checks, worst, failures }) => ({ checks, worst, failures: failures.slice(0, 5) });

export default async function run({ device: name, elements, layouts }) {
  const made = await device(name);
  const results = [];
  for (const whole of registeredOps()) {
    const { op, kept, all } = small(whole, elements);
    const start = performance.now();
    const forward = brief(await checkForward(op, made, layouts));
    const gradient = op.gradient === undefined ? undefined : brief(await checkGradient(op, made));
    results.push({ name: op.name, kept, all, forward, gradient, ms: Math.round(performance.now() - start) });
  }
  const found = { device: made.name, kind: made.kind, results };
  made.dispose();
  return found;
}
