// One optimizer step over a flat arena, a block a chunk (start, count, segment), with lr and wd of the chunk's segment:
//   g = clip(rescale * factor * gradient) + wd * weight, factor 1, or given behind the learning rate (`factored`); 0 updates nothing
// SGD: momentum' = mu momentum - lr g, weight' = weight + momentum'
// ADAM: mean' = beta1 mean + (1 - beta1) g, variance' = beta2 variance + (1 - beta2) g^2,
//       weight' = weight - lr correction mean' / (sqrt(variance') + epsilon), correction = sqrt(1 - beta2^t) / (1 - beta1^t)
// Outputs lie where the arenas lie. WIDTH 4, where all of these start at multiples of four elements: vectors, and single elements at the
// ends of a chunk, which may begin and end anywhere.
// Block 256, threads striding through the chunk; grid chunks.
// Source: MXNet 1.9, sgd_mom_update and adam_update (src/operator/optimizer_op-inl.h); Kingma and Ba 2014.
#include "lib/lanes.cuh"

struct Options {
  i32 clipped, correctBias, factored;
  float weightDecay, rescale, clip, momentum, beta1, beta2, rest1, rest2, epsilon, logBeta1, logBeta2;
};
struct Rates { float lr, wd, rescale; };
struct Arenas {
  Span<const float> grad;
  Span<float> weight, first;
#if ADAM
  Span<float> second;
#endif
};

/** Updates Width elements from `at` on. */
template <i32 Width> DEVICE void updateAt(const Arenas &a, i64 at, const Rates &rates, const Options &o) {
  const Lanes<float, Width> gradient = loadLanes<Width, true>(a.grad, at);
  Lanes<float, Width> weight = loadLanes<Width, true>(a.weight, at), first = loadLanes<Width, true>(a.first, at);
#if ADAM
  Lanes<float, Width> second = loadLanes<Width, true>(a.second, at);
#endif
  UNROLL for (i32 i = 0; i < Width; i++) {
    float g = rates.rescale * gradient[i];
    if (o.clipped != 0) g = g < -o.clip ? -o.clip : g > o.clip ? o.clip : g;
    g = fmaf(rates.wd, weight[i], g);
#if ADAM
    first[i] = fmaf(o.beta1, first[i], o.rest1 * g);
    second[i] = fmaf(o.beta2, second[i], o.rest2 * g * g);
    weight[i] -= rates.lr * first[i] / (sqrtf(second[i]) + o.epsilon);
#else
    first[i] = fmaf(o.momentum, first[i], -(rates.lr * g));
    weight[i] += first[i];
#endif
  }
  storeLanes<Width, true>(a.weight, at, weight);
  storeLanes<Width, true>(a.first, at, first);
#if ADAM
  storeLanes<Width, true>(a.second, at, second);
#endif
}

KERNEL(update, 256)(Span<const float> grad, Span<const i32> chunks, Span<const float> multipliers, Span<const float> learningRate,
                    Span<float> weight, Span<float> first,
#if ADAM
                    Span<float> second, Span<const i32> step,
#endif
                    Options o) {
#if ADAM
  const Arenas arenas{grad, weight, first, second};
#else
  const Arenas arenas{grad, weight, first};
#endif
  const i32 start = chunks[3 * blockIdx.x], end = start + chunks[3 * blockIdx.x + 1], segment = chunks[3 * blockIdx.x + 2];
  const float factor = o.factored != 0 ? learningRate[1] : 1.0f;
  if (factor == 0.0f) return;
  Rates rates{learningRate[0] * multipliers[2 * segment], o.weightDecay * multipliers[2 * segment + 1], o.rescale * factor};
#if ADAM
  if (o.correctBias != 0) {
    // 1 - beta^t without cancellation near 0
    const float t = static_cast<float>(step[0]);
    rates.lr *= sqrtf(-expm1f(o.logBeta2 * t)) / -expm1f(o.logBeta1 * t);
  }
#endif
  const i32 thread = threadIdx.x;
#if WIDTH == 4
  const i32 whole = (start + 3) / 4, last = end / 4 > whole ? end / 4 : whole;
  _Pragma("unroll 2") for (i32 i = whole + thread; i < last; i += 256) updateAt<4>(arenas, static_cast<i64>(i) * 4, rates, o);
  // Up to three elements before and after these: threads 0 to 3 and 4 to 7.
  const i32 element = thread < 4 ? start + thread : 4 * last + thread - 4;
  const i32 limit = thread < 4 && 4 * whole < end ? 4 * whole : end;
  if (thread < 8 && element < limit) updateAt<1>(arenas, element, rates, o);
#else
  for (i32 i = start + thread; i < end; i += 256) updateAt<1>(arenas, i, rates, o);
#endif
}
