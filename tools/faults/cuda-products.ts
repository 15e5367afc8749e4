/** Faults for CUDA's products and convolutions. They are seen by the op suite on the host build (`cuda-host`). */
import type { Fault } from './fault.ts';

/** All of a fault but its test, which is the op suite for one op. */
export type ProductFault = Omit<Fault, 'test'> & { readonly op: string };

const lib = (name: string): string => `kernels/cuda/lib/${name}.cuh`;

export const cudaProductFaults: readonly ProductFault[] = [
  {
    name: 'cuda-walk-carry', what: 'channels carry no tap', file: lib('sources'),
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
];
