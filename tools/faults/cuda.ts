/** Faults for the kernels of the CUDA device, which are run in software. */
import type { Fault, FaultTest } from './fault.ts';

/** Runs placed anywhere, with bounds checked; not tried where the kernels cannot be built for this machine. */
const run = (...ops: string[]): FaultTest => ({ file: 'test/device/cuda-kernels.test.ts', ops, runner: 'cuda-host', needs: 'placed anywhere' });

export const cudaFaults: readonly Fault[] = [
  {
    name: 'cuda-copy-rows', what: 'rows of the source are as long as those of the target', file: 'kernels/cuda/copy.cu',
    find: 'fromRow = i / fromChannels', replace: 'fromRow = i / toChannels', test: run('reshape'),
  },
  {
    name: 'cuda-elementwise-start', what: 'operands start at their first element', file: 'kernels/cuda/elementwise.cu',
    find: 'at[o + 1] = axes.start[o];', replace: 'at[o + 1] = 0;', test: run('flip', 'slice'),
  },
  {
    name: 'cuda-elementwise-stride', what: 'operands are read with the strides of the result', file: 'kernels/cuda/elementwise.cu',
    find: 'axes.stride[o][axis]', replace: 'axes.stride[0][axis]', test: run('add'),
  },
  {
    name: 'cuda-elementwise-end', what: 'threads past the last element compute', file: 'kernels/cuda/elementwise.cu',
    find: 'if (i >= total) break;', replace: '', test: run('add'),
  },
  {
    name: 'cuda-expressions-select', what: 'select takes the other side', file: 'kernels/cuda/lib/expressions.cuh',
    find: 'condition ? yes : no', replace: 'condition ? no : yes', test: run('where', 'reluGrad'),
  },
  {
    name: 'cuda-expressions-sign', what: 'the sign of a negative number is 1', file: 'kernels/cuda/lib/expressions.cuh',
    find: 'v < 0.0f ? -1.0f : v', replace: 'v < 0.0f ? 1.0f : v', test: run('sign'),
  },
  {
    name: 'cuda-lanes-last', what: 'of elements one by one the last is left out', file: 'kernels/cuda/lib/lanes.cuh',
    find: 'for (i32 i = 0; i < Width; i++) y[at + i]', replace: 'for (i32 i = 0; i < Width - 1; i++) y[at + i]', test: run('add', 'pad'),
  },
  {
    name: 'cuda-transpose-barrier', what: 'a tile is read before it is written', file: 'kernels/cuda/transpose.cu',
    find: '__syncthreads();', replace: '', test: run('transpose'),
  },
  {
    name: 'cuda-transpose-edge', what: 'the last rows of a tile are those of a whole one', file: 'kernels/cuda/transpose.cu',
    find: 'row + line + i < axes.rows && ', replace: '', test: run('transpose'),
  },
  {
    name: 'cuda-pad-after', what: 'what lies behind the edge is taken from before it', file: 'kernels/cuda/pad.cu',
    find: 'at > last ? last : at', replace: 'at > last ? 0 : at', test: run('pad'),
  },
  {
    name: 'cuda-gather-clip', what: 'indices below zero are not clipped', file: 'kernels/cuda/gather.cu',
    find: 'const i32 a = index < 0 ? 0 : index', replace: 'const i32 a = index', test: run('gather'),
  },
  {
    name: 'cuda-gather-grad-last', what: 'what was picked last is left out', file: 'kernels/cuda/gather.cu',
    find: 'k < count; k++', replace: 'k + 1 < count; k++', test: run('gatherGrad'),
  },
  {
    name: 'cuda-one-hot-stride', what: 'rows are as far apart as they are long', file: 'kernels/cuda/one_hot.cu',
    find: 'static_cast<i64>(k) * yStride', replace: 'static_cast<i64>(k) * depth', test: run('oneHot'),
  },
  {
    name: 'cuda-reduce-rest', what: 'terms that are not four at a time are dropped', file: 'kernels/cuda/reduce_columns.cu',
    find: 'for (; k < end; k += GROUPS) {', replace: 'for (; k < end && k + GROUPS < end; k += GROUPS) {', test: run('sum'),
  },
  {
    name: 'cuda-reduce-run', what: 'a run goes on into the next', file: 'kernels/cuda/reduce_columns.cu',
    find: 'blockIdx.y * run + run < count ? blockIdx.y * run + run : count', replace: 'count', test: run('sum'),
  },
  {
    name: 'cuda-reduce-rows-lane', what: 'the last of four lanes is left out', file: 'kernels/cuda/reduce_rows.cu',
    find: 'for (i32 lane = 1; lane < WIDTH; lane++)', replace: 'for (i32 lane = 1; lane < WIDTH - 1; lane++)', test: run('sum'),
  },
  {
    name: 'cuda-block-warps', what: 'the last warp of a block is left out', file: 'kernels/cuda/lib/block.cuh',
    find: 'warp < Threads / 32; warp++', replace: 'warp < Threads / 32 - 1; warp++', test: run('sum'),
  },
  {
    name: 'cuda-block-halves', what: 'halves of a block are added before they are there', file: 'kernels/cuda/lib/block.cuh',
    find: 'half >= Columns; half /= 2) {\n    __syncthreads();', replace: 'half >= Columns; half /= 2) {', test: run('sum', 'batchNorm'),
  },
  {
    name: 'cuda-arg-max-ties', what: 'of equals the last is taken', file: 'kernels/cuda/arg_max.cu',
    find: 'k < best', replace: 'k > best', test: run('argMax'),
  },
  {
    name: 'cuda-softmax-max', what: 'exponents are not taken from the largest', file: 'kernels/cuda/softmax.cu',
    find: 'expf(x[p + c] - top)', replace: 'expf(x[p + c])', test: run('softmax'),
  },
  {
    name: 'cuda-cross-entropy-ignored', what: 'an ignored label counts', file: 'kernels/cuda/cross_entropy.cu',
    find: ' && !(useIgnore != 0 && label == ignoreLabel)', replace: '', test: run('softmaxCrossEntropy'),
  },
  {
    name: 'cuda-cross-entropy-grad-weight', what: 'soft targets are not weighted by class', file: 'kernels/cuda/cross_entropy_grad.cu',
    find: 'total += classWeights[c] * labels[t + c]', replace: 'total += labels[t + c]', test: run('softmaxCrossEntropyGrad'),
  },
  {
    name: 'cuda-pool-first', what: 'of equal maxima the last is taken', file: 'kernels/cuda/pool.cu',
    find: 'if (v[lane] > a[lane] ||', replace: 'if (v[lane] >= a[lane] ||', test: run('maxPool2dIndices'),
  },
  {
    name: 'cuda-pool-window-end', what: 'windows reach into the padding below', file: 'kernels/cuda/lib/pool.cuh',
    find: 'w.bottom = y1 < p.inH ? y1 : p.inH;', replace: 'w.bottom = y1;', test: run('maxPool2d', 'avgPool2d'),
  },
  {
    name: 'cuda-pool-grad-last-window', what: 'the last window that holds an element is left out', file: 'kernels/cuda/pool_grad.cu',
    find: 'py / p.strideH + 1 < p.outH ? py / p.strideH + 1 : p.outH;', replace: 'py / p.strideH < p.outH ? py / p.strideH : p.outH;',
    test: run('maxPool2dIndexGrad', 'avgPool2dGrad'),
  },
  {
    name: 'cuda-norm-stats-shift', what: 'the mean is not moved back by the shift', file: 'kernels/cuda/norm_stats.cu',
    find: 'mean[i] = shift[i] + sums[i] / n;', replace: 'mean[i] = sums[i] / n;', test: run('batchNorm'),
  },
  {
    name: 'cuda-norm-combine-last', what: 'the last run counts as many rows as the others', file: 'kernels/cuda/norm_combine.cu',
    find: 'i + 1 < runs ? run : rows - i * run', replace: 'run', test: run('batchNorm'),
  },
  {
    name: 'cuda-norm-combine-part', what: 'all parts of many partial results are the first', file: 'kernels/cuda/norm_combine.cu',
    find: 'first = blockIdx.y * part', replace: 'first = 0', test: run('conv2dStats'),
  },
  {
    name: 'cuda-norm-combine-part-rows', what: 'a part ends with a run less', file: 'kernels/cuda/norm_combine.cu',
    find: 'first + part < runs ? first + part : runs', replace: 'first + part < runs ? first + part - 1 : runs', test: run('conv2dStats'),
  },
  {
    name: 'cuda-norm-epsilon', what: 'epsilon is added to the deviation', file: 'kernels/cuda/lib/norm.cuh',
    find: 'sqrtf(variance[i] + epsilon)', replace: 'sqrtf(variance[i]) + epsilon', test: run('normalize'),
  },
  {
    name: 'cuda-norm-apply-end', what: 'rows of a neighbour are written', file: 'kernels/cuda/norm_apply.cu',
    find: 'if (row + k * GROUPS >= part.end) break;', replace: '', test: run('normalize'),
  },
  {
    name: 'cuda-norm-grad-sums-mask', what: 'the ReLU lets the other side through', file: 'kernels/cuda/norm_grad_sums.cu',
    find: 'b[i]) <= 0.0f', replace: 'b[i]) > 0.0f', test: run('batchNormReluGrad'),
  },
  {
    name: 'cuda-norm-grad-combine-fixed', what: 'a fixed gamma has a gradient', file: 'kernels/cuda/norm_grad_combine.cu',
    find: 'fixGamma != 0 ? 0.0f : all[1]', replace: 'all[1]', test: run('batchNormGrad'),
  },
  {
    name: 'cuda-norm-grad-apply-rows', what: 'the mean of dy is its sum', file: 'kernels/cuda/norm_grad_combine.cu',
    find: 'all[0] / static_cast<float>(rows)', replace: 'all[0]', test: run('batchNormGrad'),
  },
  {
    name: 'cuda-update-tail', what: 'the elements behind the last vector of a chunk are left out', file: 'kernels/cuda/update.cu',
    find: 'if (thread < 8 && element < limit)', replace: 'if (thread < 4 && element < limit)', test: run('sgdUpdate', 'adamUpdate'),
  },
  {
    name: 'cuda-update-decay', what: 'all segments decay as the first', file: 'kernels/cuda/update.cu',
    find: 'multipliers[2 * segment + 1]', replace: 'multipliers[1]', test: run('sgdUpdate'),
  },
  {
    name: 'cuda-all-finite-rest', what: 'elements behind the last vector are not looked at', file: 'kernels/cuda/all_finite.cu',
    find: 'if (rest < end) own', replace: 'if (rest < whole) own', test: run('allFinite'),
  },
  {
    name: 'cuda-philox-rounds', what: 'one round too few', file: 'kernels/cuda/philox.cu',
    find: 'round < 10', replace: 'round < 9', test: run('random'),
  },
  {
    name: 'cuda-philox-dropout', what: 'what is kept is not scaled', file: 'kernels/cuda/philox.cu',
    find: 'values[i] * scale', replace: 'values[i]', test: run('dropout'),
  },
  {
    name: 'cuda-warp-affine-corner', what: 'the pixel to the right of the last is read', file: 'kernels/cuda/warp_affine.cu',
    find: 'column >= image.width', replace: 'column > image.width', test: run('warpAffine'),
  },
  {
    name: 'cuda-taps-nearest', what: 'the pixel to the left is the nearest', file: 'kernels/cuda/lib/taps.cuh',
    find: 'case NEAREST: return floorf(place + 0.5f);', replace: 'case NEAREST: return floorf(place);', test: run('warpAffine'),
  },
  {
    name: 'cuda-taps-sum', what: "Lanczos' weights are divided by the sum of seven", file: 'kernels/cuda/lib/taps.cuh',
    find: 'k < 8', replace: 'k < 7', test: run('warpAffine'),
  },
  {
    name: 'cuda-shift-hls-red', what: 'hues between red and blue are below zero', file: 'kernels/cuda/shift_hls.cu',
    find: 'if (h < 0.0f) h += 360.0f;', replace: '', test: run('shiftHls'),
  },
];
