// Streams over arrays that no cache holds, for the roofline of the benchmark. READ sums what lies in `source`, WRITE fills `sink`, both
// together copy; 0 or 1. A block of 64 has 64 x 16 vectors of 4 that lie together; grid vectors / 1024.
#include "lib/fovea.cuh"

KERNEL(probe_stream, 64)(Span<const float> source, Span<float> sink, i32 vectors) {
  const i32 lane = threadIdx.x;
  const i64 start = static_cast<i64>(blockIdx.x) * 1024 + lane;
  const i64 end = min(static_cast<i64>(blockIdx.x) * 1024 + 1024, static_cast<i64>(vectors));
  Vec4<float> sum = {{static_cast<float>(lane), static_cast<float>(lane), static_cast<float>(lane), static_cast<float>(lane)}};
  for (i64 i = start; i < end; i += 64) {
    Vec4<float> v = sum;
    if (READ) v = source.load<Vec4<float>>(4 * i);
    if (WRITE) sink.store(4 * i, v);
    else {
      UNROLL
      for (i32 k = 0; k < 4; k++) sum.v[k] += v.v[k];
    }
  }
  if (!WRITE) sink.store(4 * ((blockIdx.x & 255) * 64 + lane), sum);
}
