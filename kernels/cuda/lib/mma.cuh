// Products on tensor cores by mma.sync, one a warp, and the loads that put operands where it wants them (PTX ISA, "Warp Level Matrix
// Multiply-Accumulate Instructions"). All lanes of a warp call together. With lane = threadIdx.x % 32, g = lane / 4, t = lane % 4:
//
//   16x8x16, halves: a[0] = A[g][2t, 2t+1], a[1] = A[g+8][2t..], a[2] = A[g][2t+8..], a[3] = A[g+8][2t+8..] (low bits: lower column);
//                    b[0] = B[2t, 2t+1][g], b[1] = B[2t+8..][g]
//   16x8x8, TF32:    a[0] = A[g][t], a[1] = A[g+8][t], a[2] = A[g][t+4], a[3] = A[g+8][t+4]; b[0] = B[t][g], b[1] = B[t+4][g]
//   both:            sum[0, 1] = C[g][2t, 2t+1], sum[2, 3] = C[g+8][2t, 2t+1]
//
// So A is read from rows of k by loadMatrices<4> (row lane % 16, columns 8 (lane / 16)); B from rows of n ("column major") by
// loadMatrices, from rows of k by loadMatricesTransposed.
#pragma once
#include "lib/fovea.cuh"

#ifdef FOVEA_HOST
#include "host/mma.h"
#else

template <class Type> struct HalfProduct;
template <> struct HalfProduct<Bfloat16> {
  static DEVICE void add(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  static DEVICE u32 pair(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
  }
};
template <> struct HalfProduct<Half> {
  static DEVICE void add(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  static DEVICE u32 pair(float low, float high) {
    u32 both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
  }
};

/** sum += A B for 16 x 16 by 16 x 8 of Half or Bfloat16, summed in float. */
template <class Type> DEVICE void multiplyAdd16x8x16(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  HalfProduct<Type>::add(sum, a, b);
}

/** Two floats rounded to nearest even to Half or Bfloat16, `low` in the lower 16 bits. */
template <class Type> DEVICE u32 pairOf(float low, float high) { return HalfProduct<Type>::pair(low, high); }

/** sum += A B for 16 x 8 by 8 x 8 of TF32 (tf32Of), summed in float. */
DEVICE void multiplyAdd16x8x8(float (&sum)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/** A float rounded to TF32's 10 bits of mantissa, to nearest and ties away from zero. */
DEVICE u32 tf32Of(float f) {
  u32 bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(f));
  return bits;
}

template <i32 Count, bool Transposed> struct MatrixLoad;
#define FOVEA_MATRIX_LOAD(transposed, suffix)                                                                           \
  template <> struct MatrixLoad<1, transposed> {                                                                        \
    static DEVICE void of(u32 row, u32 (&m)[1]) {                                                                       \
      asm volatile("ldmatrix.sync.aligned.m8n8.x1" suffix ".shared.b16 {%0}, [%1];" : "=r"(m[0]) : "r"(row) : "memory"); \
    }                                                                                                                   \
  };                                                                                                                    \
  template <> struct MatrixLoad<2, transposed> {                                                                        \
    static DEVICE void of(u32 row, u32 (&m)[2]) {                                                                       \
      asm volatile("ldmatrix.sync.aligned.m8n8.x2" suffix ".shared.b16 {%0, %1}, [%2];"                                 \
                   : "=r"(m[0]), "=r"(m[1]) : "r"(row) : "memory");                                                     \
    }                                                                                                                   \
  };                                                                                                                    \
  template <> struct MatrixLoad<4, transposed> {                                                                        \
    static DEVICE void of(u32 row, u32 (&m)[4]) {                                                                       \
      asm volatile("ldmatrix.sync.aligned.m8n8.x4" suffix ".shared.b16 {%0, %1, %2, %3}, [%4];"                         \
                   : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3]) : "r"(row) : "memory");                             \
    }                                                                                                                   \
  };
FOVEA_MATRIX_LOAD(false, "")
FOVEA_MATRIX_LOAD(true, ".trans")
#undef FOVEA_MATRIX_LOAD

/**
 * Loads Count (1, 2 or 4) matrices of 8 x 8 halves: matrix j's row r begins at element i of lane 8 j + r, aligned to 16 bytes. Lane
 * gets of each its row lane / 4, columns 2 (lane % 4) and the next. Other 16-bit pieces serve too: TF32 is two of them an element.
 */
template <i32 Count, class Type> DEVICE void loadMatrices(const SharedSpan<Type> &panel, i32 i, u32 (&m)[Count]) {
  MatrixLoad<Count, false>::of(static_cast<u32>(__cvta_generic_to_shared(panel.data + i)), m);
}

/** The same, each matrix transposed: lane gets column lane / 4, rows 2 (lane % 4) and the next. */
template <i32 Count, class Type> DEVICE void loadMatricesTransposed(const SharedSpan<Type> &panel, i32 i, u32 (&m)[Count]) {
  MatrixLoad<Count, true>::of(static_cast<u32>(__cvta_generic_to_shared(panel.data + i)), m);
}

#endif
