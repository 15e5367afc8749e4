// time limit: 600 s
/**
 * All ways to compute one network against each other: fused and as recorded, plain and relaxed WASM, kernels for software and for
 * hardware adapters, over networks that are drawn from a seed: convolutions with bias, batch normalization, ReLU, pooling,
 * concatenation, dense layers, a weighted loss. Every op of every variant is held to the float64 reference, fed what the variant
 * itself computed; losses, gradients and moving statistics of each are held to the reference of the graph as recorded, and to every
 * other variant's, by DESIGN's rule for networks (ReLUs at zero flip: norms within 1 %, cosine .9999). With recomputation, and with any
 * tile that the tuner may choose, they are equal bit for bit. Mixed precision is held to the reference op by op, and to float32 by its loss.
 *
 * FOVEA_RUNNERS chooses devices (`cpu,webgpu`), FOVEA_NETWORKS how many networks.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cpu } from '../../src/device/cpu/index.ts';
import type { Device, WebgpuLaunch } from '../../src/device/types.ts';
import { webgpu } from '../../src/device/webgpu/index.ts';
import { withVariant } from '../../src/device/tuner.ts';
import { DeviceError, MissingPackageError } from '../../src/errors.ts';
import { runReference } from '../../src/graph/reference.ts';
import { apply, compile, getOp, grad, tensor } from '../../src/fovea.ts';
import { activation, batchNorm, concat, convolution, createVariables, flatten, fullyConnected, initialize, pooling, variable } from '../../src/nn/index.ts';
import type { ModelSymbol } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import type { CompileOptions } from '../../src/tensor/compile.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { checkStep } from '../../src/testing/index.ts';
import { skip } from '../support/skip.ts';
import { adapterFor } from '../support/webgpu.ts';

/** A way to compute: a device, and what else is tried on it. */
interface Variant {
  readonly name: string;
  readonly runner: 'cpu' | 'webgpu';
  open(): Promise<Device>;
  /** Networks for which all tiles are tried that the tuner may choose; default 0. */
  readonly tiles?: number;
}

const variants: readonly Variant[] = [
  { name: 'plain SIMD', runner: 'cpu', open: () => cpu({ threads: 2, relaxedSimd: false }) },
  { name: 'relaxed SIMD', runner: 'cpu', open: () => cpu({ threads: 2, relaxedSimd: true }) },
  { name: 'software kernels', runner: 'webgpu', open: () => webgpu({ adapter: adapterFor('llvmpipe'), kernels: 'software' }) },
  {
    name: 'hardware kernels', runner: 'webgpu', tiles: 3,
    open: () => webgpu({ adapter: adapterFor('llvmpipe'), kernels: 'hardware', tuning: 'off' }),
  },
];

/** For the first network in mixed precision: where a kernel was not compiled before, that takes seconds. */
const half: Variant = {
  name: 'mixed precision', runner: 'webgpu', open: () => webgpu({ adapter: adapterFor('lavapipe'), kernels: 'hardware', tuning: 'off' }),
};
/** The smallest tile whose values are exchanged within subgroups. */
const exchanged = '64x64x16, 8x4 a thread, subgroups';

interface Drawn {
  readonly symbol: ModelSymbol;
  /** NHWC. */
  readonly input: readonly [number, number, number, number];
  readonly text: string;
  /** Biases ahead of a batch normalization: their true gradient is zero, what is computed is rounding. */
  readonly noise: ReadonlySet<string>;
}

/** A network from a seed. Channels are odd or even as it comes, so that slices of concatenations lie anywhere. */
function draw(seed: number): Drawn {
  const stream = new PhiloxStream(seed, 'networks');
  const pick = <T>(list: readonly T[]): T => list[stream.int(list.length)];
  const input = [2 + stream.int(2), 9 + stream.int(8), 9 + stream.int(8), pick([3, 4, 5, 8])] as const;
  const text: string[] = [`[${input.join(',')}]`];
  const noise = new Set<string>();
  let count = 0;
  const unit = (data: ModelSymbol, same: boolean): ModelSymbol => {
    const name = `conv${count++}`;
    const kernel = pick([[1, 1], [3, 3], [3, 3], [5, 5], [1, 3]] as const);
    const stride = same ? 1 : pick([1, 1, 2]);
    const numFilter = pick([3, 4, 6, 8, 13, 16, 20, 32]);
    const [norm, relu] = [stream.int(3) > 0, stream.int(4) > 0];
    const noBias = stream.int(4) === 0;
    const pad = [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2] as const;
    text.push(`${kernel.join('x')}/${stride} ${numFilter}${noBias ? '' : ' +bias'}${norm ? ' bn' : ''}${relu ? ' relu' : ''}`);
    let y = convolution(data, { name, kernel, numFilter, stride: [stride, stride], pad, noBias });
    if (norm) {
      if (!noBias) noise.add(`${name}_bias`);
      y = batchNorm(y, { name: `bn_${name}`, fixGamma: stream.int(3) === 0 });
    }
    return relu ? activation(y, { name: `relu_${name}`, actType: 'relu' }) : y;
  };
  const pool = (data: ModelSymbol, stride: number): ModelSymbol => {
    const poolType = pick(['max', 'avg'] as const);
    text.push(`${poolType}/${stride}`);
    return pooling(data, { name: `pool${count++}`, kernel: [3, 3], stride: [stride, stride], pad: [1, 1], poolType });
  };
  let y = unit(variable('data'), false);
  for (let block = 0; block < 3; block++) {
    const kind = stream.int(3);
    if (kind === 0) y = unit(y, true);
    else if (kind === 1) y = pool(y, pick([1, 2]));
    else {
      text.push('(');
      const branches = [unit(y, true), unit(unit(y, true), true), unit(pool(y, 1), true)].slice(0, 2 + stream.int(2));
      text.push(')');
      y = concat(branches, { name: `concat${count++}` });
    }
  }
  y = flatten(pooling(y, { name: 'global', kernel: [1, 1], poolType: 'avg', globalPool: true }), { name: 'flat' });
  return { symbol: fullyConnected(y, { name: 'fc', numHidden: 3 }), input, text: text.join(' '), noise };
}

type Results = Map<string, ArrayLike<number>>;

/** Loss, gradients and moving statistics of one step; `run` gets the function and its arguments. */
async function step(
  { symbol, input }: Drawn,
  run: (record: (x: Tensor, y: Tensor, w: Tensor) => Tensor[], args: [Tensor, Tensor, Tensor], start: Results) => Promise<ArrayLike<number>[]>,
): Promise<Results> {
  const [n, height, width, channels] = input;
  const arrays = initialize(symbol, { data: [n, channels, height, width] }, { seed: 5 });
  const { all, trainable, states } = createVariables(symbol, arrays);
  const start: Results = new Map([...arrays.arguments, ...arrays.auxiliary].map(([name, a]) => [name, a.data as Float32Array]));
  const noise = new PhiloxStream(9, 'pixels');
  const x = tensor(Float32Array.from({ length: n * height * width * channels }, () => noise.normal()), input);
  const labels = tensor(Int32Array.from({ length: n }, (_, i) => i % 3));
  const args: [Tensor, Tensor, Tensor] = [x, labels, tensor(Float32Array.from({ length: n }, (_, i) => 1 + i / 2))];
  const record = (data: Tensor, labels: Tensor, weights: Tensor): Tensor[] => {
    const logits = symbol.apply(all, data, { training: true }) as Tensor;
    const [losses] = apply(getOp('softmaxCrossEntropy'), [logits, labels, tensor(Float32Array.of(1, 2, 0.5)), weights], { ignoreLabel: null });
    const loss = losses.mean();
    return [loss, ...grad(loss, trainable), ...states.map((v) => v.read())];
  };
  const values = await run(record, args, start);
  for (const v of all.values()) v.dispose();
  return new Map(['loss', ...trainable.map((v) => v.name), ...states.map((v) => v.name)].map((name, i) => [name, values[i]]));
}

function assertClose(drawn: Drawn, got: Results, want: Results, what: string): void {
  const norm = (a: ArrayLike<number>): number => Math.sqrt(Array.from(a).reduce((s, v) => s + v * v, 0));
  for (const [name, expected] of want) {
    if (drawn.noise.has(name)) continue;
    const values = got.get(name)!;
    const [a, b] = [norm(values), norm(expected)];
    if (b < 1e-12) {
      assert.ok(a < 1e-6, `${what}: ${name} has norm ${a}, expected ${b}`);
      continue;
    }
    const dot = Array.from(expected).reduce((s, v, i) => s + v * values[i], 0);
    assert.ok(Math.abs(a - b) <= 0.01 * b && dot >= 0.9999 * a * b, `${what}: ${name}: norms ${a} and ${b}, cosine ${dot / (a * b)}`);
  }
}

function assertSameBits(got: Results, want: Results, what: string): void {
  for (const [name, expected] of want) {
    const [a, b] = [got.get(name)!, expected].map((values) => Buffer.from(Float32Array.from(values).buffer));
    assert.ok(a.equals(b), `${what}: ${name} has other bits`);
  }
}

type Tile = NonNullable<WebgpuLaunch['variants']>[number];

/** Runs with another variant of every launch that has some; how many launches had it. */
async function withTiles<T>(
  device: Device, choose: (tiles: readonly Tile[]) => Tile | undefined, run: () => Promise<T>,
): Promise<{ result: T; launches: number }> {
  const { build } = device;
  let launches = 0;
  device.build = (list) => build.call(device, list.map((placed) => {
    const launch = placed.launch as WebgpuLaunch;
    const tile = launch.variants && choose(launch.variants);
    if (tile === undefined) return placed;
    launches++;
    return { ...placed, launch: withVariant(launch, tile) };
  }));
  try {
    return { result: await run(), launches };
  } finally {
    device.build = build;
  }
}

/** The tiles that the tuner may choose, by turns: the second that each launch has, the third, ... */
const others = [1, 2, 3, 4].map((index) => ({ name: `tile ${index}`, choose: (tiles: readonly Tile[]) => tiles[index] }));

const wanted = (process.env.FOVEA_RUNNERS ?? 'cpu,webgpu').split(',');
/** Undefined, and said, where there is no such device. */
async function opened({ name, runner, open }: Variant): Promise<Device | undefined> {
  if (!wanted.includes(runner)) return undefined;
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof DeviceError || error instanceof MissingPackageError)) throw error;
    skip(`networks on ${runner}, ${name}`, error.message);
    return undefined;
  }
}

const devices: { name: string; device: Device; variant: Variant }[] = [];
for (const variant of variants) {
  const device = await opened(variant);
  if (device) devices.push({ name: `${variant.runner}, ${variant.name}`, device, variant });
}
const halfDevice = await opened(half);

const applied = new Set<string>();

/** The results of the float64 reference, of the graph as recorded. */
function exactly(drawn: Drawn): Promise<Results> {
  return step(drawn, async (record, args, start) => {
    const outputs = record(...args);
    return runReference(outputs.map((t) => t.value), ({ source }) => (source.kind === 'variable' ? start.get(source.cell.name) : undefined));
  });
}

/** The results of a compiled step; `check`: every op of it is held to the reference. */
function compute(drawn: Drawn, device: Device, what: string, options: Omit<CompileOptions, 'device'> = {}, check = false): Promise<Results> {
  return step(drawn, async (record, args) => {
    const compiled = compile(record, { device, ...options });
    const values: ArrayLike<number>[] = [];
    for (const t of await compiled(...args)) values.push(await t.data());
    for (const rewrite of compiled.programs[0].rewrites) applied.add(rewrite);
    assert.is(compiled.programs[0].rewrites.length > 0, options.fuse ?? true, `${what}: rewrites`);
    if (check) {
      const { departures } = await checkStep(compiled, args);
      assert.equal(departures.map((d) => `${d.label} ${d.layer} ${d.got} ${d.expected} ${d.allowed}`), [], what);
    }
    compiled.dispose();
    return values;
  });
}

for (let seed = 1; seed <= Number(process.env.FOVEA_NETWORKS ?? 7); seed++) {
  const drawn = draw(seed);
  test(`network ${seed}: ${drawn.text}`, async () => {
    const results = new Map<string, Results>();
    results.set('the reference', await exactly(drawn));
    for (const { name, device, variant } of devices) {
      for (const fuse of [true, false]) {
        const what = `${name}, ${fuse ? 'fused' : 'as recorded'}`;
        results.set(what, await compute(drawn, device, what, { fuse }, true));
      }
      const fused = results.get(`${name}, fused`)!;
      const again = `${name}, recomputed`;
      assertSameBits(await compute(drawn, device, again, { recompute: true }), fused, again);
      for (const { name: tile, choose } of seed <= (variant.tiles ?? 0) ? others : []) {
        const what = `${name}, ${tile}`;
        const { result, launches } = await withTiles(device, choose, () => compute(drawn, device, what));
        assert.ok(launches > 0, `${what}: no launch has so many`);
        assertSameBits(result, fused, what);
      }
    }
    const names = [...results.keys()];
    names.forEach((a, i) => names.slice(i + 1).forEach((b) => assertClose(drawn, results.get(b)!, results.get(a)!, `${b} against ${a}`)));
  });
}

if (halfDevice !== undefined) {
  const drawn = draw(1);
  test(`network 1 in mixed precision, with and without values exchanged within subgroups: ${drawn.text}`, async () => {
    const mixed = await compute(drawn, halfDevice, half.name, { mixed: true }, true);
    // The loss alone: a ReLU that float16 flips at zero changes gradients by more than any rounding.
    const [got, want] = [mixed, await exactly(drawn)].map((results) => results.get('loss')![0]);
    assert.ok(Math.abs(got - want) <= 2 ** -7 * Math.abs(want), `loss ${got}, in float64 ${want}`);
    const choose = (tiles: readonly Tile[]): Tile | undefined => tiles.find(({ name }) => name === exchanged);
    const { result, launches } = await withTiles(halfDevice, choose, () => compute(drawn, halfDevice, exchanged, { mixed: true }));
    assert.ok(launches > 0, `no launch has ${exchanged}`);
    assertSameBits(result, mixed, exchanged);
  });
}

test('the networks drawn have what the fused kernels replace', () => {
  for (const name of [
    'batchNorm + relu', 'reluGrad + batchNormGrad', 'conv2d + relu', 'batchNorm + conv2dStats', 'normalize + relu', 'maxPool2dGrad by indices',
  ]) {
    assert.ok(applied.has(name), `${name} was never applied; applied were ${[...applied].join(', ')}`);
  }
});

test.after(() => [...devices.map(({ device }) => device), halfDevice].forEach((device) => device?.dispose()));
test.run();
