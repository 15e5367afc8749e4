// The one-dimensional transforms of minimal filtering F(4, 3) with points 0, 5/8, -5/8, 3/2, -3/2, infinity, on
// registers; applied to columns and then to rows they give the two-dimensional ones. `line` is none of the arguments.
// Written by tools/winograd.ts: npx tsx tools/winograd.ts --write. Not for editing.
#pragma once

namespace winograd_f4x3 {

// B^T d:
//     225/256        0  -169/64        0  1  0
//           0   -45/32     -9/4      5/8  1  0
//           0    45/32     -9/4     -5/8  1  0
//           0  -75/128   -25/64      3/2  1  0
//           0   75/128   -25/64     -3/2  1  0
//           0  225/256        0  -169/64  0  1
__device__ __forceinline__ void inputLine(const float (&d)[6], float (&line)[6]) {
  line[0] = fmaf(-2.640625f, d[2], fmaf(0.87890625f, d[0], d[4]));
  const float even0 = fmaf(-2.25f, d[2], d[4]);
  const float odd0 = 0.625f * fmaf(-2.25f, d[1], d[3]);
  line[1] = even0 + odd0;
  line[2] = even0 - odd0;
  const float even1 = fmaf(-0.390625f, d[2], d[4]);
  const float odd1 = 1.5f * fmaf(-0.390625f, d[1], d[3]);
  line[3] = even1 + odd1;
  line[4] = even1 - odd1;
  line[5] = fmaf(-2.640625f, d[3], fmaf(0.87890625f, d[1], d[5]));
}

// G g:
//        256/225         0        0
//     -2048/2975  -256/595  -32/119
//     -2048/2975   256/595  -32/119
//       128/1071    64/357   32/119
//       128/1071   -64/357   32/119
//              0         0        1
__device__ __forceinline__ void filterLine(const float (&g)[3], float (&line)[6]) {
  line[0] = 1.1377778f * g[0];
  const float even0 = -0.68840337f * fmaf(0.390625f, g[2], g[0]);
  const float odd0 = -0.4302521f * g[1];
  line[1] = even0 + odd0;
  line[2] = even0 - odd0;
  const float even1 = 0.11951447f * fmaf(2.25f, g[2], g[0]);
  const float odd1 = 0.17927171f * g[1];
  line[3] = even1 + odd1;
  line[4] = even1 - odd1;
  line[5] = g[2];
}

// A^T m:
//     1        1         1     1      1  0
//     0      5/8      -5/8   3/2   -3/2  0
//     0    25/64     25/64   9/4    9/4  0
//     0  125/512  -125/512  27/8  -27/8  1
__device__ __forceinline__ void outputLine(const float (&m)[6], float (&line)[4]) {
  const float sum0 = m[1] + m[2];
  const float difference0 = m[1] - m[2];
  const float sum1 = m[3] + m[4];
  const float difference1 = m[3] - m[4];
  line[0] = (m[0] + sum0) + sum1;
  line[1] = fmaf(1.5f, difference1, 0.625f * difference0);
  line[2] = fmaf(2.25f, sum1, 0.390625f * sum0);
  line[3] = fmaf(3.375f, difference1, fmaf(0.244140625f, difference0, m[5]));
}

// A y:
//     1     0      0         0
//     1   5/8  25/64   125/512
//     1  -5/8  25/64  -125/512
//     1   3/2    9/4      27/8
//     1  -3/2    9/4     -27/8
//     0     0      0         1
__device__ __forceinline__ void outputAdjointLine(const float (&y)[4], float (&line)[6]) {
  line[0] = y[0];
  const float even0 = fmaf(0.390625f, y[2], y[0]);
  const float odd0 = 0.625f * fmaf(0.390625f, y[3], y[1]);
  line[1] = even0 + odd0;
  line[2] = even0 - odd0;
  const float even1 = fmaf(2.25f, y[2], y[0]);
  const float odd1 = 1.5f * fmaf(2.25f, y[3], y[1]);
  line[3] = even1 + odd1;
  line[4] = even1 - odd1;
  line[5] = y[3];
}

// G^T m:
//     256/225  -2048/2975  -2048/2975  128/1071  128/1071  0
//           0    -256/595     256/595    64/357   -64/357  0
//           0     -32/119     -32/119    32/119    32/119  1
__device__ __forceinline__ void filterAdjointLine(const float (&m)[6], float (&line)[3]) {
  const float sum0 = -0.68840337f * (m[1] + m[2]);
  const float difference0 = m[1] - m[2];
  const float sum1 = 0.11951447f * (m[3] + m[4]);
  const float difference1 = m[3] - m[4];
  line[0] = fmaf(1.1377778f, m[0], sum0 + sum1);
  line[1] = fmaf(0.17927171f, difference1, -0.4302521f * difference0);
  line[2] = fmaf(2.25f, sum1, fmaf(0.390625f, sum0, m[5]));
}

}  // namespace winograd_f4x3
