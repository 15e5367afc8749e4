/** Faults for the kernels of the cpu device. */
import type { Fault } from './fault.ts';
import { kernels, suite } from './fault.ts';

const cpu = (...ops: string[]) => suite('cpu', ...ops);
const big = (...ops: string[]) => kernels('cpu', ...ops);

export const wasmFaults: readonly Fault[] = [
  // products
  {
    name: 'gemm-last-k', what: 'the last term of each run is dropped', file: 'kernels/wasm/lib/gemm.ts',
    find: 'const length = (<usize>run) << 5;', replace: 'const length = ((<usize>run) << 5) - 32;', test: cpu('conv2d', 'matmul'),
  },
  {
    name: 'gemm-bias-half', what: 'columns 4 to 7 of a panel take the bias of 0 to 3', file: 'kernels/wasm/lib/gemm.ts',
    find: 'c01 = f32x4.add(c01, b1);', replace: 'c01 = f32x4.add(c01, b0);', test: cpu('conv2d'),
  },
  {
    name: 'gemm-relu-rest', what: 'no ReLU on the columns of a panel that is not full', file: 'kernels/wasm/lib/gemm.ts',
    find: 'if (flags & RELU) v = v < 0 ? 0 : v;', replace: '', test: cpu('conv2d'),
  },
  {
    name: 'gemm-row-not-added', what: 'the fourth row of a tile forgets the blocks before', file: 'kernels/wasm/lib/gemm.ts',
    find: 'storeRow(c + 3 * stride, c30, c31, columns, flags);', replace: 'storeRow(c + 3 * stride, c30, c31, columns, flags & ~ACCUMULATE);',
    test: cpu('matmul'),
  },
  {
    name: 'matmul-depth', what: 'the second run of 256 terms overwrites the first', file: 'kernels/wasm/matmul.ts',
    find: '(k0 == 0 ? 0 : ACCUMULATE)', replace: '0', test: cpu('matmul'),
  },
  {
    name: 'matmul-last-row', what: 'the last row is not computed', file: 'kernels/wasm/matmul.ts',
    find: 'lastRow = min32(firstRow + int(args, 9), int(args, 4))', replace: 'lastRow = min32(firstRow + int(args, 9), int(args, 4) - 1)',
    test: cpu('matmul'),
  },
  {
    name: 'pack-last-column', what: 'the last column of a panel that is not full is packed as zeros', file: 'kernels/wasm/pack.ts',
    find: 'n < count ? load<f32>(from + (<usize>n) * columnStride', replace: 'n < count - 1 ? load<f32>(from + (<usize>n) * columnStride',
    test: cpu('conv2d'),
  },
  {
    name: 'pack-outer-stride', what: 'taps are packed from the first tap', file: 'kernels/wasm/pack.ts',
    find: 'let from = src + (<usize>o) * outerStride;', replace: 'let from = src + (<usize>0) * outerStride;', test: cpu('conv2dInputGrad'),
  },
  // convolution
  {
    name: 'conv-pad-top', what: 'the padding of the left side is taken above', file: 'kernels/wasm/conv.ts',
    find: '- int(args, TOP);', replace: '- int(args, LEFT);', test: cpu('conv2d'),
  },
  {
    name: 'conv-dilation', what: 'columns of taps are as far apart as rows', file: 'kernels/wasm/conv.ts',
    find: 'w += dw, t++)', replace: 'w += dh, t++)', test: cpu('conv2d'),
  },
  {
    name: 'conv-image', what: 'all images read the first', file: 'kernels/wasm/conv.ts',
    find: 'const line = x + (<usize>(image * inH + h)) * (<usize>inW) * xStride;', replace: 'const line = x + (<usize>h) * (<usize>inW) * xStride;',
    test: cpu('conv2d'),
  },
  {
    name: 'conv-stride-phase', what: 'rows of a phase are those of the column\'s', file: 'kernels/wasm/conv.ts',
    find: 'const h = row * strideH + phaseH;', replace: 'const h = row * strideH + phaseW;', occurs: { times: 2, take: 1 },
    test: cpu('conv2dInputGrad'),
  },
  {
    name: 'conv-scatter-offset', what: 'results of a phase go to the first channels', file: 'kernels/wasm/conv.ts',
    find: '* yStride + ((<usize>firstColumn) << 2), result', replace: '* yStride, result', test: big('conv2dInputGrad'),
  },
  {
    name: 'conv-stats-rows', what: 'the last row of a tile is left out of the statistics', file: 'kernels/wasm/conv.ts',
    find: 'tileMoments(y, yStride, rows, firstPanel', replace: 'tileMoments(y, yStride, rows - 1, firstPanel', test: cpu('conv2dStats'),
  },
  {
    name: 'filter-grad-stale-padding', what: 'half of the padding is what the scratch held before', file: 'kernels/wasm/conv-filter.ts',
    find: 'v128.store(q, f32x4.splat(0), 16);', replace: '', test: cpu('conv2dFilterGrad'),
  },
  {
    name: 'filter-grad-image', what: 'a block of pixels that runs into the next image stays in its own', file: 'kernels/wasm/conv-filter.ts',
    find: 'image++;', replace: '', test: cpu('conv2dFilterGrad'),
  },
  {
    name: 'filter-grad-first-layer-pad', what: 'few channels: rows of taps outside are skipped, not zeros', file: 'kernels/wasm/lib/gather.ts',
    find: 'zeroRun(q, lineBytes);', replace: '', test: cpu('conv2dFilterGrad'),
  },
  {
    name: 'conv-gather-pad', what: 'few channels: the padding of the left side is taken above', file: 'kernels/wasm/lib/gather.ts',
    find: '- int(shape, TOP);', replace: '- int(shape, LEFT);', test: cpu('conv2d'),
  },
  {
    name: 'sum-partials-last', what: 'the last split is not added', file: 'kernels/wasm/conv-filter.ts',
    find: 'for (let n = 1; n < parts; n++)', replace: 'for (let n = 1; n < parts - 1; n++)', occurs: { times: 2, take: 1 },
    test: big('conv2dFilterGrad'),
  },
  // minimal filtering
  {
    name: 'winograd-pad-right', what: 'one column of the padding is read from the next row', file: 'kernels/wasm/winograd.ts',
    find: '<u32>(w0 + j) < <u32>w;', replace: '<u32>(w0 + j) <= <u32>w;', test: big('conv2d'),
  },
  {
    name: 'winograd-not-turned', what: 'the input gradient uses filters as they are', file: 'kernels/wasm/winograd.ts',
    find: 'for (let t = 8; t >= 0; t--, from += stride)', replace: 'for (let t = 0; t < 9; t++, from += stride)', test: big('conv2dInputGrad'),
  },
  {
    name: 'winograd-bias', what: 'all channels take the bias of the first four', file: 'kernels/wasm/winograd.ts',
    find: 'v128.load(bias + ((<usize>c) << 2))', replace: 'v128.load(bias)', test: big('conv2d'),
  },
  {
    name: 'winograd-power', what: 'a power of a point is rounded', file: 'kernels/wasm/lib/winograd-f4x3.ts',
    find: 'c4(3.375)', replace: 'c4(3.38)', test: big('conv2d'),
  },
  {
    name: 'winograd-adjoint', what: 'the transform back of filter gradients takes p for q', file: 'kernels/wasm/lib/winograd-f4x3.ts',
    find: 'madd(sum1, c4(2.25), madd(sum0, c4(0.390625), m5))',
    replace: 'madd(sum1, c4(0.390625), madd(sum0, c4(0.390625), m5))', test: big('conv2dFilterGrad'),
  },
  {
    name: 'winograd-stale-blocks', what: 'the last group of blocks is multiplied with what the scratch held before',
    file: 'kernels/wasm/winograd-filter-grad.ts', find: '* C_GROUP, 32, depth,',
    replace: '* C_GROUP, 32, DEPTH,', test: big('conv2dFilterGrad'),
  },
  {
    name: 'winograd-product-panel', what: 'all panels of a group are multiplied with the first', file: 'kernels/wasm/lib/winograd-product.ts',
    find: '(<usize>e) * uPlane + (<usize>p) * panelBytes;', replace: '(<usize>e) * uPlane + (<usize>p0) * panelBytes;', test: big('conv2d'),
  },
  {
    name: 'winograd-product-rest', what: 'the last rows of blocks, fewer than a tile, are those of the first', file: 'kernels/wasm/lib/winograd-product.ts',
    find: 'g * MR + i < blocks ?', replace: 'g * MR + MR <= blocks ?', test: big('conv2d'),
  },
  {
    name: 'winograd-small-sign', what: 'the transform back of F(2, 3) subtracts the last place', file: 'kernels/wasm/lib/winograd-f2x3.ts',
    find: 'f32x4.add(difference0, m3)', replace: 'f32x4.sub(difference0, m3)', test: cpu('conv2dStats'),
  },
  {
    name: 'winograd-small-half', what: 'the middle tap is taken whole', file: 'kernels/wasm/lib/winograd-f2x3.ts',
    find: 'f32x4.mul(g1, c4(0.5))', replace: 'g1', test: cpu('conv2dStats'),
  },
  {
    name: 'winograd-small-pad', what: 'the padding of the left side is taken above', file: 'kernels/wasm/winograd-small.ts',
    find: '* 2 - int(args, TOP), w0', replace: '* 2 - int(args, LEFT), w0', test: big('conv2dStats'),
  },
  {
    name: 'winograd-small-below', what: 'rows of an odd height are written below the image', file: 'kernels/wasm/winograd-small.ts',
    find: 'if (!below) continue;', replace: '', test: cpu('conv2dStats'),
  },
  // depthwise convolution
  {
    name: 'depthwise-bias-rest', what: 'the last channels have no bias', file: 'kernels/wasm/depthwise.ts',
    find: 'let sum: f32 = bias ? load<f32>(bias + i) : 0;', replace: 'let sum: f32 = 0;', test: cpu('depthwiseConv2d'),
  },
  {
    name: 'depthwise-phase', what: 'pixels between two windows fall to the earlier', file: 'kernels/wasm/depthwise.ts',
    find: 'return o * stride == start && o < windows ? o : -1;', replace: 'return o < windows ? o : -1;', test: cpu('depthwiseConv2dInputGrad'),
  },
  {
    name: 'depthwise-columns', what: 'the last columns of dy are left out', file: 'kernels/wasm/depthwise.ts',
    find: 'windowFrom(w + left, right, strideW)', replace: 'windowFrom(w, right, strideW)', test: cpu('depthwiseConv2dFilterGrad'),
  },
  // pooling
  {
    name: 'max-pool-start', what: 'the maximum starts at 0', file: 'kernels/wasm/pool.ts',
    find: 'let best = f32x4.splat(-Infinity), row', replace: 'let best = f32x4.splat(0), row', test: cpu('maxPool2d'),
  },
  {
    name: 'max-pool-ties', what: 'each of several equal maxima takes the gradient', file: 'kernels/wasm/pool.ts',
    find: 'open = v128.andnot(open, here);', replace: '', test: cpu('maxPool2dGrad'),
  },
  {
    name: 'max-pool-ties-rest', what: 'the same in the last channels', file: 'kernels/wasm/pool.ts',
    find: 'open = false;', replace: 'open = true;', test: cpu('maxPool2dGrad'),
  },
  {
    name: 'max-pool-index-padding', what: 'places are counted from the first element, not from the padding', file: 'kernels/wasm/pool.ts',
    find: 'const corner0 = (hs - h0) * sizeW + ws - w0;', replace: 'const corner0 = 0;', test: cpu('maxPool2dIndices'),
  },
  {
    name: 'max-pool-index-last', what: 'of equal maxima the last is taken', file: 'kernels/wasm/pool.ts',
    find: 'narrow(f32x4.gt(v0, b0), f32x4.gt(v1, b1), f32x4.gt(v2, b2), f32x4.gt(v3, b3))',
    replace: 'narrow(f32x4.ge(v0, b0), f32x4.ge(v1, b1), f32x4.ge(v2, b2), f32x4.ge(v3, b3))', test: cpu('maxPool2dIndices'),
  },
  {
    name: 'max-pool-index-tail', what: 'the last channel is left out', file: 'kernels/wasm/pool.ts',
    find: 'c < 16 ? k : min32(k, c - 16)', replace: 'c < 16 ? k : min32(k, c - 17)', test: cpu('maxPool2dIndexGrad'),
  },
  {
    name: 'avg-pool-padding', what: 'the padding above is counted below', file: 'kernels/wasm/pool.ts',
    find: 'int(args, 5) + int(args, 15)', replace: 'int(args, 5) + int(args, 14)', test: cpu('avgPool2d'),
  },
  {
    name: 'avg-pool-first-window', what: 'a window that ends before a pixel gives it gradient', file: 'kernels/wasm/pool.ts',
    find: '(i - size) / stride + 1;', replace: '(i - size) / stride;', test: cpu('avgPool2dGrad'),
  },
  // normalization
  {
    name: 'norm-epsilon', what: 'half of epsilon', file: 'kernels/wasm/norm.ts',
    find: 'sqrt<f32>(load<f32>(variance + at) + epsilon)', replace: 'sqrt<f32>(load<f32>(variance + at) + epsilon * 0.5)', test: cpu('batchNorm'),
  },
  {
    name: 'norm-last-tile', what: 'the last tile of rows counts as much as a full one', file: 'kernels/wasm/norm.ts',
    find: 'const count = <f32>min32(perTile, rows - t * perTile);', replace: 'const count = <f32>perTile;', test: cpu('batchNorm'),
  },
  {
    name: 'norm-second-pass', what: 'squares are taken about zero in the last channels', file: 'kernels/wasm/lib/moments.ts',
    find: 'const d = load<f32>(p) - mean;', replace: 'const d = load<f32>(p);', test: cpu('batchNorm'),
  },
  {
    name: 'norm-mask-side', what: 'the ReLU lets the other side through in the last channels', file: 'kernels/wasm/norm.ts',
    find: 'if (masked && !(d * load<f32>(scratch + i) + load<f32>(betas + i) > 0)) g = 0;',
    replace: 'if (masked && d * load<f32>(scratch + i) + load<f32>(betas + i) > 0) g = 0;', test: cpu('batchNormReluGrad'),
  },
  {
    name: 'norm-mean-of-dy', what: 'dx does not subtract the mean of dy', file: 'kernels/wasm/norm.ts',
    find: 'f32x4.sub(g, v128.load(b + i))', replace: 'g', test: cpu('batchNormGrad'),
  },
  // softmax
  {
    name: 'softmax-max-rest', what: 'the maximum leaves out the last elements of a row', file: 'kernels/wasm/softmax.ts',
    find: 'for (; i < n; i++) m = max<f32>(m, load<f32>(x + ((<usize>i) << 2)));',
    replace: 'if (n < 4) for (; i < n; i++) m = max<f32>(m, load<f32>(x + ((<usize>i) << 2)));', test: cpu('softmax'),
  },
  {
    name: 'softmax-sum-rest', what: 'the sum leaves out the last elements of a row', file: 'kernels/wasm/softmax.ts',
    find: 'total += e;', replace: '', test: cpu('softmax'),
  },
  {
    name: 'cross-entropy-weight', what: 'all samples weigh as the first', file: 'kernels/wasm/softmax.ts',
    find: 'loss * load<f32>(addr(args, 3) + ((<usize>row) << 2))', replace: 'loss * load<f32>(addr(args, 3))', test: cpu('softmaxCrossEntropy'),
  },
  {
    name: 'cross-entropy-ignored', what: 'an ignored label has a gradient', file: 'kernels/wasm/softmax.ts',
    find: 'const counted = <u32>label < <u32>n && !(int(args, 12) && label == int(args, 13));', replace: 'const counted = <u32>label < <u32>n;',
    test: cpu('softmaxCrossEntropyGrad'),
  },
  // reductions
  {
    name: 'reduce-last-part', what: 'the last part is not joined', file: 'kernels/wasm/reduce.ts',
    find: 'for (let n = 0; n < count; n++, p += stride)', replace: 'for (let n = 0; n < count - 1; n++, p += stride)', test: cpu('sum'),
  },
  {
    name: 'reduce-start', what: 'maxima and minima of the last channels start at 0', file: 'kernels/wasm/reduce.ts',
    find: 'let a = neutral(kind);', replace: 'let a: f32 = 0;', occurs: { times: 4, take: 1 }, test: cpu('max', 'min'),
  },
  {
    name: 'reduce-rest', what: 'a run\'s last elements, after its vectors, are left out', file: 'kernels/wasm/reduce.ts',
    find: 'for (; i < count; i++, p += step) a', replace: 'if (step != 4 || count < 8) for (; i < count; i++, p += step) a', test: cpu('sum'),
  },
  {
    name: 'arg-max-ties', what: 'the last of equal maxima', file: 'kernels/wasm/reduce.ts',
    find: 'if (v > best) {', replace: 'if (v >= best) {', test: cpu('argMax'),
  },
  {
    name: 'all-finite-sign', what: 'negative infinity counts as finite', file: 'kernels/wasm/all-finite.ts',
    find: 'v128.and(v128.load(x + ((<usize>i) << 2)), mask)', replace: 'i32x4.max_s(v128.load(x + ((<usize>i) << 2)), i32x4.splat(0))', test: cpu('allFinite'),
  },
  {
    name: 'all-finite-rest', what: 'the last elements, fewer than a vector, are not looked at', file: 'kernels/wasm/all-finite.ts',
    find: 'for (; i < last; i++) largest', replace: 'if (last < 4) for (; i < last; i++) largest', test: cpu('allFinite'),
  },
  // updates
  {
    name: 'sgd-decay-rest', what: 'the last elements of a chunk do not decay', file: 'kernels/wasm/update.ts',
    find: 'const total = f32x4.add(clipped, f32x4.mul(wd, weight));', replace: 'const total = clipped;', occurs: { times: 2, take: 2 },
    test: cpu('sgdUpdate'),
  },
  {
    name: 'sgd-multiplier', what: 'weight decay is multiplied by the rate\'s factor', file: 'kernels/wasm/update.ts',
    find: 'wd = c4(float(args, 7) * load<f32>(multipliers, 4))', replace: 'wd = c4(float(args, 7) * load<f32>(multipliers))', test: cpu('sgdUpdate'),
  },
  {
    name: 'adam-epsilon', what: 'epsilon stands under the root', file: 'kernels/wasm/update.ts',
    find: 'f32x4.add(f32x4.sqrt(variance), epsilon)', replace: 'f32x4.sqrt(f32x4.add(variance, epsilon))', test: cpu('adamUpdate'),
  },
  // movement
  {
    name: 'cast-rounding', what: 'casts to integers round to the nearest', file: 'kernels/wasm/movement.ts',
    find: 'store<i32>(q, <i32>v);', replace: 'store<i32>(q, <i32>nearest<f32>(v));', test: cpu('cast'),
  },
  {
    name: 'gather-clip', what: 'an index one past the end is not clipped', file: 'kernels/wasm/movement.ts',
    find: 'const clipped = min32(max32(index, 0), length - 1);', replace: 'const clipped = min32(max32(index, 0), length);', test: cpu('gather'),
  },
  {
    name: 'pad-edge', what: 'the edge is repeated one element off', file: 'kernels/wasm/movement.ts',
    find: 'max32(c - left, 0)', replace: 'max32(c - left - 1, 0)', test: cpu('pad'),
  },
  {
    name: 'copy-last-row', what: 'the last row is not copied', file: 'kernels/wasm/copy.ts',
    find: 'const last = min32(first + rowsPerTile, int(args, 2));', replace: 'const last = min32(first + rowsPerTile, int(args, 2) - 1);',
    test: cpu('concat'),
  },
  // elementwise
  {
    name: 'elementwise-broadcast-rest', what: 'after the vectors an operand that stands still has moved', file: 'kernels/wasm/elementwise.template.mjs',
    find: 'p${v} += <usize>((i - from) * s${v});', replace: 'p${v} += <usize>((i - from) * 4);', test: cpu('add', 'multiply'),
  },
  {
    name: 'elementwise-tile', what: 'tiles of a row begin where the first did', file: 'kernels/wasm/elementwise.template.mjs',
    find: 'p${v} = addr(args, ${8 + 2 * i}) + <usize>(from * s${v});', replace: 'p${v} = addr(args, ${8 + 2 * i});', test: big('add'),
  },
  {
    name: 'exp-coefficient', what: 'a coefficient of exp is wrong in its fourth digit', file: 'kernels/wasm/lib/math.ts',
    find: 'c4(1.6666665459e-1)', replace: 'c4(1.6656665459e-1)', test: cpu('exp'),
  },
  // random numbers
  {
    name: 'random-rounds', what: 'nine rounds', file: 'kernels/wasm/random.ts',
    find: 'round < 10', replace: 'round < 9', test: cpu('random'),
  },
  {
    name: 'random-lane', what: 'rows that begin within a block begin at its first lane', file: 'kernels/wasm/random.ts',
    find: 'scratch + ((<usize>(lane + i)) << 2)', replace: 'scratch + ((<usize>i) << 2)', test: cpu('random', 'dropout'),
  },
  // threads
  {
    name: 'threads-no-wait', what: 'a launch ends when its last tile is taken, not when all are done', file: 'kernels/wasm/threads.ts',
    find: 'if (atomic.add<i32>(control + DONE, 1) < tiles - 1) continue;', replace: 'if (t < tiles - 1) continue;', test: big('conv2d'),
  },
  {
    name: 'threads-first-tile', what: 'tiles are counted from one', file: 'kernels/wasm/threads.ts',
    find: 't = tiles - <i32>(LIMIT - count);', replace: 't = tiles - <i32>(LIMIT - count) + 1;', test: big('conv2d'),
  },
  // images
  {
    name: 'warp-last-column', what: 'the last column counts as outside', file: 'kernels/wasm/image.ts',
    find: '<u32>column >= <u32>width)', replace: '<u32>column >= <u32>(width - 1))', test: cpu('warpAffine'),
  },
  {
    name: 'warp-other-image', what: "every image takes the first one's map", file: 'kernels/wasm/image.ts',
    find: 'addr(args, 1) + (<usize>n) * addr(args, 8)', replace: 'addr(args, 1)', test: cpu('warpAffine'),
  },
  {
    name: 'warp-edge-cut', what: 'what lies half outside is filled', file: 'kernels/wasm/image.ts',
    find: 'left >= -1 && left', replace: 'left >= 0 && left', test: cpu('warpAffine'),
  },
  {
    name: 'warp-area-left', what: 'the first pixel of an area counts whole', file: 'kernels/wasm/lib/taps.ts',
    find: 'min<f32>(half, d + 0.5) - max<f32>(-half, d - 0.5)', replace: 'min<f32>(half, d + 0.5) - (d - 0.5)', test: cpu('warpAffine'),
  },
  {
    name: 'warp-lanczos-sign', what: 'the lobes of Lanczos are all above zero', file: 'kernels/wasm/lib/taps.ts',
    find: '(tap & 1 ? -s : s)', replace: 's', test: cpu('warpAffine'),
  },
  {
    name: 'warp-filled-twice', what: 'a tap outside of the image counts as the fill and once more', file: 'kernels/wasm/image.ts',
    find: '(load<f32>(x + at) - fill)', replace: 'load<f32>(x + at)', test: cpu('warpAffine'),
  },
  {
    name: 'hls-hue-wraps-not', what: 'hues below red are cut at 0', file: 'kernels/wasm/image.ts',
    find: 'if (h < 0) h += 360;', replace: 'if (h < 0) h = 0;', test: cpu('shiftHls'),
  },
  {
    name: 'hls-light-half', what: 'saturation of light colours is that of dark ones', file: 'kernels/wasm/image.ts',
    find: '(sum < 255 ? sum : 510 - sum)', replace: 'sum', test: cpu('shiftHls'),
  },
];
