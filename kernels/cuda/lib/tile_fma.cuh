// A block's results, TM x TN a thread, added up by multiply-adds of float (MATH 0). Every result is one running sum over its terms in
// order, so that all tiles give equal bits. A warp lies 4 threads down and 8 across; a thread's rows and columns come in fours that lie 4 DOWN and
// 4 ACROSS apart, for a warp's loads to fall on different banks.
// Source: register tiles as in siboehm/SGEMM_CUDA (kernel 10) and CUTLASS (SIMT GEMM).
#pragma once
#include "lib/panel.cuh"

#define TM (ROWS / DOWN)
#define TN (COLUMNS / ACROSS)

template <class Left, class Right> struct Tile : AllThreads {
  static constexpr i32 rows = TM, columns = TN;
  /** Neighbouring results that a thread has in one row, and threads that have results of one column. */
  static constexpr i32 run = 4, sharers = DOWN;
  float sum[TM][TN];
  i32 tx, ty;

  DEVICE Tile() {
    const i32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    tx = warp % (ACROSS / 8) * 8 + lane % 8;
    ty = warp / (ACROSS / 8) * 4 + lane / 8;
    UNROLL for (i32 i = 0; i < TM; i++) {
      UNROLL for (i32 j = 0; j < TN; j++) sum[i][j] = 0.0f;
    }
  }
  DEVICE i32 row(i32 i) const { return 4 * (ty + i / 4 * DOWN) + i % 4; }
  DEVICE i32 column(i32 j) const { return 4 * (tx + j / 4 * ACROSS) + j % 4; }
  /** Among those that have results of one column, which thread this is. */
  DEVICE i32 sharer() const { return ty; }
  DEVICE float &at(i32 i, i32 j) { return sum[i][j]; }

  DEVICE void multiply(const SharedSpan<float> &left, i32 leftAt, const SharedSpan<float> &right, i32 rightAt) {
    typedef Vector<float, 4> Four;
    // Unrolled further, loads ahead would take registers that a second block needs.
    _Pragma("unroll 2") for (i32 k = 0; k < STEPS; k++) {
      Four l[TM / 4], r[TN / 4];
      UNROLL for (i32 i = 0; i < TM / 4; i++) l[i] = left.template load<Four>(leftAt + k * Left::pitch + row(4 * i));
      UNROLL for (i32 j = 0; j < TN / 4; j++) r[j] = right.template load<Four>(rightAt + k * Right::pitch + column(4 * j));
      UNROLL for (i32 i = 0; i < TM; i++) {
        UNROLL for (i32 j = 0; j < TN; j++) sum[i][j] = fmaf(l[i / 4].v[i % 4], r[j / 4].v[j % 4], sum[i][j]);
      }
    }
  }
};
