// A block's results, added up by matrix units of a warp, 16 x 8 at a time: MATH 1 rounds float operands to TF32, MATH 2 multiplies Half or
// Bfloat16; sums are float. DOWN x ACROSS warps have ROWS / DOWN x COLUMNS / ACROSS results each. Operands are read from panels in either
// order: by rows of the result, or by steps, transposed on the way (ldmatrix.trans; TF32, of four bytes, element by element).
// Source: warp tiles of mma.sync as in CUTLASS (mma_tensor_op); PTX ISA for how lanes hold operands (lib/mma.cuh).
#pragma once
#include "lib/mma.cuh"
#include "lib/panel.cuh"

/** Fragments of 16 rows and of 8 columns that a warp has. */
#define MF (ROWS / DOWN / 16)
#define NF (COLUMNS / ACROSS / 8)

template <class Left, class Right> struct Tile : AllThreads {
  static constexpr i32 rows = 2 * MF, columns = 2 * NF;
  static constexpr i32 run = 2, sharers = 8 * DOWN;
  static_assert(NF % 2 == 0, "right operands are loaded for two fragments at once");
  typedef typename Left::Element Element;
  float sum[MF][NF][4];
  /** Where the warp's results begin, and the lane's place among the 8 x 4 of a fragment. */
  i32 down, across, g, t;

  DEVICE Tile() {
    const i32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    down = warp / ACROSS * (ROWS / DOWN);
    across = warp % ACROSS * (COLUMNS / ACROSS);
    g = lane / 4;
    t = lane % 4;
    UNROLL for (i32 i = 0; i < MF; i++) {
      UNROLL for (i32 j = 0; j < NF; j++) {
        UNROLL for (i32 e = 0; e < 4; e++) sum[i][j][e] = 0.0f;
      }
    }
  }
  DEVICE i32 row(i32 i) const { return down + i / 2 * 16 + i % 2 * 8 + g; }
  DEVICE i32 column(i32 j) const { return across + j / 2 * 8 + 2 * t + j % 2; }
  DEVICE i32 sharer() const { return down / (ROWS / DOWN) * 8 + g; }
  DEVICE float &at(i32 i, i32 j) { return sum[i / 2][j / 2][i % 2 * 2 + j % 2]; }

#if MATH == 1
  DEVICE void multiply(const SharedSpan<float> &left, i32 leftAt, const SharedSpan<float> &right, i32 rightAt) {
    UNROLL for (i32 k = 0; k < STEPS; k += 8) {
      u32 a[MF][4];
      UNROLL for (i32 i = 0; i < MF; i++) {
        UNROLL for (i32 e = 0; e < 4; e++) a[i][e] = element<Left>(left, leftAt, down + 16 * i + e % 2 * 8 + g, k + e / 2 * 4 + t);
      }
      UNROLL for (i32 j = 0; j < NF; j++) {
        u32 b[2];
        UNROLL for (i32 e = 0; e < 2; e++) b[e] = element<Right>(right, rightAt, across + 8 * j + g, k + 4 * e + t);
        UNROLL for (i32 i = 0; i < MF; i++) multiplyAdd16x8x8(sum[i][j], a[i], b);
      }
    }
  }

private:
  /** The operand of a row (of a column, for the right one) and a step. */
  template <class P> static DEVICE u32 element(const SharedSpan<float> &panel, i32 panelAt, i32 row, i32 step) {
    const float v = panel[panelAt + (P::byRows ? row * P::pitch + step : step * P::pitch + row)];
    return tf32Of(v);
  }
#else
  DEVICE void multiply(const SharedSpan<Element> &left, i32 leftAt, const SharedSpan<Element> &right, i32 rightAt) {
    // Matrices of 8 x 8 are loaded by fours; lane 8 q + r tells where row r of the q-th lies.
    const i32 q = threadIdx.x % 32 / 8, r = threadIdx.x % 8;
    UNROLL for (i32 k = 0; k < STEPS; k += 16) {
      u32 a[MF][4];
      UNROLL for (i32 i = 0; i < MF; i++) load<Left>(left, leftAt, down + 16 * i + q % 2 * 8, k + q / 2 * 8, r, a[i]);
      UNROLL for (i32 j = 0; j < NF; j += 2) {
        u32 b[4];
        load<Right>(right, rightAt, across + 8 * j + q / 2 * 8, k + q % 2 * 8, r, b);
        const u32 first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
        UNROLL for (i32 i = 0; i < MF; i++) {
          multiplyAdd16x8x16<Element>(sum[i][j], a[i], first);
          multiplyAdd16x8x16<Element>(sum[i][j + 1], a[i], second);
        }
      }
    }
  }

private:
  /** Four matrices of rows (columns, of the right operand) from `row` on and steps from `step` on; r is the line that this lane tells. */
  template <class P> static DEVICE void load(const SharedSpan<Element> &panel, i32 panelAt, i32 row, i32 step, i32 r, u32 (&m)[4]) {
    if constexpr (P::byRows) loadMatrices(panel, panelAt + (row + r) * P::pitch + step, m);
    else loadMatricesTransposed(panel, panelAt + (step + r) * P::pitch + row, m);
  }
#endif
};
