/**
 * Convolutions 3x3 of stride 1 and their gradients by minimal filtering F(m x m, 3x3): transforms of images and filters into (m + 2)^2
 * planes of scratch, a matrix product in each plane, a transform back (shaders/winograd_*.wgsl). Where it pays, and how it is cut, follow from
 * shapes alone. Software adapters transform four channels a thread, through textures; hardware one, which keeps it in registers. The
 * gradient by the input is the convolution of dy with filters turned by 180 degrees; the gradient by the filter is the
 * adjoint: dw = G^T [sum over blocks of (A dY A^T) . (B^T d B)] G.
 */
import type { AdapterKind, Placed, Scratch, Shape, WebgpuLaunch } from '../../device/types.ts';
import { isVectorizable } from '../../device/types.ts';
import { boundOffset, images, linearGrid, read, readWrite, storageType, texture, write } from '../../device/webgpu/launch.ts';
import type { ConvAttrs } from '../support/conv.ts';
import type { ConvWork } from '../support/winograd.ts';
import { filtersBeforeStatistics, minimalWork } from '../support/winograd.ts';
import { tiled } from './tiles.ts';

/**
 * Bytes of transformed blocks, on both sides of the products, that are in scratch at a time: larger images take several passes. As much as
 * the caches hold, of a processor and of a GPU, which also needs that much to be busy.
 */
const PASS_BYTES = { software: 8 * 1024 * 1024, hardware: 64 * 1024 * 1024 } as const;
/** Blocks of a pass are a multiple of what a workgroup takes. */
const PASS_BLOCKS = 64;
/** What every adapter can bind: transformed filters of 1024 to 1024 channels by F(4x4) are 151 MB, direct convolution binds a quarter. */
const BINDING_BYTES = 128 * 1024 * 1024;
/** Threads of a workgroup of the `rows` kernel, along rows. */
const LANES = 8;

const ceil = (a: number, b: number): number => Math.ceil(a / b);

/** Sizes of a convolution or of a gradient of one: the pixels that are cut into blocks, and the channels on both sides. */
interface Sizes {
  /** [images, height, width] that blocks tile: of y, of dx, or of dy in the gradient by the filter. */
  readonly tiled: Shape;
  /** KRSC. */
  readonly filter: Shape;
  readonly attrs: ConvAttrs;
}

/** How a convolution is done by minimal filtering. */
export interface Plan {
  readonly adapter: AdapterKind;
  readonly planes: number;
  /** Replacements in the transforms' shaders: outputs of a block along an axis, inputs that they see. */
  readonly transforms: { readonly M: number; readonly N: number };
  /** Blocks of all images; of an image, down and across; of a pass. */
  readonly all: number;
  readonly down: number;
  readonly across: number;
  readonly perPass: number;
  /** The filter's channels in and out. */
  readonly c: number;
  readonly k: number;
}

/**
 * A way of filtering: `tile` is m, the outputs of a block along an axis. Costs are in units of a multiply-add of the direct kernel: of a
 * multiply-add of the products, of a block and channel's transforms, and of all that is done once for a pair of filter and channel. They
 * were measured on llvmpipe at every 3x3 layer of Inception-BN, batch 2, and decide for every adapter: what is computed follows from
 * shapes alone.
 */
interface Method {
  readonly tile: number;
  readonly product: number;
  readonly block: number;
  readonly pair: number;
  /** Whether its rounding serves for so many pixels; always where absent. */
  readonly serves?: (tiled: Shape) => boolean;
}

/** For inference and for the gradient by the input. */
export const quick: Method = { tile: 4, product: 1.3, block: 1000, pair: 700 };
/** Ahead of batch statistics and ReLU in training: its errors are no larger than direct convolution's (tools/winograd.ts --errors). */
export const accurate: Method = { tile: 2, product: 1.3, block: 380, pair: 300, serves: filtersBeforeStatistics };
/** By software adapters alone. Products are written, and added to from pass to pass, for each pair of filter and channel. */
export const filterGradient: Method = { tile: 4, product: 1.25, block: 1000, pair: 800 };

const planesOf = ({ tile }: Method): number => (tile + 2) ** 2;

/** Whether minimal filtering is cheaper by a tenth at least. */
function pays(method: Method, blocks: number, pixels: number, c: number, k: number): boolean {
  const { product, block, pair } = method;
  return blocks * (planesOf(method) * product * c * k + block * (c + k)) + pair * c * k < 0.9 * 9 * pixels * c * k;
}

/** How these sizes are filtered minimally, or undefined where the convolution is done directly. */
export function winogradPlan({ tiled, filter, attrs: { stride, dilation } }: Sizes, method: Method, adapter: AdapterKind): Plan | undefined {
  const [k, r, s, c] = filter;
  if (r !== 3 || s !== 3 || [...stride, ...dilation].some((v) => v !== 1)) return undefined;
  if (c % 4 !== 0 || k % 4 !== 0 || method.serves?.(tiled) === false) return undefined;
  const [n, h, w] = tiled;
  const planes = planesOf(method);
  const down = ceil(h, method.tile);
  const across = ceil(w, method.tile);
  const all = n * down * across;
  if (!pays(method, all, n * h * w, c, k)) return undefined;
  const fits = Math.floor(PASS_BYTES[adapter] / (4 * planes * (c + k)) / PASS_BLOCKS) * PASS_BLOCKS;
  const perPass = Math.min(Math.max(PASS_BLOCKS, fits), ceil(all, 4) * 4);
  if (4 * planes * Math.max(c * k, perPass * Math.max(c, k)) > BINDING_BYTES) return undefined;
  return { adapter, planes, transforms: { M: method.tile, N: method.tile + 2 }, all, down, across, perPass, c, k };
}

/** Bytes of transformed filters, inputs and products of a convolution or its input gradient. */
export function winogradScratch({ planes, perPass, c, k }: Plan): number[] {
  return [k * c, perPass * Math.max(c, k), perPass * Math.max(c, k)].map((elements) => 4 * planes * elements);
}

/** Bytes of transformed inputs, gradients and sums of a filter gradient. */
export function winogradFilterGradScratch({ planes, perPass, c, k }: Plan): number[] {
  return [perPass * c, perPass * k, k * c].map((elements) => 4 * planes * elements);
}

/** The method and its FLOP, in any direction. */
export const winogradWork = ({ transforms, all, c, k }: Plan): ConvWork => minimalWork(transforms.M, all, c, k);

/** A pass over blocks: the words of shaders/winograd_uniforms.wgsl. */
interface Pass extends Plan {
  readonly first: number;
  readonly count: number;
}

function passesOf(plan: Plan): Pass[] {
  return Array.from({ length: ceil(plan.all, plan.perPass) }, (_, i) => {
    const first = i * plan.perPass;
    return { ...plan, first, count: Math.min(plan.perPass, ceil(plan.all - first, 4) * 4) };
  });
}

/** How the transforms of one kind of adapter take what they see: elements from buffers, or four channels through textures. */
interface Width {
  readonly unit: 1 | 4;
  readonly load: typeof read;
}

/** Of a transform whose image or filters, and what it binds besides that is not scratch, are `values`. */
function widthOf({ adapter }: Plan, ...values: readonly Placed[]): Width {
  const vector = adapter === 'software' && values.every((v) => isVectorizable(v) && v.dtype === 'float32');
  return vector ? { unit: 4, load: texture } : { unit: 1, load: read };
}

/** Replacements in a transform that reads or writes `v`, whose other side is float32; `spread`: that has channels apart, in vectors too. */
function replacements({ transforms }: Plan, v: Placed, { unit, load }: Width, spread = false): Readonly<Record<string, string | number>> {
  return {
    ...transforms, T: storageType(v, unit === 4), REAL: unit === 4 ? 'vec4f' : 'f32', TEX: load === texture ? 1 : 0,
    SPREAD: spread && unit === 4 ? 1 : 0,
  };
}

/** From item to item, channel to channel and plane to plane, in elements, in units of what the planes hold. */
type Steps = readonly [number, number, number];

const spreads = ([, channel]: Steps): boolean => channel !== 1;

function stepsIn(steps: Steps, unit: number): Steps {
  const [item, channel, plane] = steps;
  return spreads(steps) ? [item, channel * unit, plane] : [item / unit, 1, plane / unit];
}

interface ImageParts {
  readonly image: Placed;
  readonly padding?: readonly [number, number];
  readonly steps: Steps;
  readonly bias?: Placed | undefined;
  readonly relu?: boolean;
}

/** Words of shaders/winograd_uniforms.wgsl. */
function imageUniforms({ first, count, all, across, down }: Pass, { image, padding = [0, 0], steps, bias, relu }: ImageParts, unit: number): number[] {
  const [, height, width, channels] = image.shape;
  return [
    first, count, all, across, down, height, width, channels / unit, boundOffset(image) / unit, image.stride / unit,
    padding[0] >>> 0, padding[1] >>> 0, ...stepsIn(steps, unit),
    bias === undefined ? 0 : boundOffset(bias) / unit, bias === undefined ? 0 : 1, relu === true ? 1 : 0,
  ];
}

/** The images of `v` that a pass sees, and the pass with blocks counted from the first of them. */
function seenBy(pass: Pass, v: Placed): [Pass, Placed] {
  const each = pass.across * pass.down;
  const image = Math.floor(pass.first / each);
  const end = Math.min(ceil(pass.first + pass.count, each), v.shape[0]);
  return [{ ...pass, first: pass.first - image * each, all: pass.all - image * each }, images(v, image, end - image)];
}

/** The transform of an image into planes. */
function imageTransform(shader: string, whole: Pass, parts: ImageParts, planes: Scratch, label: string): WebgpuLaunch {
  const [pass, image] = seenBy(whole, parts.image);
  const width = widthOf(pass, image);
  return {
    adapter: pass.adapter, shader, replace: replacements(pass, image, width, spreads(parts.steps)),
    uniforms: imageUniforms(pass, { ...parts, image }, width.unit),
    bindings: [width.load(image), write(planes)],
    grid: linearGrid((pass.count * image.channels) / width.unit),
    label,
  };
}

/** Words of shaders/winograd_filter_uniforms.wgsl. In vectors, those run along filters where these lie side by side in the planes. */
function filterUniforms(filter: Placed, [item, channel, plane]: Steps, turned: boolean, unit: number): number[] {
  const [filters, , , channels] = filter.shape;
  const own = [boundOffset(filter) / unit, filter.stride / unit];
  return item === 1
    ? [filters / unit, channels, ...own, 1, channel / unit, plane / unit, turned ? 1 : 0]
    : [filters, channels / unit, ...own, item / unit, 1, plane / unit, turned ? 1 : 0];
}

/** An operand of the products: [planes, items, depth]. */
interface Operand {
  readonly scratch: Scratch;
  readonly items: number;
  /** From item to item of the result, in elements. */
  readonly step: number;
}

/** The tile of a thread of the `rows` kernel, and the loads that all threads do with it. */
function rowsTile(rows: number, columns: number): { TM: number; NV: number; loads: number } {
  const tiles = [4, 8].flatMap((TM) => [1, 2, 4].map((NV) => ({
    TM, NV, loads: ceil(rows, LANES * TM) * ceil(columns, 4 * NV) * (TM + 4 * NV),
  })));
  return tiles.reduce((best, tile) => (tile.loads < best.loads ? tile : best));
}

/**
 * Products over `depth` terms of `left` and `right`, whose items lie `depthStride` apart, to out. Software adapters may add them to what is
 * there.
 */
function products(
  { adapter, planes }: Plan, left: Operand, right: Operand, depth: number, depthStride: number, out: Scratch, plane: number, label: string,
  accumulate = false,
): WebgpuLaunch {
  const launch = (a: Operand, b: Operand, load: typeof read) => ({
    adapter,
    uniforms: [
      a.items, b.items, depth / 4, depthStride / 4, (a.items * depthStride) / 4, (b.items * depthStride) / 4, a.step, b.step, plane,
      accumulate ? 1 : 0,
    ],
    bindings: [load(a.scratch), load(b.scratch), accumulate ? readWrite(out) : write(out)],
    label,
  });
  if (adapter === 'hardware') {
    return {
      ...launch(left, right, read), shader: 'winograd_products_tiles',
      ...tiled({ rows: left.items, columns: right.items, count: planes, depth }, { leftByRows: true, rightByColumns: true }, {}),
    };
  }
  const [a, b] = rowsTile(left.items, right.items).loads <= rowsTile(right.items, left.items).loads ? [left, right] : [right, left];
  const { TM, NV } = rowsTile(a.items, b.items);
  return {
    ...launch(a, b, texture), shader: 'winograd_products_rows', replace: { TM, NV },
    grid: [ceil(a.items, LANES * TM), ceil(b.items, 4 * NV), planes],
  };
}

interface ConvolutionParts {
  readonly plan: Plan;
  /** x, or dy in the gradient by the input. */
  readonly input: Placed;
  readonly filter: Placed;
  readonly bias?: Placed | undefined;
  /** y, or dx. */
  readonly output: Placed;
  readonly scratch: readonly Scratch[];
  readonly attrs: ConvAttrs;
  readonly relu?: boolean;
  readonly gradient: boolean;
  readonly label: string;
}

/** A convolution or its gradient by the input, planned over the pixels of `output`. */
export function winogradLaunches(parts: ConvolutionParts): WebgpuLaunch[] {
  const { plan, input, filter, bias, output, scratch, attrs, relu, gradient, label } = parts;
  const { k: filters, c: channels } = plan;
  // In the gradient by the input, filters are what is summed over.
  const [depth, width] = gradient ? [filters, channels] : [channels, filters];
  const [u, v, m] = scratch;
  const plane = depth * width;
  const [top, , left] = attrs.padding;
  const padding: [number, number] = gradient ? [2 - top, 2 - left] : [top, left];
  const filterSteps: Steps = gradient ? [1, depth, plane] : [depth, 1, plane];
  const by = widthOf(plan, filter);
  const launches: WebgpuLaunch[] = [{
    adapter: plan.adapter, shader: 'winograd_filter', replace: { ...replacements(plan, filter, by), FOUR_FILTERS: gradient && by.unit === 4 ? 1 : 0 },
    uniforms: filterUniforms(filter, filterSteps, gradient, by.unit),
    bindings: [by.load(filter), write(u)],
    grid: linearGrid((filters * channels) / by.unit),
    label: `${label}: transform filter`,
  }];
  for (const pass of passesOf(plan)) {
    // Blocks that only fill up the pass have no pixels.
    const [seen, image] = seenBy({ ...pass, count: Math.min(pass.count, plan.all - pass.first) }, output);
    const to = bias === undefined ? widthOf(plan, image) : widthOf(plan, image, bias);
    launches.push(
      imageTransform('winograd_input', pass, { image: input, padding, steps: [depth, 1, pass.count * depth] }, v, `${label}: transform input`),
      products(plan, { scratch: v, items: pass.count, step: width }, { scratch: u, items: width, step: 1 }, depth, depth, m, pass.count * width, label),
      {
        adapter: plan.adapter, shader: 'winograd_output', replace: replacements(plan, image, to),
        uniforms: imageUniforms(seen, { image, steps: [width, 1, pass.count * width], bias, relu: relu === true }, to.unit),
        // Without a bias the binding is filled by the filters, and not read.
        bindings: [to.load(m), to.load(bias ?? u), write(image)],
        grid: linearGrid((seen.count * width) / to.unit),
        label: `${label}: transform output`,
      },
    );
  }
  return launches;
}

/** The gradient by the filter on software adapters, planned over the pixels of dy. Passes add to the sums in order. */
export function winogradFilterGrad(
  plan: Plan, x: Placed, dy: Placed, dw: Placed, scratch: readonly Scratch[], attrs: ConvAttrs,
): WebgpuLaunch[] {
  const { k: filters, c: channels, perPass } = plan;
  const [v, w, s] = scratch;
  const label = 'conv2dFilterGrad';
  const sums: Steps = [channels, 1, filters * channels];
  const by = widthOf(plan, dw);
  return [
    ...passesOf(plan).flatMap((pass) => [
      imageTransform('winograd_input', pass,
        { image: x, padding: [attrs.padding[0], attrs.padding[2]], steps: [1, perPass, perPass * channels] }, v, `${label}: transform input`),
      imageTransform('winograd_gradient', pass, { image: dy, steps: [1, perPass, perPass * filters] }, w, `${label}: transform gradient`),
      products(plan, { scratch: w, items: filters, step: channels }, { scratch: v, items: channels, step: 1 }, pass.count, perPass, s,
        filters * channels, label, pass.first > 0),
    ]),
    {
      adapter: plan.adapter, shader: 'winograd_filter_gradient', replace: replacements(plan, dw, by),
      uniforms: filterUniforms(dw, sums, false, by.unit),
      bindings: [by.load(s), write(dw)],
      grid: linearGrid((filters * channels) / by.unit),
      label: `${label}: transform sums`,
    },
  ];
}
