/** Faults for the kernels of the WebGPU device. */
import type { Fault, FaultTest } from './fault.ts';
import { kernels, suite } from './fault.ts';

const gpu = (...ops: string[]) => suite('webgpu', ...ops);
/** Kernels for hardware adapters, which the suite does not run on a software adapter. */
const hardware = (...ops: string[]) => kernels('webgpu', ...ops);

/** Minimal filtering in all directions and with both kinds of kernels. */
const passes: FaultTest = { file: 'test/device/webgpu-winograd.test.ts', runner: 'webgpu' };

/** Grids of products that are too long for an adapter. */
const grids: FaultTest = { file: 'test/device/webgpu-grids.test.ts', runner: 'webgpu' };

/** Values exchanged within subgroups, on an adapter that has these. */
const subgroups: FaultTest = { file: 'test/device/webgpu-tuning.test.ts', ops: ['conv2d'], runner: 'webgpu', needs: 'within subgroups' };

/** Products by matrix units, on an adapter that has these. */
const matrices: FaultTest = { file: 'test/device/webgpu-matrices.test.ts', runner: 'webgpu', needs: 'matrix units agree' };

export const wgslFaults: readonly Fault[] = [
  // convolution, software adapters
  {
    name: 'wgsl-conv-last-channel', what: 'the last input channels are dropped', file: 'shaders/conv2d_forward_rows.wgsl',
    find: 'for (var c = 0u; c < channels; c++) {', replace: 'for (var c = 0u; c + 1u < channels; c++) {', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-conv-pad-left', what: 'the padding above is taken on the left', file: 'shaders/conv2d_forward_rows.wgsl',
    find: '- u.padLeft;', replace: '- u.padTop;', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-conv-dilation', what: 'columns of taps are as far apart as rows', file: 'shaders/conv2d_forward_rows.wgsl',
    find: 's * u.dilationW', replace: 's * u.dilationH', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-conv-bias', what: 'all columns of a thread take the bias of the first', file: 'shaders/conv2d_forward_rows.wgsl',
    find: 'bias[u.biasOffset + k]', replace: 'bias[u.biasOffset + k0]', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-conv-relu-side', what: 'the ReLU keeps the other side', file: 'shaders/conv2d_forward_rows.wgsl',
    find: 'max(v, 0.0)', replace: 'min(v, 0.0)', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-input-grad-phase', what: 'rows of a class are those of the column\'s', file: 'shaders/conv2d_input_grad_rows.wgsl',
    find: '* u.strideH + classY;', replace: '* u.strideH + classX;', test: gpu('conv2dInputGrad'),
  },
  {
    name: 'wgsl-input-grad-below', what: 'rows of dy below the last are read', file: 'shaders/conv2d_input_grad_rows.wgsl',
    find: 'let ok$i = in$i && oy$i < u.outH && ox$i < u.outW;', replace: 'let ok$i = in$i && ox$i < u.outW;', test: gpu('conv2dInputGrad'),
  },
  {
    name: 'wgsl-filter-grad-run', what: 'the last row of each run is dropped', file: 'shaders/conv2d_filter_grad_rows.wgsl',
    find: 'row < last; row++', replace: 'row + 1u < last; row++', test: gpu('conv2dFilterGrad'),
  },
  {
    name: 'wgsl-filter-grad-row-end', what: 'the last pixel of a row of odd length counts twice', file: 'shaders/conv2d_filter_grad_rows.wgsl',
    find: ' && first + $pu < u.outW;', replace: ';', test: gpu('conv2dFilterGrad'),
  },
  // convolution, hardware adapters
  {
    name: 'wgsl-tile-last-part', what: 'the last four terms of a panel are dropped', file: 'shaders/tile_registers.wgsl',
    find: 'k < PARTS; k++', replace: 'k < PARTS - 1u; k++', test: hardware('conv2d'),
  },
  {
    name: 'wgsl-tile-fourth-row', what: 'the fourth row of a thread is its third', file: 'shaders/tile_registers.wgsl',
    find: 'left[leftPlace(ty, $iu, $eu, k)]', replace: 'left[leftPlace(ty, $iu, min($eu, 2u), k)]', test: hardware('conv2d'),
  },
  {
    name: 'wgsl-conv-tiles-first-barrier', what: 'panels are overwritten while neighbours read them', file: 'shaders/conv2d_forward_tiles.wgsl',
    find: 'workgroupBarrier();', replace: '', occurs: { times: 4, take: 1 }, test: hardware('conv2d'),
  },
  {
    name: 'wgsl-conv-tiles-second-barrier', what: 'panels are read before neighbours have written them', file: 'shaders/conv2d_forward_tiles.wgsl',
    find: 'workgroupBarrier();', replace: '', occurs: { times: 4, take: 2 }, test: hardware('conv2d'),
  },
  {
    name: 'wgsl-conv-tiles-scalar-barrier', what: 'the same, where loads are not vectors', file: 'shaders/conv2d_forward_tiles.wgsl',
    find: 'workgroupBarrier();', replace: '', occurs: { times: 4, take: 4 }, test: hardware('conv2d'),
  },
  {
    name: 'wgsl-conv-tiles-offset', what: 'a slice of channels is read from the first channel', file: 'shaders/conv2d_forward_tiles.wgsl',
    find: 'let source$l = u.xOffset + ((image', replace: 'let source$l = ((image', test: hardware('conv2d'),
  },
  {
    name: 'wgsl-conv-tiles-stale', what: 'terms past the last are what image and filters hold there', file: 'shaders/conv2d_forward_tiles.wgsl',
    find: 'let terms = taps * u.channels;', replace: 'let terms = (taps * u.channels + 3u) / 4u * 4u;', test: hardware('conv2d'),
  },
  {
    name: 'wgsl-input-grad-tiles-barrier', what: 'panels are overwritten while neighbours read them', file: 'shaders/conv2d_input_grad_tiles.wgsl',
    find: 'workgroupBarrier();', replace: '', occurs: { times: 2, take: 1 }, test: hardware('conv2dInputGrad'),
  },
  {
    name: 'wgsl-input-grad-tiles-class', what: 'all classes take the columns of the first', file: 'shaders/conv2d_input_grad_tiles.wgsl',
    find: 'let classX = group.z % u.strideW;', replace: 'let classX = 0u;', test: hardware('conv2dInputGrad'),
  },
  {
    name: 'wgsl-filter-grad-tiles-barrier', what: 'panels are read before neighbours have written them', file: 'shaders/conv2d_filter_grad_tiles.wgsl',
    find: 'workgroupBarrier();', replace: '', occurs: { times: 2, take: 2 }, test: hardware('conv2dFilterGrad'),
  },
  {
    name: 'wgsl-filter-grad-tiles-end', what: 'a run goes on into the next', file: 'shaders/conv2d_filter_grad_tiles.wgsl',
    find: 'u.firstRow + (group.z + 1u) * u.runRows, u.rows)',
    replace: 'u.firstRow + (group.z + 1u) * u.runRows + 1u, u.rows)', test: hardware('conv2dFilterGrad'),
  },
  // grids of products that are cut
  {
    name: 'wgsl-unfold-cut', what: 'every cut of a grid computes the tiles of the first', file: 'shaders/unfold.wgsl',
    find: 'id.xy + cut * ahead', replace: 'id.xy + 0u * ahead', test: grids,
  },
  {
    name: 'wgsl-unfold-planes', what: 'cuts are counted as planes', file: 'shaders/unfold.wgsl',
    find: 'id.z % planes);', replace: 'id.z);', test: grids,
  },
  // products that are staged in workgroup memory, and textures
  {
    name: 'wgsl-tile-parts', what: 'half of a panel\'s steps are loaded', file: 'shaders/tile.wgsl',
    find: 'const PARTS = STEPS / 4u;', replace: 'const PARTS = STEPS / 8u;', test: hardware('conv2d'),
  },
  {
    name: 'wgsl-share-vector', what: 'all rows of a thread take the vector of the first', file: 'shaders/tile_registers.wgsl',
    find: 'subgroupShuffle(mine, neighbour + 4u * $iu + $eu)', replace: 'subgroupShuffle(mine, neighbour)', test: subgroups,
  },
  {
    name: 'wgsl-share-last-vector', what: 'the last vector that a subgroup loads is the one before it', file: 'shaders/tile_registers.wgsl',
    find: 'THREAD_ROWS * VECTORS - 1u)', replace: 'THREAD_ROWS * VECTORS - 2u)', test: subgroups,
  },
  {
    name: 'wgsl-probe-subgroups', what: 'the neighbour that is asked for is the one after the next', file: 'shaders/probe_subgroups.wgsl',
    find: '(place + 1u) % size', replace: '(place + 2u) % size', test: subgroups,
  },
  {
    name: 'wgsl-matrix-last-step', what: 'the last steps of a panel are dropped', file: 'shaders/tile_matrices.wgsl',
    find: 'k < STEPS; k +=', replace: 'k + ${K}u < STEPS; k +=', test: matrices,
  },
  {
    name: 'wgsl-matrix-column', what: 'all matrices of a subgroup multiply the first columns', file: 'shaders/tile_matrices.wgsl',
    find: 'rightAt((tx * ${MC}u + $ju) * ${N}u, k)', replace: 'rightAt(tx * ${MC}u * ${N}u, k)', test: matrices,
  },
  {
    name: 'wgsl-matrix-slot', what: 'all subgroups hand on the results of the first', file: 'shaders/tile_matrices.wgsl',
    find: 'results[slot * (${M}u * ${N}u) + e]', replace: 'results[e]', test: matrices,
  },
  {
    name: 'wgsl-texel-row', what: 'a row of a texture is taken for half as wide', file: 'shaders/texel.wgsl',
    find: 'vec2u(i % 4096u, i / 4096u)', replace: 'vec2u(i % 2048u, i / 2048u)', test: passes,
  },
  // minimal filtering
  {
    name: 'wgsl-winograd-coefficient', what: 'a coefficient of the transform back of F(4, 3) is rounded', file: 'shaders/winograd_f4x3.wgsl',
    find: '3.375 * difference1', replace: '3.38 * difference1', test: passes,
  },
  {
    name: 'wgsl-winograd-adjoint', what: 'the transform back of filter gradients takes one point for the other', file: 'shaders/winograd_f4x3.wgsl',
    find: '2.25 * sum1 + (0.390625 * sum0 + m.e5)', replace: '0.390625 * sum1 + (0.390625 * sum0 + m.e5)', test: passes,
  },
  {
    name: 'wgsl-winograd-small-sign', what: 'the transform back of F(2, 3) subtracts the last place', file: 'shaders/winograd_f2x3.wgsl',
    find: 'difference0 + m.e3', replace: 'difference0 - m.e3', test: gpu('conv2d', 'conv2dStats'),
  },
  {
    name: 'wgsl-winograd-not-turned', what: 'the input gradient uses filters as they are', file: 'shaders/winograd_filter.wgsl',
    find: 'let turned = u.turned != 0u;', replace: 'let turned = false;', test: passes,
  },
  {
    name: 'wgsl-winograd-dw-place', what: 'taps of the gradient by the filter lie as their transpose', file: 'shaders/winograd_filter_gradient.wgsl',
    find: 'dw[to + ($iu * 3u + $ju)', replace: 'dw[to + ($ju * 3u + $iu)', test: passes,
  },
  {
    name: 'wgsl-winograd-filter-fields', what: 'the steps of filters and of channels have changed places', file: 'shaders/winograd_filter_uniforms.wgsl',
    find: 'filterStep: u32, channelStep: u32,', replace: 'channelStep: u32, filterStep: u32,', test: passes,
  },
  {
    name: 'wgsl-winograd-gradient-edge', what: 'pixels of dy right of the image are read from the next row', file: 'shaders/winograd_gradient.wgsl',
    find: 'let in$j = x0 + $ju < u.width && block', replace: 'let in$j = x0 + $ju <= u.width && block', test: passes,
  },
  {
    name: 'wgsl-winograd-input-pad', what: 'the padding of the left side is taken above', file: 'shaders/winograd_input.wgsl',
    find: '* ${M}u - u.top;', replace: '* ${M}u - u.left;', test: passes,
  },
  {
    name: 'wgsl-winograd-bias', what: 'all channels take the bias of the first', file: 'shaders/winograd_output.wgsl',
    find: 'u.biasOffset + k, u.hasBias', replace: 'u.biasOffset, u.hasBias', test: passes,
  },
  {
    name: 'wgsl-winograd-spread', what: 'the channels of a vector are stored in one place', file: 'shaders/winograd_planes.wgsl',
    find: 'at + $qu * (u.channelStep / 4u)', replace: 'at', test: passes,
  },
  {
    name: 'wgsl-winograd-rows-accumulate', what: 'sums over blocks are those of the last pass', file: 'shaders/winograd_products_rows.wgsl',
    find: 'let accumulate = u.accumulate != 0u;', replace: 'let accumulate = false;', test: passes,
  },
  {
    name: 'wgsl-winograd-tiles-turn', what: 'the last turn of a sum that fills no panel is left out', file: 'shaders/winograd_products_tiles.wgsl',
    find: '(u.depth + PARTS - 1u) / PARTS', replace: 'u.depth / PARTS', test: passes,
  },
  {
    name: 'wgsl-winograd-product-fields', what: 'the steps of rows and of columns have changed places', file: 'shaders/winograd_products_uniforms.wgsl',
    find: 'rowStep: u32, columnStep: u32,', replace: 'columnStep: u32, rowStep: u32,', test: passes,
  },
  {
    name: 'wgsl-winograd-fields', what: 'blocks across and down have changed places', file: 'shaders/winograd_uniforms.wgsl',
    find: 'across: u32, down: u32,', replace: 'down: u32, across: u32,', test: passes,
  },
  // depthwise convolution
  {
    name: 'wgsl-depthwise-dilation', what: 'columns of taps are as far apart as rows', file: 'shaders/depthwise.wgsl',
    find: 's * u.dilationW', replace: 's * u.dilationH', test: gpu('depthwiseConv2d'),
  },
  {
    name: 'wgsl-depthwise-phase', what: 'pixels between two windows fall to the earlier', file: 'shaders/depthwise_input_grad.wgsl',
    find: 'ox * u.strideW + right != px || ', replace: '', test: gpu('depthwiseConv2dInputGrad'),
  },
  {
    name: 'wgsl-depthwise-run', what: 'the last row of each run is dropped', file: 'shaders/depthwise_filter_grad.wgsl',
    find: 'm < last; m++', replace: 'm + 1u < last; m++', test: gpu('depthwiseConv2dFilterGrad'),
  },
  // pooling
  {
    name: 'wgsl-max-pool-start', what: 'the maximum starts at 0', file: 'shaders/pool.wgsl',
    find: 'var a = T(x[u.xOffset + ((image + w.top) * u.inW + w.left) * u.xStride + c]);', replace: 'var a = T(0.0);', test: gpu('maxPool2d'),
  },
  {
    name: 'wgsl-max-pool-index-last', what: 'of equal maxima the last is taken', file: 'shaders/pool_indices.wgsl',
    find: 'larger != a);', replace: 'larger == T(x[u.xOffset + ((image + iy) * u.inW + ix) * u.xStride + c]));',
    test: gpu('maxPool2dIndices'),
  },
  {
    name: 'wgsl-max-pool-index-word', what: 'the last word of indices is left out', file: 'shaders/pool_indices.wgsl',
    find: 'if (i * 4u >= u.outOffset + u.total)', replace: 'if (i * 4u + 4u > u.outOffset + u.total)', test: gpu('maxPool2dIndices'),
  },
  {
    name: 'wgsl-max-pool-index-place', what: 'the place within the window forgets its row', file: 'shaders/pool_grad.wgsl',
    find: 'let place = (py - oy * u.strideH) * u.sizeW + px', replace: 'let place = px', test: gpu('maxPool2dIndexGrad'),
  },
  {
    name: 'wgsl-pool-padding', what: 'the padding on the left is counted on the right', file: 'shaders/pool_uniforms.wgsl',
    find: 'u.inW + u.padLeft + u.padRight', replace: 'u.inW + u.padLeft + u.padLeft', test: gpu('avgPool2d'),
  },
  {
    name: 'wgsl-max-pool-ties', what: 'a maximum that an earlier row has too takes the gradient', file: 'shaders/pool_grad.wgsl',
    find: 'for (var jy = w.top; jy <= iy; jy++) {', replace: 'for (var jy = iy; jy <= iy; jy++) {', test: gpu('maxPool2dGrad'),
  },
  {
    name: 'wgsl-pool-grad-window', what: 'the last window of a row is left out', file: 'shaders/pool_grad.wgsl',
    find: 'min(px / u.strideW + 1u, u.outW)', replace: 'min(px / u.strideW + 1u, u.outW - 1u)', test: gpu('avgPool2dGrad'),
  },
  // normalization
  {
    name: 'wgsl-norm-epsilon', what: 'half of epsilon', file: 'shaders/normalized.wgsl',
    find: 'T(u.epsilon)', replace: 'T(u.epsilon * 0.5)', test: gpu('batchNorm'),
  },
  {
    name: 'wgsl-norm-shift', what: 'squares are summed about zero', file: 'shaders/norm_stats.wgsl',
    find: 'let shift = T(loadX(p));', replace: 'let shift = T(0.0);', test: gpu('batchNorm'),
  },
  {
    name: 'wgsl-norm-last-run', what: 'the last run of rows counts as much as a full one', file: 'shaders/norm_combine.wgsl',
    find: 'f32(min(u.run, u.rows - split * u.run))', replace: 'f32(u.run)', test: gpu('batchNorm'),
  },
  {
    name: 'wgsl-norm-halves', what: 'the last of the parts that a workgroup has is not joined', file: 'shaders/norm_combine.wgsl',
    find: 'lane + half < lanes', replace: 'lane + half + 1u < lanes', test: hardware('batchNorm'),
  },
  {
    name: 'wgsl-norm-relu', what: 'no ReLU', file: 'shaders/norm_apply.wgsl',
    find: 'select(v, max(v, T(0.0)), u.relu != 0u)', replace: 'v', test: gpu('batchNorm'),
  },
  {
    name: 'wgsl-norm-mask-side', what: 'the ReLU lets the other side through', file: 'shaders/norm_grad_sums.wgsl',
    find: '<= T(0.0)', replace: '> T(0.0)', test: gpu('batchNormReluGrad'),
  },
  {
    name: 'wgsl-norm-last-split', what: 'the last run of rows is not added', file: 'shaders/norm_grad_combine.wgsl',
    find: 'split < u.splits', replace: 'split + 1u < u.splits', test: gpu('batchNormGrad'),
  },
  {
    name: 'wgsl-norm-frozen', what: 'constant statistics are taken for the batch\'s own', file: 'shaders/norm_grad_apply.wgsl',
    find: 'select(spread, T(0.0), u.frozen != 0u)', replace: 'spread', test: gpu('normalizeGrad'),
  },
  // softmax
  {
    name: 'wgsl-softmax-max', what: 'the maximum leaves out the last element of a row', file: 'shaders/softmax.wgsl',
    find: 'for (var c = 1u; c < u.channels; c++) { top', replace: 'for (var c = 1u; c + 1u < u.channels; c++) { top', test: gpu('softmax'),
  },
  {
    name: 'wgsl-cross-entropy-ignored', what: 'an ignored label has a loss', file: 'shaders/cross_entropy.wgsl',
    find: ' && !(u.useIgnore != 0u && label == u.ignoreLabel)', replace: '', test: gpu('softmaxCrossEntropy'),
  },
  {
    name: 'wgsl-cross-entropy-weight', what: 'all samples weigh as the first', file: 'shaders/cross_entropy_grad.wgsl',
    find: 'sampleWeights[u.sampleOffset + row]', replace: 'sampleWeights[u.sampleOffset]', test: gpu('softmaxCrossEntropyGrad'),
  },
  // reductions
  {
    name: 'wgsl-reduce-run', what: 'the last term of each run is dropped', file: 'shaders/reduce.wgsl',
    find: 'while (k < end) {', replace: 'while (k + 1u < end) {', test: gpu('sum'),
  },
  {
    name: 'wgsl-reduce-halves', what: 'the last of the parts that a workgroup has is left out', file: 'shaders/reduce_runs.wgsl',
    find: 'lane + half < lanes', replace: 'lane + half + 1u < lanes', test: hardware('sum'),
  },
  {
    name: 'wgsl-reduce-words', what: 'lengths and strides change places', file: 'shaders/reduce_uniforms.wgsl',
    find: 'lengths: vec4u, strides: vec4u,', replace: 'strides: vec4u, lengths: vec4u,', test: gpu('sum'),
  },
  {
    name: 'wgsl-reduce-axis', what: 'the third axis begins where the second ended', file: 'shaders/reduce.wgsl',
    find: 'p += u.strides[2] - u.lengths[1] * u.strides[1];', replace: 'p += u.strides[2];', test: gpu('sum'),
  },
  {
    name: 'wgsl-arg-max-ties', what: 'the last of equal maxima', file: 'shaders/arg_max.wgsl',
    find: 'if (v > value) {', replace: 'if (v >= value) {', test: gpu('argMax'),
  },
  // updates
  {
    name: 'wgsl-update-start', what: 'a chunk begins with the vector that its first element lies in', file: 'shaders/update.wgsl',
    find: 'let firstWhole = (start + ${W}u - 1u) / ${W}u;', replace: 'let firstWhole = start / ${W}u;', test: gpu('sgdUpdate'),
  },
  {
    name: 'wgsl-update-limit', what: 'a chunk within one vector is updated to the vector\'s end', file: 'shaders/update.wgsl',
    find: 'min(4u * firstWhole, end)', replace: '4u * firstWhole', test: gpu('sgdUpdate'),
  },
  {
    name: 'wgsl-adam-epsilon', what: 'epsilon stands under the root', file: 'shaders/update.wgsl',
    find: 'sqrt(next.second) + u.epsilon', replace: 'sqrt(next.second + u.epsilon)', test: gpu('adamUpdate'),
  },
  // movement
  {
    name: 'wgsl-copy-stride', what: 'rows of a slice are read as if they were joined', file: 'shaders/copy.wgsl',
    find: '* u.xStride', replace: '* u.xChannels', test: gpu('concat', 'reshape'),
  },
  {
    name: 'wgsl-copy-bytes', what: 'bytes are laid over those that were there', file: 'shaders/copy_u8.wgsl',
    find: 'atomicAnd(&y[place >> 2u], ~(0xffu << shift));', replace: '', test: { file: 'test/device/webgpu.test.ts', runner: 'webgpu' },
  },
  {
    name: 'wgsl-gather-clip', what: 'an index one past the end is not clipped', file: 'shaders/gather.wgsl',
    find: 'clamp(i, 0, i32(u.axis) - 1)', replace: 'clamp(i, 0, i32(u.axis))', test: gpu('gather'),
  },
  {
    name: 'wgsl-pad-edge', what: 'the edge is repeated one element off', file: 'shaders/pad.wgsl',
    find: 'clamp(at, 0, max(last, 0))', replace: 'clamp(at, 0, max(last - 1, 0))', test: gpu('pad'),
  },
  {
    name: 'wgsl-pad-channels', what: 'the third channel is left out', file: 'shaders/pad_channels.wgsl',
    find: 'vec4f(x[at], second, third, 0.0)', replace: 'vec4f(x[at], second, 0.0, 0.0)', test: gpu('conv2d'),
  },
  {
    name: 'wgsl-one-hot', what: 'a negative index marks the first place', file: 'shaders/one_hot.wgsl',
    find: 'index == i32(d)', replace: 'max(index, 0) == i32(d)', test: gpu('oneHot'),
  },
  // elementwise
  {
    name: 'wgsl-elementwise-last', what: 'the last element is not computed', file: 'shaders/elementwise.wgsl',
    find: 'if (i >= u.total) { return; }', replace: 'if (i + 1u >= u.total) { return; }', test: gpu('add'),
  },
  {
    name: 'wgsl-elementwise-operand', what: 'the second operand walks with the strides of the first', file: 'shaders/elementwise.wgsl',
    find: 'at += k * vec4u(u.strides[0][axis >> 2u][axis & 3u], u.strides[1]', replace: 'at += k * vec4u(u.strides[0][axis >> 2u][axis & 3u], u.strides[0]',
    test: gpu('add'),
  },
  {
    name: 'wgsl-exp-coefficient', what: 'a coefficient of exp is wrong in its fourth digit', file: 'shaders/math.wgsl',
    find: 'T(1.6666665459e-1)', replace: 'T(1.6656665459e-1)', test: gpu('exp'),
  },
  // random numbers
  {
    name: 'wgsl-random-rounds', what: 'nine rounds', file: 'shaders/random.wgsl',
    find: 'round < 10u', replace: 'round < 9u', test: gpu('random'),
  },
  {
    name: 'wgsl-random-sample', what: 'all samples draw as the first', file: 'shaders/random.wgsl',
    find: 'ids[u.idsOffset + sample]', replace: 'ids[u.idsOffset]', test: gpu('random', 'dropout'),
  },
  // mixed precision
  {
    name: 'wgsl-all-finite-sign', what: 'every negative number counts as infinite', file: 'shaders/all_finite.wgsl',
    find: ' & 0x7fffffffu', replace: '', test: gpu('allFinite'),
  },
  {
    name: 'wgsl-all-finite-lanes', what: 'the last thread\'s elements are not looked at', file: 'shaders/all_finite.wgsl',
    find: 'i < 64u; i++', replace: 'i < 63u; i++', test: gpu('allFinite'),
  },
  // images
  {
    name: 'wgsl-warp-last-row', what: 'the last row counts as outside', file: 'shaders/warp_affine.wgsl',
    find: 'row >= i32(u.height)', replace: 'row >= i32(u.height) - 1', test: gpu('warpAffine'),
  },
  {
    name: 'wgsl-warp-swapped', what: 'the weights of left and right are exchanged below', file: 'shaders/warp_affine.wgsl',
    find: '(1.0 - part.x) * corner(image, r + 1, l, c) + part.x * corner',
    replace: 'part.x * corner(image, r + 1, l, c) + (1.0 - part.x) * corner',
    test: gpu('warpAffine'),
  },
  {
    name: 'wgsl-warp-cubic-far', what: 'the outer taps of the cubic are those within', file: 'shaders/warp_affine.wgsl',
    find: 'far <= 1.0)', replace: 'far <= 2.0)', test: gpu('warpAffine'),
  },
  {
    name: 'wgsl-warp-area-turned', what: 'what is turned is averaged along the axes', file: 'shaders/warp_affine.wgsl',
    find: 'kind == AREA && !shrinks', replace: 'false', test: gpu('warpAffine'),
  },
  {
    name: 'wgsl-hls-shift', what: "every image takes the first one's amounts", file: 'shaders/shift_hls.wgsl',
    find: 'u.shiftOffset + pixel / u.perImage * u.shiftStride', replace: 'u.shiftOffset', test: gpu('shiftHls'),
  },
  {
    name: 'wgsl-hls-blue', what: 'blue is where green is', file: 'shaders/shift_hls.wgsl',
    find: 'channelOf(4.0, h, l, a)', replace: 'channelOf(8.0, h, l, a)', test: gpu('shiftHls'),
  },
];
