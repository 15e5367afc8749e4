/**
 * Grids of tiled products: an axis takes 65,535 workgroups, so a longer one is cut, and shaders put the cuts together again. Lowerings of
 * large products alone, counted tile by tile; then small ones run with their grids cut by force, which must leave every bit as it was.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device, DeviceBuffer, GpuFeatures, Lowering, Placed, Shape, WebgpuLaunch } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { foldedGrid } from '../../src/device/webgpu/launch.ts';
import { withVariant } from '../../src/device/tuner.ts';
import { conv2dFilterGradLowering } from '../../src/ops/webgpu/conv-filter-grad.ts';
import { conv2dInputGradLowering, conv2dLowering } from '../../src/ops/webgpu/conv.ts';
import { matmulLowering } from '../../src/ops/webgpu/matmul.ts';
import { tiled } from '../../src/ops/webgpu/tiles.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { equalBits } from '../support/bits.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

const MOST = 65535;

interface Case {
  readonly name: string;
  readonly lowering: Lowering<any, WebgpuLaunch>;
  readonly inputs: readonly Shape[];
  readonly output: Shape;
  readonly attrs: object;
}

const product = (name: string, a: Shape, b: Shape, output: Shape, transposeA: boolean, transposeB: boolean): Case =>
  ({ name, lowering: matmulLowering, inputs: [a, b], output, attrs: { transposeA, transposeB } });

function convolutions(name: string, x: Shape, w: Shape, stride: number): Case[] {
  const side = (length: number): number => Math.floor((length - w[1]) / stride) + 1;
  const y: Shape = [x[0], side(x[1]), side(x[2]), w[0]];
  const attrs = { stride: [stride, stride], padding: [0, 0, 0, 0], dilation: [1, 1], activation: 'none', inputShape: x, filterShape: w };
  return [
    { name: `${name}, forward`, lowering: conv2dLowering, inputs: [x, w], output: y, attrs },
    { name: `${name}, input gradient`, lowering: conv2dInputGradLowering, inputs: [y, w], output: x, attrs },
    { name: `${name}, filter gradient`, lowering: conv2dFilterGradLowering, inputs: [x, y], output: w, attrs },
  ];
}

const long = 4_200_000;
const large: readonly Case[] = [
  product('many rows', [long, 4], [4, 4], [long, 4], false, false),
  product('many rows, B^T', [long, 4], [4, 4], [long, 4], false, true),
  product('many rows of A^T', [4, long], [4, 4], [long, 4], true, false),
  product('many columns', [4, 4], [4, long], [4, long], false, false),
  product('many columns, B^T', [4, 4], [long, 4], [4, long], false, true),
  product('many columns, A^T', [4, 4], [4, long], [4, long], true, false),
  ...convolutions("Inception v3's first convolution, batch 256", [256, 299, 299, 3], [32, 3, 3, 3], 2),
];

function placed(shape: Shape, buffer: DeviceBuffer): Placed {
  const channels = shape[shape.length - 1];
  return { shape, dtype: 'float32', buffer, offset: 0, rows: sizeOf(shape) / channels, channels, stride: channels };
}

/** Launches of shaders that unfold their grids. */
const unfolds = ({ shader }: WebgpuLaunch): boolean => /^conv2d_.*_(tiles|rows)$/.test(shader);

function launchesOf({ lowering, inputs, output, attrs }: Case, features: GpuFeatures): WebgpuLaunch[] {
  const buffer: DeviceBuffer = { bytes: 2 ** 40, label: 'none', dispose: () => undefined };
  const [from, to] = [inputs.map((shape) => placed(shape, buffer)), placed(output, buffer)];
  const scratch = (lowering.scratch?.(from, [to], attrs, features) ?? []).map((bytes) => ({ buffer, byteOffset: 0, bytes }));
  const kind = features.hardware === true ? 'hardware' : 'software';
  return lowering.launches({ attrs, inputs: from, outputs: [to], scratch, features })
    .filter(({ adapter }) => adapter === undefined || adapter === kind)
    .flatMap((launch) => [launch, ...(launch.variants ?? []).map((variant) => withVariant(launch, variant))]);
}

/** Tiles along x and y, and planes, of what a launch's uniforms say is to be computed. */
function tilesOf({ shader, replace, uniforms }: WebgpuLaunch): [number, number, number] {
  const n = (key: string): number => Number(replace![key]);
  const [pixels, , , , , channels, filters, kernelH, kernelW, strideH, strideW] = uniforms as number[];
  const [rows, perRun, , first] = uniforms.slice(-4) as number[];
  const over = (items: number, tile: number): number => Math.ceil(items / tile);
  const columns = kernelH * kernelW * channels;
  switch (shader) {
    case 'conv2d_forward_tiles': return [over(pixels, n('ROWS')), over(filters, n('COLUMNS')), 1];
    case 'conv2d_forward_rows': return [over(pixels, 8 * n('TM')), over(filters, 4 * n('NV')), 1];
    case 'conv2d_input_grad_tiles': return [over(pixels, n('ROWS')), over(channels, n('COLUMNS')), strideH * strideW];
    case 'conv2d_input_grad_rows': return [over(pixels, 8 * n('TM')), over(channels, 4 * n('NV')), strideH * strideW];
    case 'conv2d_filter_grad_tiles': return [over(columns, n('COLUMNS')), over(filters, n('ROWS')), over(rows - first, perRun)];
    default: return [over(columns / n('W'), 8 * n('CV')), over(filters, 4 * n('KV')), over(rows - first, perRun)];
  }
}

/** How often a launch's workgroups compute each of its tiles, as shaders/unfold.wgsl puts its grid together: the fewest and the most times. */
function coverage(launch: WebgpuLaunch): [number, number] {
  const [x, y, planes] = tilesOf(launch);
  const [groupsX, groupsY, groupsZ] = launch.grid;
  const times = new Uint8Array(x * y * planes);
  for (let idZ = 0; idZ < groupsZ; idZ++) {
    const cut = Math.floor(idZ / planes);
    const [aheadX, aheadY] = groupsX < x ? [cut * groupsX, 0] : [0, cut * groupsY];
    for (let idY = 0; idY < groupsY; idY++) {
      for (let idX = 0; idX < groupsX; idX++) {
        const [tileX, tileY] = [idX + aheadX, idY + aheadY];
        if (tileX < x && tileY < y) times[((idZ % planes) * y + tileY) * x + tileX]++;
      }
    }
  }
  return times.reduce(([least, most], n) => [Math.min(least, n), Math.max(most, n)], [255, 0]);
}

const lowerings = suite('grids of large products');
for (const hardware of [true, false]) {
  for (const c of large) {
    lowerings(`${c.name}, kernels for ${hardware ? 'hardware' : 'software'} adapters: within a grid's axes, each tile once`, () => {
      const launches = launchesOf(c, { hardware });
      assert.ok(launches.some(unfolds));
      for (const launch of launches) {
        assert.ok(launch.grid.every((n) => Number.isInteger(n) && n >= 1 && n <= MOST), `${launch.shader}: ${launch.grid.join(' x ')}`);
        if (unfolds(launch)) assert.equal(coverage(launch), [1, 1], `${launch.shader}: ${launch.grid.join(' x ')}`);
      }
    });
  }
}

lowerings('an axis is cut only where a grid would not take it', () => {
  assert.equal(foldedGrid(MOST, MOST, 3), [MOST, MOST, 3]);
  assert.equal(foldedGrid(MOST + 1, 7, 3), [32768, 7, 6]);
  assert.equal(foldedGrid(7, 100_000, 3), [7, 32768, 12]);
});
lowerings('a variant whose grid is too large is not offered; where all are, the default says so when it is built', () => {
  const order = { leftByRows: true, rightByColumns: true };
  const named = (count: number): string[] =>
    tiled({ rows: 70_000 * 64, columns: 4, count, depth: 4 }, order, {}).variants!.map(({ name, grid }) => `${name.split('x')[0]}: ${grid.join(' x ')}`);
  // Rows in tiles of 32 are cut in five, of 64 in three, of 128 in two or not at all.
  assert.equal(named(20_000), ['64: 32768 x 1 x 60000', '64: 32768 x 1 x 60000', '128: 35000 x 1 x 20000', '128: 35000 x 1 x 20000']);
  const none = named(70_000);
  assert.is(none.length, 1);
});
lowerings.run();

/** Runs a case on random values, once with each of `changes` made to its launches. */
async function results(
  device: Device, { lowering, inputs, output, attrs }: Case, changes: readonly ((launch: WebgpuLaunch) => WebgpuLaunch)[],
): Promise<Float32Array[]> {
  const stream = new PhiloxStream(5, 'grids');
  const place = (shape: Shape): Placed => placed(shape, device.allocate(4 * sizeOf(shape), 'test'));
  const from = inputs.map((shape) => {
    const v = place(shape);
    device.write(v.buffer, 0, Float32Array.from({ length: sizeOf(shape) }, () => stream.uniform(-1, 1)));
    return v;
  });
  const to = place(output);
  const scratch = (lowering.scratch?.(from, [to], attrs, device.features) ?? []).map((wanted) => {
    const bytes = Math.ceil(wanted / 256) * 256;
    return { buffer: device.allocate(bytes, 'scratch'), byteOffset: 0, bytes };
  });
  const launches = lowering.launches({ attrs, inputs: from, outputs: [to], scratch, features: device.features });
  const found: Float32Array[] = [];
  for (const change of changes) {
    device.write(to.buffer, 0, new Float32Array(sizeOf(output)).fill(NaN));
    const program = await device.build(launches.map((launch) => ({ launch: change(launch), node: 'test', flop: 0 })));
    await program.run();
    found.push(new Float32Array((await device.read(to.buffer, 0, to.buffer.bytes)).buffer));
    program.dispose();
  }
  for (const { buffer } of [...from, to, ...scratch]) buffer.dispose();
  return found;
}

const opened = {
  software: await openWebgpu({ adapter: 'llvmpipe', kernels: 'software', tuning: 'off' }),
  hardware: await openWebgpu({ adapter: 'llvmpipe', kernels: 'hardware', tuning: 'off' }),
};
/** Several tiles along both axes, two strides' classes, several runs; an odd number of tiles, so that the last cut has some to spare. */
const small = [...convolutions('3x3, stride 2', [2, 27, 27, 36], [68, 3, 3, 36], 2), ...convolutions('1x1', [1, 19, 14, 276], [68, 1, 1, 276], 1)];
for (const kernels of ['software', 'hardware'] as const) {
  const { device, reason } = opened[kernels];
  const test = suiteUnless(reason, `cut grids, kernels for ${kernels} adapters`);
  for (const c of small) {
    test(`${c.name}, ${kernels} kernels: a cut grid leaves every bit as it was`, async () => {
      const cuts = [0, 0];
      const cut = (axis: 0 | 1) => (launch: WebgpuLaunch): WebgpuLaunch => {
        const n = launch.grid[axis];
        if (!unfolds(launch) || n < 2) return launch;
        if (launch.adapter === kernels) cuts[axis]++;
        const grid: [number, number, number] = [...launch.grid];
        grid[axis] = Math.floor(n / 2);
        grid[2] *= Math.ceil(n / grid[axis]);
        return { ...launch, grid };
      };
      const [whole, ...rest] = await results(device, c, [(launch) => launch, cut(0), cut(1)]);
      assert.ok(whole.every(Number.isFinite));
      assert.ok(cuts[0] > 0 && cuts[1] > 0, `launches that were cut: ${cuts.join(', ')}`);
      rest.forEach((one, i) => equalBits(one, whole, `cut along ${'xy'[i]}`));
    });
  }
  test.after(() => device.dispose());
  test.run();
}
