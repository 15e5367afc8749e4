// The one-dimensional transforms of minimal filtering F(2, 3) with points 0, 1, -1, infinity, on
// registers; applied to columns and then to rows they give the two-dimensional ones. `line` is none of the arguments.
// Written by tools/winograd.ts: npx tsx tools/winograd.ts --write. Not for editing.
#pragma once

namespace winograd_f2x3 {

// B^T d:
//     1   0  -1  0
//     0   1   1  0
//     0  -1   1  0
//     0  -1   0  1
__device__ __forceinline__ void inputLine(const float (&d)[4], float (&line)[4]) {
  line[0] = d[0] - d[2];
  line[1] = d[2] + d[1];
  line[2] = d[2] - d[1];
  line[3] = d[3] - d[1];
}

// G g:
//       1     0    0
//     1/2   1/2  1/2
//     1/2  -1/2  1/2
//       0     0    1
__device__ __forceinline__ void filterLine(const float (&g)[3], float (&line)[4]) {
  line[0] = g[0];
  const float even0 = 0.5f * (g[0] + g[2]);
  const float odd0 = 0.5f * g[1];
  line[1] = even0 + odd0;
  line[2] = even0 - odd0;
  line[3] = g[2];
}

// A^T m:
//     1  1   1  0
//     0  1  -1  1
__device__ __forceinline__ void outputLine(const float (&m)[4], float (&line)[2]) {
  const float sum0 = m[1] + m[2];
  const float difference0 = m[1] - m[2];
  line[0] = m[0] + sum0;
  line[1] = difference0 + m[3];
}

// A y:
//     1   0
//     1   1
//     1  -1
//     0   1
__device__ __forceinline__ void outputAdjointLine(const float (&y)[2], float (&line)[4]) {
  line[0] = y[0];
  line[1] = y[0] + y[1];
  line[2] = y[0] - y[1];
  line[3] = y[1];
}

// G^T m:
//     1  1/2   1/2  0
//     0  1/2  -1/2  0
//     0  1/2   1/2  1
__device__ __forceinline__ void filterAdjointLine(const float (&m)[4], float (&line)[3]) {
  const float sum0 = m[1] + m[2];
  const float difference0 = m[1] - m[2];
  line[0] = fmaf(0.5f, sum0, m[0]);
  line[1] = 0.5f * difference0;
  line[2] = fmaf(0.5f, sum0, m[3]);
}

}  // namespace winograd_f2x3
