/**
 * Minimal filtering on the webgpu device where blocks take several passes, which the samples of the op suite are too small for: all three
 * directions against the cpu device (which the suite holds to the float64 reference), with both kinds of kernels, between fillers.
 */
import * as assert from 'uvu/assert';
import { cpu } from '../../src/device/cpu/index.ts';
import type { Device, Launch, Lowering, Placed, Shape } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import * as onCpu from '../../src/ops/cpu/conv.ts';
import { conv2dFilterGradLowering } from '../../src/ops/webgpu/conv-filter-grad.ts';
import * as onWebgpu from '../../src/ops/webgpu/conv.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const FILLER = 77;
const eps = 2 ** -23;

type Kind = 'software' | 'hardware';

/**
 * 25 x 65 blocks, a number that does not divide by four, of which a pass takes 1600 on software adapters and, with more channels, 1536 on
 * hardware; those at the edges are cut, of x and of y. Padding on two sides alone.
 */
const widths = { software: [32, 40], hardware: [128, 168] } as const;
const attrs = { stride: [1, 1], padding: [1, 0, 0, 1], dilation: [1, 1] } as const;

interface Case {
  readonly name: string;
  readonly cpu: Lowering<any, any>;
  readonly webgpu: Lowering<any, any>;
  readonly inputs: readonly Shape[];
  readonly output: Shape;
  readonly attrs: object;
  /** Terms of an output. */
  readonly terms: number;
}

function casesOf(kind: Kind): Case[] {
  const [c, k] = widths[kind];
  const x: Shape = [1, 99, 259, c];
  const filter: Shape = [k, 3, 3, c];
  const y: Shape = [1, 98, 258, k];
  const forward = {
    name: 'conv2d', cpu: onCpu.conv2dLowering, webgpu: onWebgpu.conv2dLowering, inputs: [x, filter, [k]], output: y,
    attrs: { ...attrs, activation: 'relu' }, terms: 9 * c,
  };
  const byInput = {
    name: 'conv2dInputGrad', cpu: onCpu.conv2dInputGradLowering, webgpu: onWebgpu.conv2dInputGradLowering, inputs: [y, filter], output: x,
    attrs: { ...attrs, inputShape: x }, terms: 9 * k,
  };
  const byFilter = {
    name: 'conv2dFilterGrad', cpu: onCpu.conv2dFilterGradLowering, webgpu: conv2dFilterGradLowering, inputs: [x, y], output: filter,
    attrs: { ...attrs, filterShape: filter }, terms: 98 * 258,
  };
  // The gradient by the filter is direct on hardware.
  return kind === 'software' ? [forward, byInput, byFilter] : [forward, byInput];
}

/** Elements between rows and ahead of them: with 3 none can be read four channels at a time, with 4 all can. */
const gaps = [3, 4];

/** Runs a case with every value `gap` elements off and apart; the result, and the kernels that computed it. */
async function run(
  device: Device, lowering: Lowering<any, any>, { inputs, output, attrs: options, name }: Case, gap: number,
): Promise<{ values: Float32Array; kernels: string[]; outside: number }> {
  const at = (i: number, channels: number): number => gap + Math.floor(i / channels) * (channels + gap) + (i % channels);
  const place = (shape: Shape, data?: Float32Array): Placed => {
    const channels = shape[shape.length - 1];
    const rows = sizeOf(shape) / channels;
    const all = new Float32Array(gap + rows * (channels + gap)).fill(FILLER);
    data?.forEach((v, i) => { all[at(i, channels)] = v; });
    const buffer = device.allocate(all.byteLength, name);
    device.write(buffer, 0, all);
    return { shape, dtype: 'float32', buffer, offset: gap, rows, channels, stride: channels + gap };
  };
  const stream = new PhiloxStream(5, name);
  const placed = inputs.map((shape) => place(shape, Float32Array.from({ length: sizeOf(shape) }, () => stream.uniform(-1, 1))));
  const result = place(output);
  const scratch = (lowering.scratch?.(placed, [result], options, device.features) ?? []).map((wanted) => {
    const bytes = Math.ceil(wanted / 256) * 256;
    const buffer = device.allocate(bytes, 'scratch');
    device.write(buffer, 0, new Float32Array(bytes / 4).fill(NaN));
    return { buffer, byteOffset: 0, bytes };
  });
  const launches: Launch[] = lowering.launches({ attrs: options, inputs: placed, outputs: [result], scratch, features: device.features });
  const program = await device.build(launches.map((launch) => ({ launch, node: name, flop: 0 })));
  await program.run();
  const all = new Float32Array((await device.read(result.buffer, 0, result.buffer.bytes)).buffer);
  const values = Float32Array.from({ length: sizeOf(output) }, (_, i) => all[at(i, result.channels)]);
  program.dispose();
  for (const { buffer } of [...placed, result, ...scratch]) buffer.dispose();
  const kernels = launches.map((launch) => ('shader' in launch ? launch.shader : launch.kernel));
  return { values, kernels, outside: all.filter((v) => v === FILLER).length - (all.length - values.length) };
}

const rms = (v: Float32Array): number => Math.sqrt(v.reduce((sum, a) => sum + a * a, 0) / v.length);

// Suites are declared after everything that is awaited: uvu starts on its own.
const reference = await cpu({ threads: 1 });
const expected = new Map<string, Float32Array>();
const kinds = ['software', 'hardware'] as const;
for (const kind of kinds) for (const c of casesOf(kind)) expected.set(`${c.name}, ${kind}`, (await run(reference, c.cpu, c, 0)).values);
reference.dispose();
const opened = {
  software: await openWebgpu({ adapter: 'llvmpipe', kernels: 'software' }),
  hardware: await openWebgpu({ adapter: 'llvmpipe', kernels: 'hardware' }),
};
for (const kernels of kinds) {
  const { device, reason } = opened[kernels];
  const test = suiteUnless(reason, `minimal filtering in several passes, ${kernels} kernels`);
  for (const [c, gap] of casesOf(kernels).flatMap((each) => gaps.map((gap) => [each, gap] as const))) {
    test(`${c.name}, ${kernels} kernels, rows ${gap} elements apart: several passes agree with the cpu device`, async () => {
      const want = expected.get(`${c.name}, ${kernels}`)!;
      const got = await run(device, c.webgpu, c, gap);
      const products = kernels === 'software' ? 'winograd_products_rows' : 'winograd_products_tiles';
      assert.ok(got.kernels.filter((kernel) => kernel === products).length > 1, `one pass: ${got.kernels.join(', ')}`);
      assert.is(got.outside, 0, 'elements around the result that were written');
      // Terms are products of two numbers from -1 to 1: their root mean square is 1/3, that of a sum of n is sqrt(n) / 3. Both devices
      // may be off by what the rule of tolerance allows, eps sqrt(n) times the sum of magnitudes n / 4.
      const allowed = 2 * eps * Math.sqrt(c.terms) * (c.terms / 4);
      assert.ok(allowed < 0.02 * rms(want), 'the tolerance says something');
      want.forEach((v, i) => {
        if (!(Math.abs(v - got.values[i]) <= allowed)) assert.unreachable(`[${i}]: ${got.values[i]}, expected ${v}`);
      });
    });
  }
  test.after(() => device.dispose());
  test.run();
}
