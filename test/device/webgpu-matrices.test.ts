// time limit: 300 s
/**
 * Products by matrix units, where the adapter has them: a convolution's three directions against the cpu device (which the suite holds to
 * the float64 reference) on the same float16 values, by several tiles, whose bits are equal.
 */
import * as assert from 'uvu/assert';
import { cpu } from '../../src/device/cpu/index.ts';
import { roundToHalf, toHalfBits } from '../../src/device/half.ts';
import type { DType, Device, Launch, Lowering, Placed, Shape, WebgpuLaunch } from '../../src/device/types.ts';
import { bytesPerElement, sizeOf } from '../../src/device/types.ts';
import { withVariant } from '../../src/device/tuner.ts';
import * as onCpu from '../../src/ops/cpu/conv.ts';
import { conv2dFilterGradLowering } from '../../src/ops/webgpu/conv-filter-grad.ts';
import * as onWebgpu from '../../src/ops/webgpu/conv.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { equalBits } from '../support/bits.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const directions: Record<string, { readonly cpu: Lowering<any, any>; readonly webgpu: Lowering<any, any> }> = {
  forward: { cpu: onCpu.conv2dLowering, webgpu: onWebgpu.conv2dLowering },
  inputGrad: { cpu: onCpu.conv2dInputGradLowering, webgpu: onWebgpu.conv2dInputGradLowering },
  filterGrad: { cpu: onCpu.conv2dFilterGradLowering, webgpu: conv2dFilterGradLowering },
};

interface Case {
  readonly name: string;
  readonly x: Shape;
  readonly w: Shape;
  readonly stride: number;
}

/** Rows of the largest tile that is tried: where matrices are 8x8, lavapipe takes up to a minute to compile larger ones. */
const mostRows = (direction: string): number => (direction === 'forward' ? 64 : 32);

/** More than a tile of 64 x 64; channels that do not fill 32 steps; loads of vectors, and of elements. */
const cases: readonly Case[] = [
  { name: 'vectors, 3x3, which minimal filtering would take', x: [1, 15, 15, 36], w: [68, 3, 3, 36], stride: 1 },
  { name: 'elements, 3x3, stride 2', x: [1, 17, 17, 3], w: [70, 3, 3, 3], stride: 2 },
];

function problem(direction: string, { x, w, stride }: Case): { inputs: Shape[]; output: Shape; attrs: object; terms: number } {
  const pad = (w[1] - 1) / 2;
  const out = Math.floor((x[1] + 2 * pad - w[1]) / stride) + 1;
  const y: Shape = [x[0], out, out, w[0]];
  const attrs = {
    stride: [stride, stride], padding: [pad, pad, pad, pad], dilation: [1, 1], activation: 'none', inputShape: x, filterShape: w,
  };
  return {
    forward: { inputs: [x, w], output: y, attrs, terms: sizeOf(w) / w[0] },
    inputGrad: { inputs: [y, w], output: x, attrs, terms: sizeOf(w) / w[3] },
    filterGrad: { inputs: [x, y], output: w, attrs, terms: sizeOf(y) / w[0] },
  }[direction]!;
}

/** Runs a direction on values of the dtype, once for each choice of launches; the results, in float32. */
async function run(
  device: Device, direction: string, c: Case, dtype: DType, choices: (launches: readonly Launch[]) => (readonly Launch[])[],
): Promise<Float32Array[]> {
  const { inputs, output, attrs } = problem(direction, c);
  const lowering = directions[direction][device.kind as 'cpu' | 'webgpu'];
  const place = (shape: Shape, type: DType, data?: Float32Array): Placed => {
    const channels = shape[shape.length - 1];
    const buffer = device.allocate(bytesPerElement[type] * sizeOf(shape), 'test');
    if (data !== undefined) device.write(buffer, 0, type === 'float16' ? toHalfBits(data, 'float16') : data);
    return { shape, dtype: type, buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
  };
  const stream = new PhiloxStream(7, direction);
  const placed = inputs.map((shape) => place(shape, dtype, Float32Array.from({ length: sizeOf(shape) }, () => roundToHalf(stream.uniform(-1, 1), 'float16'))));
  const result = place(output, 'float32');
  const scratch = (lowering.scratch?.(placed, [result], attrs, device.features) ?? []).map((wanted) => {
    const bytes = Math.ceil(wanted / 256) * 256;
    return { buffer: device.allocate(bytes, 'scratch'), byteOffset: 0, bytes };
  });
  const launches: Launch[] = lowering.launches({ attrs, inputs: placed, outputs: [result], scratch, features: device.features });
  const results: Float32Array[] = [];
  for (const list of choices(launches)) {
    device.write(result.buffer, 0, new Float32Array(sizeOf(output)).fill(NaN));
    const program = await device.build(list.map((launch) => ({ launch, node: direction, flop: 0 })));
    await program.run();
    results.push(new Float32Array((await device.read(result.buffer, 0, result.buffer.bytes)).buffer));
    program.dispose();
  }
  for (const { buffer } of [...placed, result, ...scratch]) buffer.dispose();
  return results;
}

const reference = await cpu({ threads: 1 });
const expected = new Map<string, Float32Array>();
for (const direction of Object.keys(directions)) {
  for (const c of cases) expected.set(`${direction}, ${c.name}`, (await run(reference, direction, c, 'float32', (all) => [all]))[0]);
}
reference.dispose();
const { device, reason } = await openWebgpu({ adapter: 'lavapipe', kernels: 'hardware', tuning: 'off' });
const test = suiteUnless(reason ?? (device.features?.matrices === undefined ? `${device.name}: ${device.why}` : undefined), 'matrix units');

for (const direction of Object.keys(directions)) {
  for (const c of cases) {
    test(`${direction}, ${c.name}: matrix units agree with the cpu device, and all tiles tried give the same bits`, async () => {
      const names: string[] = [];
      const results = await run(device, direction, c, 'float16', (all) => {
        const tiled = (all as WebgpuLaunch[]).find((l) => l.variants !== undefined && l.replace?.TILE === 'tile_matrices')!;
        const tried = tiled.variants!.filter(({ replace }) => Number(replace.ROWS) <= mostRows(direction));
        names.push(...tried.map((v) => v.name));
        return tried.map((v) => all.map((l) => (l === tiled ? withVariant(tiled, v) : l)));
      });
      assert.is(names.length, mostRows(direction) / 32, names.join('; '));
      const want = expected.get(`${direction}, ${c.name}`)!;
      // Factors are equal on both sides and their products exact in float32: sums of so many terms up to 1 may be off, on both, by what
      // the rule of tolerance allows of float32, eps sqrt(n) times the sum of magnitudes n / 4.
      const { terms } = problem(direction, c);
      const allowed = 2 * 2 ** -23 * Math.sqrt(terms) * (terms / 4);
      want.forEach((v, i) => {
        if (!(Math.abs(v - results[0][i]) <= allowed)) assert.unreachable(`[${i}]: ${results[0][i]}, expected ${v}`);
      });
      results.forEach((r, i) => equalBits(r, results[0], names[i]));
    });
  }
}

test('matrix units are part of the fingerprint, and of what is said about the device', () => {
  const { M, N, K } = device.features!.matrices!;
  assert.is(device.fingerprint.matrices, `${M}x${N}x${K}`);
  assert.match(device.why, `matrix units of ${M}x${N}x${K}`);
});
test.after(() => device.dispose());
test.run();
