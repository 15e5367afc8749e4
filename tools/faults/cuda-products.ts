/** Faults for CUDA's products and convolutions, which are run in software. */
import type { Fault } from './fault.ts';

/** All of a fault but its test: the op suite for one op, or on a rung that a device does not take by itself, the test of rungs. */
type ProductFault = Omit<Fault, 'test'> & { readonly op: string; readonly rung?: 'hopper' };

const lib = (name: string): string => `kernels/cuda/lib/${name}.cuh`;

const list: readonly ProductFault[] = [
  {
    name: 'cuda-walk-carry', what: 'channels carry no tap', file: lib('walk'),
    find: 'mid += aheadMid + carry;', replace: 'mid += aheadMid;', op: 'conv2d',
  },
  {
    name: 'cuda-gemm-rows', what: 'rows behind the last are read', file: lib('sources'),
    find: 'base[i] = r < rows ? start', replace: 'base[i] = r <= rows ? start', op: 'matmul',
  },
  {
    name: 'cuda-product-barrier', what: 'panels are overwritten without a barrier', file: lib('product'),
    find: '      nextRight.store(panels, stage + Left::size);\n    }\n    __syncthreads();',
    replace: '      nextRight.store(panels, stage + Left::size);\n    }', op: 'matmul',
  },
  {
    name: 'cuda-conv-pad', what: 'the padding above is taken on the left', file: 'kernels/cuda/conv_forward.cu',
    find: '* c.strideW - c.padLeft', replace: '* c.strideW - c.padTop', op: 'conv2d',
  },
  {
    name: 'cuda-input-grad-phase', what: 'a phase takes taps that another sees', file: 'kernels/cuda/conv_input_grad.cu',
    find: '(phase + pad + (stride', replace: '(phase + (stride', op: 'conv2dInputGrad',
  },
  {
    name: 'cuda-input-grad-back', what: 'with dilation taps lie a pixel apart', file: 'kernels/cuda/conv_input_grad.cu',
    find: 'p.back = p.step * dilation / stride;', replace: 'p.back = p.step;', op: 'conv2dInputGrad',
  },
  {
    name: 'cuda-filter-grad-run', what: 'a run takes the next one\'s first pixel too', file: 'kernels/cuda/conv_filter_grad.cu',
    find: 'last = first + run < pixels ? first + run : pixels', replace: 'last = first + run < pixels ? first + run + 1 : pixels',
    op: 'conv2dFilterGrad',
  },
  {
    name: 'cuda-sum-runs', what: 'six of every eight runs are left out', file: 'kernels/cuda/sum_runs.cu',
    find: 'k < 8; k++', replace: 'k < 2; k++', op: 'depthwiseConv2dFilterGrad',
  },
  {
    name: 'cuda-statistics-rows', what: 'rows that are not there count for the mean', file: lib('results'),
    find: 'if (tile.row(i) < count) sum', replace: 'if (tile.row(i) < ROWS) sum', op: 'conv2dStats',
  },
  {
    name: 'cuda-depthwise-stride', what: 'windows see pixels between them', file: 'kernels/cuda/depthwise_input_grad.cu',
    find: 'q >= d.outW || q * d.strideW + s * d.dilationW != w', replace: 'q >= d.outW', op: 'depthwiseConv2dInputGrad',
  },
  {
    name: 'cuda-gemm-run', what: 'every run of a sum takes one term too few', file: 'kernels/cuda/gemm.cu',
    find: 'last = first + p.run < p.depth ? first + p.run : p.depth', replace: 'last = first + p.run < p.depth ? first + p.run - 1 : p.depth', op: 'matmul',
  },
  {
    name: 'cuda-depthwise-dilation', what: 'taps lie a pixel apart, whatever the dilation', file: 'kernels/cuda/depthwise.cu',
    find: 'const i32 w = left + s * d.dilationW;', replace: 'const i32 w = left + s;', op: 'depthwiseConv2d',
  },
  {
    name: 'cuda-depthwise-filter-last', what: 'the last pixel of each row is left out', file: 'kernels/cuda/depthwise_filter_grad.cu',
    find: 'q < d.outW; q++', replace: 'q + 1 < d.outW; q++', op: 'depthwiseConv2dFilterGrad',
  },
  {
    name: 'cuda-gemm-batch', what: 'the left matrices of a batch are all the first', file: 'kernels/cuda/gemm.cu',
    find: 'static_cast<i64>(batch) * p.leftBatch', replace: '0', op: 'matmul',
  },
  {
    name: 'cuda-depthwise-pad', what: 'the padding above is taken on the left', file: 'kernels/cuda/depthwise.cu',
    find: 'd.strideW - d.padLeft', replace: 'd.strideW - d.padTop', op: 'depthwiseConv2d',
  },
  {
    name: 'cuda-depthwise-filter-run', what: 'a run takes the next one\'s first row too', file: 'kernels/cuda/depthwise_filter_grad.cu',
    find: '(part + 1) * run : lines', replace: '(part + 1) * run + 1 : lines', op: 'depthwiseConv2dFilterGrad',
  },
  {
    name: 'cuda-prologue-padding', what: 'zeros of the padding are normalized too', file: lib('product'),
    find: 'if ((there >> i & 1u) == 0) continue;', replace: '', op: 'normalizeConv2d',
  },
  {
    name: 'cuda-prologue-beside', what: 'what was normalized is read as far apart as the gradient behind it', file: lib('product'),
    find: 'static_cast<i64>(source.pixel(i)) * by.stride + channel', replace: 'at', op: 'conv2dBatchNormGrad',
  },
  {
    name: 'cuda-prologue-pixel', what: 'rows of what was normalized are all the first', file: lib('sources'),
    find: 'return row + P::line(i)', replace: 'return row + P::line(0)', op: 'conv2dBatchNormGrad',
  },
  {
    name: 'cuda-prologue-gradient', what: 'the gradient behind ReLU is not masked', file: lib('prologue'),
    find: 'toFloat(x), by, relu', replace: 'toFloat(x), by, 0', op: 'conv2dBatchNormGrad',
  },
  {
    name: 'cuda-norm-grad-apply-stride', what: 'dx is stored as far apart as dy lies', file: 'kernels/cuda/norm_grad_apply.cu',
    find: '* dxStride', replace: '* dyStride', op: 'batchNormGrad',
  },
  {
    name: 'cuda-norm-grad-terms', what: 'the slope is divided by no deviation', file: 'kernels/cuda/norm_grad_combine.cu',
    find: 'all[1] / root[0] /', replace: 'all[1] /', op: 'conv2dBatchNormGrad',
  },
  {
    name: 'cuda-prologue-channel', what: 'an image is normalized by the channel before', file: lib('prologue'),
    find: 'mean(by.constants[channel])', replace: 'mean(by.constants[channel > 0 ? channel - 1 : 0])', op: 'normalizeConv2dFilterGrad',
  },
  {
    name: 'cuda-prologue-relu', what: 'no ReLU follows what a product normalizes', file: lib('prologue'),
    find: 'relu != 0 && value < 0.0f', replace: 'relu > 1 && value < 0.0f', op: 'normalizeConv2dStats',
  },
  {
    name: 'cuda-norm-constants', what: 'constants have variance in place of scale', file: 'kernels/cuda/norm_constants.cu',
    find: 'scaleOf(deviation(load(variance, channel), epsilon), load(gamma, channel), fixGamma)[0]', replace: 'variance[channel]', op: 'normalizeConv2d',
  },
  {
    name: 'cuda-epilogue-bias', what: 'the bias is left out of what is normalized as it is stored', file: lib('results'),
    find: 'norm.of(sum + bias)', replace: 'norm.of(sum)', op: 'conv2dNormalize',
  },
  {
    name: 'cuda-epilogue-column', what: 'a result is normalized by the channel before', file: lib('results'),
    find: 'Normalizing{constants, columns, relu}, k)', replace: 'Normalizing{constants, columns, relu}, k > 0 ? k - 1 : 0)', op: 'conv2dNormalize',
  },
  {
    name: 'cuda-gemm-epilogue', what: 'scales are looked for behind as many means as a sum has terms', file: 'kernels/cuda/gemm.cu',
    find: 'Epilogue{bias, constants, p.columns', replace: 'Epilogue{bias, constants, p.depth', op: 'conv2dNormalize',
  },
  {
    name: 'cuda-conv-hopper-epilogue', what: 'scales are looked for behind as many means as x has channels', file: 'kernels/cuda/conv_hopper.cu',
    find: 'Epilogue{bias, constants, c.columns', replace: 'Epilogue{bias, constants, c.depth', op: 'conv2dNormalize', rung: 'hopper',
  },
  {
    name: 'cuda-gemm-hopper-epilogue', what: 'no ReLU follows a product of Hopper\'s rung', file: 'kernels/cuda/gemm_hopper.cu',
    find: 'p.hasBias, p.relu}', replace: 'p.hasBias, 0}', op: 'conv2dNormalize', rung: 'hopper',
  },
  {
    name: 'cuda-gemm-hopper-panel', what: 'the right panel is taken a panel further', file: 'kernels/cuda/gemm_hopper.cu',
    find: 'right, term, tile.column', replace: 'right, term + STEPS, tile.column', op: 'matmul', rung: 'hopper',
  },
  {
    name: 'cuda-conv-hopper-tap', what: 'taps of a row are taken for those of a column', file: 'kernels/cuda/conv_hopper.cu',
    find: 'static_cast<u16>(at.mid * c.dilationW), static_cast<u16>(at.high * c.dilationH)',
    replace: 'static_cast<u16>(at.high * c.dilationW), static_cast<u16>(at.mid * c.dilationH)', op: 'conv2d', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-release', what: 'panels are given back while they are read', file: lib('hopper_product'),
    find: 'waitProducts<1>();', replace: 'waitProducts<4>();', op: 'conv2d', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-swizzle', what: 'eights of rows lie too near', file: lib('hopper_layout'),
    find: 'stride = 1024 >> 4', replace: 'stride = 512 >> 4', op: 'matmul', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-row', what: 'the second half of a tile has the first one\'s rows', file: lib('hopper_product'),
    find: '(threadIdx.x / 128 - 1) * (ROWS / 2) + i / 2', replace: 'i / 2', op: 'conv2d', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-leading', what: 'by steps, columns from the 65th on lie too near', file: lib('hopper_layout'),
    find: '1 : 64 * 128 >> 4', replace: '1 : 64 * 64 >> 4', op: 'matmul', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-step', what: 'terms of operands by steps are looked for along a line', file: lib('hopper_layout'),
    find: '(ByRows ? 32 : 16 * 128) >> 4', replace: '32 >> 4', op: 'conv2dInputGrad', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-run', what: 'a run begins with the last panel of the one before', file: lib('hopper_product'),
    find: 'return run(index) * length;', replace: 'return run(index) * (length - STEPS);', op: 'conv2dFilterGrad', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-statistics', what: 'both consumers keep sums in one place', file: lib('hopper_product'),
    find: '(threadIdx.x - 128) / 4;', replace: 'threadIdx.x % 128 / 4;', op: 'conv2dStats', rung: 'hopper',
  },
  {
    name: 'cuda-hopper-meet', what: 'sums of statistics are read without a barrier', file: lib('hopper_product'),
    find: 'meet<1, threads>();', replace: '', op: 'conv2dStats', rung: 'hopper',
  },
  {
    name: 'cuda-conv-hopper-mirror', what: 'the input gradient reads filters forwards', file: 'kernels/cuda/conv_hopper.cu',
    find: 'RIGHT_ROWS ? tap : taps - 1 - tap', replace: 'tap', op: 'conv2dInputGrad', rung: 'hopper',
  },
  {
    name: 'cuda-conv-hopper-stride', what: 'windows of a row begin a pixel apart, whatever the stride', file: 'kernels/cuda/conv_hopper.cu',
    find: ' * c.strideW + c.firstW', replace: ' + c.firstW', op: 'conv2d', rung: 'hopper',
  },
  {
    name: 'cuda-conv-filter-hopper-unit', what: 'every unit of a tap has the first channels', file: 'kernels/cuda/conv_filter_hopper.cu',
    find: 'channel[u] = (unit - tap * parts) * 64', replace: 'channel[u] = 0', op: 'conv2dFilterGrad', rung: 'hopper',
  },
  {
    name: 'cuda-conv-filter-hopper-walk', what: 'every run begins with the first window', file: 'kernels/cuda/conv_filter_hopper.cu',
    find: 'at = Walk(tiles.first(index), STEPS', replace: 'at = Walk(0, STEPS', op: 'conv2dFilterGrad', rung: 'hopper',
  },
  {
    name: 'cuda-conv-filter-hopper-last', what: 'a unit behind the last is stored', file: 'kernels/cuda/conv_filter_hopper.cu',
    find: 'if (unit >= units) continue;', replace: '', op: 'conv2dFilterGrad', rung: 'hopper',
  },
];

export const cudaProductFaults: readonly Fault[] = list.map(({ op, rung, ...fault }) => ({
  ...fault,
  test: {
    file: rung === undefined ? 'test/ops/suite.test.ts' : 'test/device/cuda-rungs.test.ts',
    ops: [op], runner: 'cuda-host', needs: rung === undefined ? 'all ops on cuda-host' : 'on Hopper\'s rung',
  },
}));
