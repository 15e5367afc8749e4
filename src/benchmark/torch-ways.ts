/** The ways of PyTorch on NVIDIA's GPUs, by cuDNN, of which the best is the peer. */

interface TorchWay {
  readonly precision: 'float32' | 'tf32' | 'bfloat16';
  readonly how: 'eager' | 'graph' | 'compile';
  /** `PyTorch, cuda, graph, tf32`: of contestants. */
  readonly name: string;
  /** Kernels are in float32 and TF32, and not compiled; of halves, by their dtype, they are in the first alone. Steps are in all ways. */
  readonly kernels: boolean;
  readonly halves: boolean;
}

export const torchWays: readonly TorchWay[] = (['bfloat16', 'tf32', 'float32'] as const).flatMap((precision) =>
  (['eager', 'graph', 'compile'] as const).map((how): TorchWay => {
    const kernels = precision !== 'bfloat16' && how !== 'compile';
    const words = ['PyTorch', 'cuda', ...(how === 'eager' ? [] : [how]), ...(precision === 'float32' ? [] : [precision])];
    return { precision, how, name: words.join(', '), kernels, halves: kernels && precision === 'float32' };
  }));
