/** Lowering of convolution's filter gradient: partial sums over runs of rows, then their sum. */
import type { AdapterKind, LowerContext, Lowering, Placed, Scratch, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { adapterKind, isVectorizable, sizeOf } from '../../device/types.ts';
import { copyLaunch } from '../../device/webgpu/copy.ts';
import { boundOffset, foldedGrid, images, loadOf, read, storageType, texture, TEXTURE_BYTES, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convUniforms } from './conv.ts';
import { tiledProduct } from './matrices.ts';
import { inScratch, padChannels, padded, paddedBytes, padsChannels } from './pad-channels.ts';
import { sumRuns } from './reduce.ts';
import type { Plan } from './winograd.ts';
import { filterGradient, winogradFilterGrad, winogradFilterGradScratch, winogradPlan, winogradWork } from './winograd.ts';

type Attrs = ConvAttrs & { readonly filterShape: Shape };

/** Side of the tiles by which runs are counted, whatever tile computes them. */
const TILE = 64;

/** Workgroups that there should be at least: an H200 has 132 processors, of which each wants several. */
const ENOUGH_GROUPS = { software: 256, hardware: 1024 } as const;

/** Pixels that a run should have at least. */
const ENOUGH_PIXELS = 256;

/** Runs into which the sum over the rows of y is cut; from shapes alone on each kind of adapter. */
function runsOf(dy: TensorType, filterShape: Shape, adapter: AdapterKind): number {
  const [n, outH, outW] = dy.shape;
  const [k, r, s, c] = filterShape;
  const tiles = Math.ceil(k / TILE) * Math.ceil((r * s * c) / TILE);
  const rows = n * outH;
  const wanted = Math.min(Math.ceil(ENOUGH_GROUPS[adapter] / tiles), Math.ceil((rows * outW) / ENOUGH_PIXELS), rows);
  const perRun = Math.ceil(rows / Math.max(1, wanted));
  return Math.ceil(rows / perRun);
}

/** Rows of y in each of so many runs. */
const rowsPerRun = ([n, outH]: Shape, runs: number): number => Math.ceil((n * outH) / runs);

/** Images that a group of runs sees at most, where x is padded. */
function paddedAtOnce(x: Shape, dy: Shape, runs: number): number {
  const [n, outH] = dy;
  const fit = Math.floor(TEXTURE_BYTES / paddedBytes(1, x));
  return Math.min(n, Math.max(fit, Math.ceil(rowsPerRun(dy, runs) / outH) + 1));
}

/**
 * How software adapters compute the gradient by minimal filtering, if they do. On an H200 its transforms, which write channels apart, cost more
 * than the products save: 1.0 to 3.3 times the direct way at the layers of Inception-BN, batch 128.
 */
function minimalPlan(dy: TensorType, attrs: Attrs): Plan | undefined {
  return winogradPlan({ tiled: dy.shape, filter: attrs.filterShape, attrs }, filterGradient, 'software');
}

export const conv2dFilterGradLowering: Lowering<Attrs, WebgpuLaunch> = {
  scratch([x, dy], [dw], attrs, features) {
    const { filterShape } = attrs;
    const adapter = adapterKind(features);
    const plan = adapter === 'software' ? minimalPlan(dy, attrs) : undefined;
    if (plan !== undefined) return winogradFilterGradScratch(plan);
    const runs = runsOf(dy, filterShape, adapter);
    if (adapter === 'hardware' || !padsChannels(x, filterShape)) return runs > 1 ? [4 * runs * sizeOf(dw.shape)] : [];
    const bytes = 4 * sizeOf(padded(filterShape));
    return [runs * bytes, bytes, paddedBytes(paddedAtOnce(x.shape, dy.shape, runs), x.shape)];
  },
  work([, dy], _outputs, attrs, features) {
    const plan = adapterKind(features) === 'software' ? minimalPlan(dy, attrs) : undefined;
    return plan && winogradWork(plan);
  },
  launches(context) {
    const { inputs: [x, dy], outputs: [dw], scratch, attrs, features } = context;
    if (adapterKind(features) === 'hardware') return tilesLaunches(context);
    const plan = minimalPlan(dy, attrs);
    return plan === undefined ? rowsLaunches(context) : winogradFilterGrad(plan, x, dy, dw, scratch, attrs);
  },
};

/** Words of shaders/conv_uniforms.wgsl for runs `first` to `last` of rows of y, where x and dy begin at an image. */
function runUniforms(
  { x, dy, dw, result }: { x: Placed; dy: Placed; dw: Placed; result: Placed | Scratch }, attrs: Attrs,
  { rows, perRun, first, last, image }: { rows: number; perRun: number; first: number; last: number; image: number },
): number[] {
  const [, outH, outW] = dy.shape;
  const size = sizeOf(dw.shape);
  const target = 'byteOffset' in result ? { offset: first * size, stride: dw.shape[3] } : { offset: boundOffset(result), stride: result.stride };
  return convUniforms({ pixels: rows * outW, x: x.shape, y: dy.shape, w: dw.shape }, attrs, { x, y: dy, w: target },
    { runs: [Math.min(last * perRun, rows) - image * outH, perRun, size, first * perRun - image * outH] });
}

function rowsLaunches({ inputs: [x, dy], outputs: [out], scratch, attrs }: LowerContext<Attrs>): WebgpuLaunch[] {
  const [n, outH, , filters] = dy.shape;
  const pads = padsChannels(x, out.shape);
  const dw = pads ? inScratch(scratch[1], padded(out.shape)) : out;
  const [, r, s, channels] = dw.shape;
  const runs = runsOf(dy, out.shape, 'software');
  const rows = n * outH;
  const perRun = rowsPerRun(dy.shape, runs);
  const result = runs > 1 ? scratch[0] : dw;
  const vector = pads || isVectorizable(x);
  const yVector = isVectorizable(dy);
  const columns = r * s * (vector ? channels / 4 : channels);
  // Few variants, since a software adapter takes half a second to compile each.
  const KV = filters <= 4 ? 1 : 4;
  // As many columns a thread as leave the last workgroup no more than half idle.
  const CV = !vector || columns >= 48 || (columns > 16 && columns <= 32) ? 4 : 2;
  const [loadX, loadY] = [loadOf(vector, x), loadOf(yVector, dy)];
  const P = 2;
  const replace = {
    KV, CV, P, W: vector ? 4 : 1, YVEC: yVector ? 1 : 0, YV: yVector ? 'vec4f' : 'f32', TEX: loadX === texture ? 1 : 0,
    YTEX: loadY === texture ? 1 : 0, V: vector ? 'vec4f' : 'f32', YT: storageType(dy, yVector), XT: storageType(x, vector),
    WT: runs > 1 ? 'f32' : storageType(dw, false), SUM: stepSum(P, vector),
  };
  const imageBytes = Math.max(pads ? paddedBytes(1, x.shape) : (4 / n) * x.rows * x.stride, (4 / n) * dy.rows * dy.stride);
  const launches = runGroups(dy.shape, imageBytes, runs, perRun).flatMap(([first, last]): WebgpuLaunch[] => {
    const image = Math.floor((first * perRun) / outH);
    const end = Math.ceil(Math.min(last * perRun, rows) / outH);
    const [seen, grads] = [x, dy].map((v) => images(v, image, end - image));
    const from = pads ? inScratch(scratch[2], padded(seen.shape)) : seen;
    return [
      ...(pads ? [padChannels(seen, from)] : []),
      {
        adapter: 'software',
        shader: 'conv2d_filter_grad_rows',
        replace,
        uniforms: runUniforms({ x: from, dy: grads, dw, result }, attrs, { rows, perRun, first, last, image }),
        bindings: [loadY(grads), loadX(from), write(result)],
        grid: foldedGrid(Math.ceil(columns / (8 * CV)), Math.ceil(filters / (4 * KV)), last - first),
        label: 'conv2dFilterGrad',
      },
    ];
  });
  const after = [
    ...(runs > 1 ? sumRuns(dw, runs, scratch[0], 'conv2dFilterGrad') : []),
    ...(pads ? [copyLaunch({ ...dw, channels: out.channels, shape: out.shape }, out)] : []),
  ];
  return [...launches, ...after.map((launch): WebgpuLaunch => ({ ...launch, adapter: 'software' }))];
}

function tilesLaunches({ inputs: [x, dy], outputs: [dw], scratch, attrs, features }: LowerContext<Attrs>): WebgpuLaunch[] {
  const [n, outH, outW, filters] = dy.shape;
  const runs = runsOf(dy, dw.shape, 'hardware');
  const perRun = rowsPerRun(dy.shape, runs);
  const result = runs > 1 ? scratch[0] : dw;
  const [vector, yVector] = [isVectorizable(x), isVectorizable(dy)];
  const types = {
    V: vector ? 'vec4f' : 'f32', YT: storageType(dy, yVector), XT: storageType(x, vector), WT: runs > 1 ? 'f32' : storageType(dw, false),
  };
  const launches: WebgpuLaunch[] = [{
    adapter: 'hardware',
    shader: 'conv2d_filter_grad_tiles',
    ...tiledProduct({ rows: filters, columns: sizeOf(dw.shape) / filters, count: runs, depth: perRun * outW, rowsAlong: 'y', mostRows: 64 }, [dy, x],
      { leftByRows: false, rightByColumns: false }, features, { VEC: vector ? 1 : 0, YVEC: yVector ? 1 : 0, ...types }),
    uniforms: runUniforms({ x, dy, dw, result }, attrs, { rows: n * outH, perRun, first: 0, last: runs, image: 0 }),
    bindings: [read(dy), read(x), write(result)],
    label: 'conv2dFilterGrad',
  }];
  if (runs > 1) launches.push(...sumRuns(dw, runs, scratch[0], 'conv2dFilterGrad').map((l): WebgpuLaunch => ({ ...l, adapter: 'hardware' })));
  return launches;
}

/** Groups [first run, end] of runs, so that the images that each reads keep to TEXTURE_BYTES, unless one run's do not. */
function runGroups([n, outH]: Shape, imageBytes: number, runs: number, perRun: number): [number, number][] {
  const imagesOf = (first: number, end: number): number => Math.ceil(Math.min(end * perRun, n * outH) / outH) - Math.floor((first * perRun) / outH);
  const groups: [number, number][] = [];
  for (let first = 0; first < runs;) {
    let end = first + 1;
    while (end < runs && imagesOf(first, end + 1) * imageBytes <= TEXTURE_BYTES) end++;
    groups.push([first, end]);
    first = end;
  }
  return groups;
}

/** The terms that `pixels` pixels add to a result, written out in one sum so that the result is fetched and stored once. */
function stepSum(pixels: number, vector: boolean): string {
  return Array.from({ length: pixels }, (_, p) => (vector ? `g$m_${p} * v${p}[$q]` : `g$m_${p} * v${p}`)).join(' + ');
}
