// to[i] = from[i] in row-major order, both in rows of their own lengths and strides: a copy, and a reshape of strided values.
// WORD has the size of the elements: u8, u16 or u32, or Vec4 of these; lengths, strides and total are in units of WORD.
// Block 256, one a thread; grid ceil(total / 256).
#include "lib/fovea.cuh"

KERNEL(copy, 256)(Span<const WORD> from, Span<WORD> to, i32 total, i32 fromChannels, i32 fromStride, i32 toChannels, i32 toStride) {
  const i32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= total) return;
  const i32 fromRow = i / fromChannels, toRow = i / toChannels;
  const i64 source = static_cast<i64>(fromRow) * fromStride + (i - fromRow * fromChannels);
  to[static_cast<i64>(toRow) * toStride + (i - toRow * toChannels)] = from[source];
}
