// Counter-based random numbers: block b of sample n is Philox4x32-10(counter = [b, ids[n], step, 0], key = [seed, key]); element e of a
// sample takes lane e & 3 of block e >> 2. With uniform = (word >> 8) * 2^-24:
//   KIND 0: uniform   1: normal, lanes (0,1) and (2,3): sqrt(-2 log(uniform(a) + 2^-24)) * cos or sin(2 pi uniform(b))
//   KIND 2: 1 where uniform < probability, else 0
//   KIND 3: y = x * scale where uniform >= probability, else 0 (dropout); x may be y itself
// Block 256, four elements a thread, in one access with WIDTH 4; grid ceil(samples * blocks / 256).
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011; Box and Muller 1958.
#include "lib/lanes.cuh"

DEVICE u32 multiplyHigh(u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b >> 32); }

struct Words { u32 v[4]; };

DEVICE Words blockOf(u32 c0, u32 c1, u32 c2, u32 k0, u32 k1) {
  u32 c3 = 0;
  UNROLL for (i32 round = 0; round < 10; round++) {
    const u32 high0 = multiplyHigh(0xd2511f53u, c0), low0 = 0xd2511f53u * c0;
    const u32 high1 = multiplyHigh(0xcd9e8d57u, c2), low1 = 0xcd9e8d57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return Words{{c0, c1, c2, c3}};
}

KERNEL(philox, 256)(Span<const i32> seed, Span<const i32> step, Span<const i32> ids,
#if KIND == 3
                    Span<const float> x, i32 xStride,
#endif
                    Span<float> y, i32 threads, i32 blocks, i32 perSample, i32 channels, i32 yStride, i32 key, float probability, float scale) {
  const i32 thread = blockIdx.x * 256 + threadIdx.x;
  if (thread >= threads) return;
  const i32 sample = thread / blocks, block = thread - sample * blocks;
  const Words words = blockOf(block, ids[sample], step[0], seed[0], key);
  Lanes<float, 4> uniforms;
  UNROLL for (i32 i = 0; i < 4; i++) uniforms[i] = static_cast<float>(words.v[i] >> 8) * 5.9604644775390625e-8f;
  Lanes<float, 4> values = uniforms;
#if KIND == 1
  UNROLL for (i32 i = 0; i < 4; i += 2) {
    const float r = sqrtf(-2.0f * logf(uniforms[i] + 5.9604644775390625e-8f)), angle = uniforms[i + 1] * 6.2831853071795864769f;
    values[i] = r * cosf(angle);
    values[i + 1] = r * sinf(angle);
  }
#elif KIND == 2
  UNROLL for (i32 i = 0; i < 4; i++) values[i] = uniforms[i] < probability ? 1.0f : 0.0f;
#endif
  const i32 first = block * 4;
#if WIDTH == 4
  const i32 e = sample * perSample + first, row = e / channels, c = e - row * channels;
#if KIND == 3
  values = loadLanes<4, true>(x, static_cast<i64>(row) * xStride + c);
  UNROLL for (i32 i = 0; i < 4; i++) values[i] = uniforms[i] < probability ? 0.0f : values[i] * scale;
#endif
  storeLanes<4, true>(y, static_cast<i64>(row) * yStride + c, values);
#else
  UNROLL for (i32 i = 0; i < 4; i++) {
    if (first + i >= perSample) break;
    const i32 e = sample * perSample + first + i, row = e / channels, c = e - row * channels;
#if KIND == 3
    values[i] = uniforms[i] < probability ? 0.0f : x[static_cast<i64>(row) * xStride + c] * scale;
#endif
    y[static_cast<i64>(row) * yStride + c] = values[i];
  }
#endif
}
