// p = softmax(logits), losses[n] = -s[n] sum over c of w[c] t[n,c] log p[n,c]; t is one-hot of an int32 label (nothing where it is
// ignored or out of range), or the row of float32 labels when SOFT.
// Block 256: THREADS (32, or 256 where there are more than 1024 channels) for each row, as in softmax.cu. Grid ceil(rows THREADS / 256).
#include "lib/block.cuh"

KERNEL(cross_entropy, 256)(Span<const float> logits, Span<const LABEL> labels, Span<const float> classWeights, Span<const float> sampleWeights,
                           Span<float> losses, Span<float> probabilities, i32 rows, i32 channels, i32 xStride, i32 labelStride,
                           i32 pStride, i32 useIgnore, i32 ignoreLabel) {
  SHARED(float, parts, 8);
  const i32 row = rowOf<THREADS>(blockIdx.x, threadIdx.x), thread = threadIdx.x % THREADS;
  const i32 end = row < rows ? channels : 0;
  const i64 x = static_cast<i64>(row) * xStride, p = static_cast<i64>(row) * pStride;
  float top = -infinity();
  for (i32 c = thread; c < end; c += THREADS) top = Larger()(top, logits[x + c]);
  top = overThreads<THREADS>(top, parts, Larger());
  float sum = 0.0f;
  for (i32 c = thread; c < end; c += THREADS) {
    const float e = expf(logits[x + c] - top);
    sum += e;
    probabilities[p + c] = e;
  }
  sum = overThreads<THREADS>(sum, parts, Add());
  const float l = logf(sum);
  float loss = 0.0f;
  for (i32 c = thread; c < end; c += THREADS) {
    probabilities[p + c] /= sum;
#if SOFT
    const float t = labels[static_cast<i64>(row) * labelStride + c];
    if (t != 0.0f) loss -= classWeights[c] * t * ((logits[x + c] - top) - l);
#endif
  }
#if SOFT
  loss = overThreads<THREADS>(loss, parts, Add());
#endif
  if (thread > 0 || row >= rows) return;
#if !SOFT
  const i32 label = labels[row];
  if (label >= 0 && label < channels && !(useIgnore != 0 && label == ignoreLabel)) {
    loss = -classWeights[label] * ((logits[x + label] - top) - l);
  }
#endif
  losses[row] = sampleWeights[row] * loss;
}
