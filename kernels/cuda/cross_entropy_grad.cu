// dlogits[n,j] = dlosses[n] s[n] (p[n,j] sum over c of w[c] t[n,c] - w[j] t[n,j]), targets t as in cross_entropy.cu.
// Block 256: THREADS (32, or 256 where there are more than 1024 channels) for each row. Grid ceil(rows THREADS / 256).
#include "lib/block.cuh"

KERNEL(cross_entropy_grad, 256)(Span<const float> dlosses, Span<const float> probabilities, Span<const LABEL> labels,
                                Span<const float> classWeights, Span<const float> sampleWeights, Span<float> dlogits, i32 rows, i32 channels,
                                i32 pStride, i32 labelStride, i32 yStride, i32 useIgnore, i32 ignoreLabel) {
  const i32 row = rowOf<THREADS>(blockIdx.x, threadIdx.x), thread = threadIdx.x % THREADS;
  const i32 end = row < rows ? channels : 0;
  const i64 p = static_cast<i64>(row) * pStride, y = static_cast<i64>(row) * yStride;
  const float scale = row < rows ? dlosses[row] * sampleWeights[row] : 0.0f;
#if SOFT
  SHARED(float, parts, 8);
  const i64 t = static_cast<i64>(row) * labelStride;
  float total = 0.0f;
  for (i32 c = thread; c < end; c += THREADS) total += classWeights[c] * labels[t + c];
  total = overThreads<THREADS>(total, parts, Add());
  for (i32 c = thread; c < end; c += THREADS) {
    dlogits[y + c] = scale * (probabilities[p + c] * total - classWeights[c] * labels[t + c]);
  }
#else
  const i32 label = row < rows ? labels[row] : -1;
  const bool counts = label >= 0 && label < channels && !(useIgnore != 0 && label == ignoreLabel);
  const float total = counts ? classWeights[label] : 0.0f;
  for (i32 c = thread; c < end; c += THREADS) {
    dlogits[y + c] = scale * (probabilities[p + c] * total - (c == label ? total : 0.0f));
  }
#endif
}
