/** Lowering of convolution's filter gradient: partial sums over runs of rows, then their sum. */
import type { Lowering, Placed, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, read, storageType, texture, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convUniforms, images, loadOf, TEXTURE_BYTES } from './conv.ts';
import { takesMatrices, tiledProduct } from './matrices.ts';
import { sumRuns } from './reduce.ts';
import { winogradFilterGrad, winogradFilterGradScratch } from './winograd.ts';

type Attrs = ConvAttrs & { readonly filterShape: Shape };

/** Side of the tiles by which runs are counted, whatever tile computes them. */
const TILE = 64;

/** Workgroups that a hardware adapter should have at least. */
const ENOUGH_GROUPS = 256;

/** Pixels that a run should have at least. */
const ENOUGH_PIXELS = 256;

/** Runs into which the sum over the rows of y is cut; from shapes alone, whatever the adapter. */
function runsOf(dy: TensorType, filterShape: Shape): number {
  const [n, outH, outW] = dy.shape;
  const [k, r, s, c] = filterShape;
  const tiles = Math.ceil(k / TILE) * Math.ceil((r * s * c) / TILE);
  const rows = n * outH;
  const wanted = Math.min(Math.ceil(ENOUGH_GROUPS / tiles), Math.ceil((rows * outW) / ENOUGH_PIXELS), rows);
  const perRun = Math.ceil(rows / Math.max(1, wanted));
  return Math.ceil(rows / perRun);
}

export const conv2dFilterGradLowering: Lowering<Attrs, WebgpuLaunch> = {
  scratch([x, dy], [dw], attrs) {
    const { filterShape } = attrs;
    const minimal = winogradFilterGradScratch({ tiled: dy.shape, filter: filterShape, attrs });
    const runs = runsOf(dy, filterShape);
    const partials = runs > 1 ? [4 * runs * sizeOf(dw.shape)] : [];
    if (minimal === undefined) return partials;
    // Matrix units, if the adapter turns out to have them, go the direct way.
    return [x, dy].every(({ dtype }) => dtype === 'float16') ? [Math.max(minimal[0], ...partials), ...minimal.slice(1)] : minimal;
  },
  launches({ inputs: [x, dy], outputs: [dw], scratch, attrs, features }) {
    if (!takesMatrices(features, x, dy) && winogradFilterGradScratch({ tiled: dy.shape, filter: dw.shape, attrs }) !== undefined) {
      return winogradFilterGrad(x, dy, dw, scratch, attrs);
    }
    const [n, outH, outW, filters] = dy.shape;
    const [, r, s, channels] = dw.shape;
    const runs = runsOf(dy, dw.shape);
    const rows = n * outH;
    const perRun = Math.ceil(rows / runs);
    const cut = runs > 1;
    const size = sizeOf(dw.shape);
    const result = cut ? scratch[0] : dw;
    /** Runs `first` to `first + count`, which read images of x and dy from `image` on. */
    const uniforms = (from: Placed, grads: Placed, first: number, count: number, image: number): number[] => {
      const target = cut ? { offset: first * size, stride: channels } : { offset: boundOffset(dw), stride: dw.stride };
      const last = Math.min((first + count) * perRun, rows);
      return convUniforms({ pixels: rows * outW, x: x.shape, y: dy.shape, w: dw.shape }, attrs, { x: from, y: grads, w: target },
        { runs: [last - image * outH, perRun, size, first * perRun - image * outH] });
    };
    const vector = isVectorizable(x);
    const yVector = isVectorizable(dy);
    const columns = r * s * (vector ? channels / 4 : channels);
    // Few variants, since a software adapter takes half a second to compile each.
    const KV = filters <= 4 ? 1 : 4;
    // As many columns a thread as leave the last workgroup no more than half idle.
    const CV = !vector || columns >= 48 || (columns > 16 && columns <= 32) ? 4 : 2;
    const [VEC, YVEC] = [vector ? 1 : 0, yVector ? 1 : 0];
    const types = {
      V: vector ? 'vec4f' : 'f32', YT: storageType(dy, yVector), XT: storageType(x, vector), WT: cut ? 'f32' : storageType(dw, false),
    };
    const [loadX, loadY] = [loadOf(vector, x), loadOf(yVector, dy)];
    const through = { TEX: loadX === texture ? 1 : 0, YTEX: loadY === texture ? 1 : 0 };
    const P = 2;
    const launches: WebgpuLaunch[] = runGroups(x, dy, runs, perRun).map(([first, count]): WebgpuLaunch => {
      const image = Math.floor((first * perRun) / outH);
      const end = Math.ceil(Math.min((first + count) * perRun, rows) / outH);
      const [from, grads] = [x, dy].map((v) => images(v, image, end - image));
      return {
        adapter: 'software',
        shader: 'conv2d_filter_grad_rows',
        replace: { KV, CV, P, W: vector ? 4 : 1, YVEC, YV: yVector ? 'vec4f' : 'f32', ...through, ...types, SUM: stepSum(P, vector) },
        uniforms: uniforms(from, grads, first, count, image),
        bindings: [loadY(grads), loadX(from), write(result)],
        grid: [Math.ceil(columns / (8 * CV)), Math.ceil(filters / (4 * KV)), count],
        label: 'conv2dFilterGrad',
      };
    });
    launches.push({
      adapter: 'hardware',
      shader: 'conv2d_filter_grad_tiles',
      ...tiledProduct({ rows: filters, columns: r * s * channels, count: runs, depth: perRun * outW, rowsAlong: 'y' }, [dy, x],
        { leftByRows: false, rightByColumns: false }, features, { VEC, YVEC, ...types }),
      uniforms: uniforms(x, dy, 0, runs, 0),
      bindings: [read(dy), read(x), write(result)],
      label: 'conv2dFilterGrad',
    });
    if (cut) launches.push(...sumRuns(dw, runs, scratch[0], 'conv2dFilterGrad'));
    return launches;
  },
};

/** Groups [first run, count] of runs, so that the images that each reads keep to TEXTURE_BYTES, unless one run's do not. */
function runGroups(x: Placed, dy: Placed, runs: number, perRun: number): [number, number][] {
  const [n, outH] = dy.shape;
  const imageBytes = (4 / n) * Math.max(x.rows * x.stride, dy.rows * dy.stride);
  const imagesOf = (first: number, count: number): number =>
    Math.ceil(Math.min((first + count) * perRun, n * outH) / outH) - Math.floor((first * perRun) / outH);
  const groups: [number, number][] = [];
  for (let first = 0; first < runs;) {
    let count = 1;
    while (first + count < runs && imagesOf(first, count + 1) * imageBytes <= TEXTURE_BYTES) count++;
    groups.push([first, count]);
    first += count;
  }
  return groups;
}

/** The terms that `pixels` pixels add to a result, written out in one sum so that the result is fetched and stored once. */
function stepSum(pixels: number, vector: boolean): string {
  return Array.from({ length: pixels }, (_, p) => (vector ? `g$m_${p} * v${p}[$q]` : `g$m_${p} * v${p}`)).join(' + ');
}
