/** Lowering of convolution's filter gradient: partial sums over runs of rows, then their sum. */
import type { Lowering, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, read, storageType, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { convUniforms, TILE } from './conv.ts';
import { sumRuns } from './reduce.ts';

type Attrs = ConvAttrs & { readonly filterShape: Shape };

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
  scratch([, dy], [dw], { filterShape }) {
    const runs = runsOf(dy, filterShape);
    return runs > 1 ? [4 * runs * sizeOf(dw.shape)] : [];
  },
  launches({ inputs: [x, dy], outputs: [dw], scratch, attrs }) {
    const [n, outH, outW, filters] = dy.shape;
    const [, r, s, channels] = dw.shape;
    const runs = runsOf(dy, dw.shape);
    const rows = n * outH;
    const cut = runs > 1;
    const size = sizeOf(dw.shape);
    const target = cut ? { offset: 0, stride: channels } : { offset: boundOffset(dw), stride: dw.stride };
    const uniforms = convUniforms({ pixels: rows * outW, x: x.shape, y: dy.shape, w: dw.shape }, attrs, { x, y: dy, w: target },
      { runs: [rows, Math.ceil(rows / runs), size] });
    const bindings = [read(dy), read(x), write(cut ? scratch[0] : dw)];
    const vector = isVectorizable(x);
    const yVector = isVectorizable(dy);
    const columns = r * s * (vector ? channels / 4 : channels);
    // Few variants, since a software adapter takes half a second to compile each.
    const KV = filters <= 4 ? 1 : 4;
    // As many columns a thread as leave the last workgroup no more than half idle.
    const CV = !vector || columns >= 48 || (columns > 16 && columns <= 32) ? 4 : 2;
    const V = vector ? 'vec4f' : 'f32';
    const P = 2;
    const types = { YT: storageType(dy, yVector), XT: storageType(x, vector), WT: cut ? 'f32' : storageType(dw, false) };
    const launches: WebgpuLaunch[] = [
      {
        adapter: 'software',
        shader: 'conv2d_filter_grad_rows',
        replace: { KV, CV, P, V, W: vector ? 4 : 1, YVEC: yVector ? 1 : 0, ...types, SUM: stepSum(P, vector) },
        uniforms, bindings,
        grid: [Math.ceil(columns / (8 * CV)), Math.ceil(filters / (4 * KV)), runs],
        label: 'conv2dFilterGrad',
      },
      {
        adapter: 'hardware',
        shader: 'conv2d_filter_grad_tiles',
        replace: { VEC: vector ? 1 : 0, YVEC: yVector ? 1 : 0, ...types },
        uniforms, bindings,
        grid: [Math.ceil((r * s * channels) / TILE), Math.ceil(filters / TILE), runs],
        label: 'conv2dFilterGrad',
      },
    ];
    if (cut) launches.push(...sumRuns(dw, runs, scratch[0], 'conv2dFilterGrad'));
    return launches;
  },
};

/** The terms that `pixels` pixels add to a result, written out in one sum so that the result is fetched and stored once. */
function stepSum(pixels: number, vector: boolean): string {
  return Array.from({ length: pixels }, (_, p) => (vector ? `g$m_${p} * v${p}[$q]` : `g$m_${p} * v${p}`)).join(' + ');
}
