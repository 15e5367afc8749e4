/** One training step of Inception-BN on a device and by the float64 reference, and DESIGN's rule by which the two are held to each other. */
import * as assert from 'uvu/assert';
import type { Device } from '../../src/device/types.ts';
import { runReference } from '../../src/graph/reference.ts';
import { compile, grad, softmaxCrossEntropy, tensor } from '../../src/index.ts';
import { inceptionBN, inceptionBNSmall } from '../../src/models/index.ts';
import { ModelSymbol, createVariables, initialize, internals } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { checkStep } from '../../src/testing/index.ts';

export type Activation = 'relu' | 'softrelu';

/** Loss, gradients and moving statistics, by name. */
export type Results = ReadonlyMap<string, ArrayLike<number>>;

export interface StepOptions {
  readonly activation: Activation;
  /** Default Inception-BN. */
  readonly network?: typeof inceptionBN | typeof inceptionBNSmall;
  /** At 64x64, the default, Inception-BN's last blocks normalize over 2x2 pixels. With two images that is 8 values, and rounding grows to 3e-4 there. */
  readonly batch?: number;
  readonly side?: number;
  /** Share of the filters; default 1. */
  readonly width?: number;
  readonly mixed?: boolean;
  /** Holds every op of the compiled step to the reference, fed what the device computed. */
  readonly check?: boolean;
}

/** Loss, gradients and moving statistics of one step from the same start; without a device by the reference. */
export async function trainingStep(
  device: Device | undefined, { activation, network = inceptionBN, batch = 4, side = 64, width = 1, mixed = false, check = false }: StepOptions,
): Promise<Results> {
  const json = JSON.stringify(network({ classes: 2, width }).toJSON()).replaceAll('"relu"', `"${activation}"`);
  const net = internals(ModelSymbol.fromJSON(JSON.parse(json))).fc1_output;
  const arrays = initialize(net, { data: [batch, 3, side, side] }, { seed: 3 });
  const { all, trainable, states } = createVariables(net, arrays);
  const start = new Map([...arrays.arguments, ...arrays.auxiliary].map(([name, a]) => [name, a.data as Float32Array]));
  const names = ['loss', ...trainable.map((v) => `gradient of ${v.name}`), ...states.map((v) => v.name)];
  const record = (x: Tensor, y: Tensor): Tensor[] => {
    const loss = softmaxCrossEntropy(net.apply(all, x, { training: true }) as Tensor, y).losses.mean();
    return [loss, ...grad(loss, trainable), ...states.map((v) => v.read())];
  };
  const noise = new PhiloxStream(7, 'step');
  const x = tensor(Float32Array.from({ length: batch * side * side * 3 }, () => noise.normal()), [batch, side, side, 3]);
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => i % 2));
  let values: ArrayLike<number>[];
  if (device === undefined) {
    const out = record(x, y);
    values = runReference(out.map((t) => t.value), ({ source }) => (source.kind === 'variable' ? start.get(source.cell.name) : undefined));
  } else {
    const step = compile(record, { device, mixed });
    const out = await step(x, y);
    values = [];
    for (const t of out) values.push(await t.data());
    if (check) {
      const { departures } = await checkStep(step, [x, y]);
      assert.equal(departures.map((d) => `${d.label} ${d.layer} ${d.got} ${d.expected} ${d.allowed}`), []);
    }
    step.dispose();
  }
  const results = new Map(names.map((name, i) => [name, values[i]]));
  for (const [name, found] of results) assert.ok(Array.from(found).every(Number.isFinite), `${name} has values that are not finite`);
  return results;
}

/** Biases ahead of a batch normalization have a gradient of zero: rounding by the reference, which adds it up; devices know (ops/batch-norm.ts). */
function isZero(name: string): boolean {
  return /gradient of conv_.*_bias$/.test(name);
}

function norm(a: ArrayLike<number>): number {
  return Math.sqrt(Array.from(a).reduce((s, x) => s + x * x, 0));
}

/** How far `got` is from `want`: relative difference of the norms, cosine, norm of the difference over the norm. */
function distance(got: ArrayLike<number>, want: ArrayLike<number>): { norms: number; cosine: number; relative: number } {
  const [a, b] = [norm(got), norm(want)];
  let dot = 0;
  let square = 0;
  for (let i = 0; i < want.length; i++) {
    dot += got[i] * want[i];
    square += (got[i] - want[i]) ** 2;
  }
  return { norms: Math.abs(a - b) / b, cosine: dot / (a * b), relative: Math.sqrt(square) / b };
}

/**
 * ReLUs at zero flip, so with ReLU each tensor's norm is held within 1 % and its direction to a cosine of .9999; the same network with softplus in
 * place of ReLU is held to 1e-4. Returns what the largest differences were, in words.
 */
export function assertAgree(got: Results, want: Results, activation: Activation): string {
  let [norms, cosine, relative] = [0, 1, 0];
  for (const [name, values] of want) {
    if (isZero(name)) {
      assert.ok(Array.from(got.get(name)!).every((v) => v === 0), `${name} is not zero`);
      continue;
    }
    const d = distance(got.get(name)!, values);
    if (activation === 'relu') {
      assert.ok(d.norms <= 0.01 && d.cosine >= 0.9999, `${name}: norms differ by ${d.norms}, cosine ${d.cosine}`);
    } else {
      assert.ok(d.relative <= 1e-4, `${name}: differs by ${d.relative} of its norm`);
    }
    norms = Math.max(norms, d.norms);
    cosine = Math.min(cosine, d.cosine);
    relative = Math.max(relative, d.relative);
  }
  return `norms ${norms.toExponential(1)}, cosine ${cosine.toFixed(7)}, relative ${relative.toExponential(1)}`;
}
