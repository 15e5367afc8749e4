// Small kernels, most with a fault, by which the emulator of kernels/cuda/host is tried. y has 256 floats.
#include "lib/async_copy.cuh"
#include "lib/block.cuh"
#include "lib/mma.cuh"

KERNEL(trial, 256)(Span<const float> x, Span<float> y, i32 n) {
  const i32 t = threadIdx.x;
  SHARED(float, panel, 256);
  SHARED(Half, halves, 256);
  BODY
}
