/** Lowerings of depthwise convolution to shaders/depthwise*.wgsl. */
import type { Lowering, Placed, Shape, TensorType, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable, sizeOf } from '../../device/types.ts';
import { boundOffset, linearGrid, read, storageType, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import { sumRuns } from './reduce.ts';

/** Pixels of dy that a run of the filter gradient has at least, and the most runs. */
const RUN = 128;
const MOST_RUNS = 128;

interface Parts {
  readonly x: Placed;
  readonly filter: Placed;
  readonly y: Placed;
  readonly bias?: Placed;
  readonly attrs: ConvAttrs;
  /** Elements that threads compute. */
  readonly elements: number;
  /** Filter gradients: rows of a run, and whether runs write partial sums. */
  readonly run?: { readonly rows: number; readonly cut: boolean };
  readonly bindings: WebgpuLaunch['bindings'];
}

function launch(shader: string, label: string, parts: Parts): WebgpuLaunch {
  const { x, filter, y, bias, attrs, elements, run, bindings } = parts;
  const [n, h, w, c] = x.shape;
  const [, p, q] = y.shape;
  const [r, s] = filter.shape;
  const cut = run?.cut === true;
  const places = [x, y, ...(cut ? [] : [filter]), ...(bias ? [bias] : [])];
  const vector = c % 4 === 0 && places.every((v) => isVectorizable(v));
  const unit = vector ? 4 : 1;
  const total = elements / unit;
  return {
    shader,
    replace: {
      T: vector ? 'vec4f' : 'f32', BIAS: bias ? 1 : 0,
      XT: storageType(x, vector), YT: storageType(y, vector), WT: storageType(filter, vector),
    },
    uniforms: [
      total, n, h, w, c / unit, p, q, r, s, ...attrs.stride, attrs.padding[0], attrs.padding[2], ...attrs.dilation,
      boundOffset(x) / unit, x.stride / unit, boundOffset(y) / unit, y.stride / unit,
      cut ? 0 : boundOffset(filter) / unit, (cut ? c : filter.stride) / unit, bias ? boundOffset(bias) / unit : 0, run?.rows ?? 0,
    ],
    bindings,
    grid: linearGrid(total),
    label,
  };
}

export const depthwiseLowering: Lowering<ConvAttrs, WebgpuLaunch> = {
  launches({ attrs, inputs: [x, filter, bias], outputs: [y] }) {
    const bindings = [read(x), read(filter), write(y), ...(bias ? [read(bias)] : [])];
    return [launch('depthwise', 'depthwiseConv2d', { x, filter, y, bias, attrs, elements: sizeOf(y.shape), bindings })];
  },
};

export const depthwiseInputGradLowering: Lowering<ConvAttrs, WebgpuLaunch> = {
  launches({ attrs, inputs: [y, filter], outputs: [x] }) {
    const bindings = [read(y), read(filter), write(x)];
    const elements = sizeOf(x.shape);
    return [launch('depthwise_input_grad', 'depthwiseConv2dInputGrad', { x, filter, y, attrs, elements, bindings })];
  },
};

/** How many rows of dy a run sums, and how many runs there are: from shapes alone. */
function runsOf(dy: TensorType): { rows: number; runs: number } {
  const [n, p, q] = dy.shape;
  const rows = n * p;
  const wanted = Math.max(1, Math.min(rows, MOST_RUNS, Math.floor((rows * q) / RUN)));
  const perRun = Math.max(1, Math.ceil(rows / wanted));
  return { rows: perRun, runs: Math.max(1, Math.ceil(rows / perRun)) };
}

export const depthwiseFilterGradLowering: Lowering<ConvAttrs & { readonly filterShape: Shape }, WebgpuLaunch> = {
  scratch([, dy], _outputs, { filterShape }) {
    const { runs } = runsOf(dy);
    return runs > 1 ? [4 * runs * sizeOf(filterShape)] : [];
  },
  launches({ attrs, inputs: [x, y], outputs: [filter], scratch: [partials] }) {
    const { rows, runs } = runsOf(y);
    const size = sizeOf(filter.shape);
    const cut = runs > 1;
    const label = 'depthwiseConv2dFilterGrad';
    const first = launch('depthwise_filter_grad', label, {
      x, filter, y, attrs, elements: runs * size, run: { rows, cut },
      bindings: [read(x), read(y), write(cut ? partials : filter)],
    });
    return cut ? [first, ...sumRuns(filter, runs, partials, label)] : [first];
  },
};
