// z[i] = EXPRESSION(x[i], y[i], c[i]) with every operand addressed by its own strides, so that broadcasting, reversing and cutting are
// this kernel with a plain x for EXPRESSION. The one template: expression, operands and storage types are macros
// (src/ops/cuda/elementwise.ts, src/ops/unary-expressions.ts, src/ops/binary-expressions.ts).
// Axes are joined where all operands allow it and come innermost first, RANK of them; usually one or two are left. WIDTH 4: the innermost
// counts groups of four elements, moved in one access; XSPLAT, YSPLAT, CSPLAT: an operand that is the same along that axis.
// ZT, XT, YT, CT: storage types; OPERANDS of them beside z. z may lie over an operand, since element i of z needs no other of it.
// Block 256, ITEMS elements or vectors a thread, all loads ahead of the first store; grid ceil(total / (256 ITEMS)).
#include "lib/expressions.cuh"
#include "lib/lanes.cuh"

struct Axes {
  i32 length[RANK];
  /** Of z, x, y, c, in elements. */
  i32 stride[OPERANDS + 1][RANK];
  /** First elements of x, y, c. */
  i32 start[OPERANDS];
};
struct Parameters { float v[4]; };

namespace expressions {
typedef Stored<XT>::Computed T;
DEVICE Stored<ZT>::Computed value(T x,
#ifdef YT
                                  Stored<YT>::Computed y,
#endif
#ifdef CT
                                  Stored<CT>::Computed c,
#endif
                                  const Parameters &parameters) {
  PARAMETERS
  return static_cast<Stored<ZT>::Computed>(EXPRESSION);
}
}

template <bool Splat, class Type> DEVICE Lanes<typename Stored<Type>::Computed, WIDTH> operand(const Span<const Type> &x, i64 at) {
  if constexpr (Splat) return spread<WIDTH>(widened(x[at]));
  else return loadLanes<WIDTH, true>(x, at);
}

KERNEL(elementwise, 256)(Span<ZT> z, Span<const XT> x,
#ifdef YT
                         Span<const YT> y,
#endif
#ifdef CT
                         Span<const CT> c,
#endif
                         i32 total, Axes axes, Parameters parameters) {
  const i32 first = blockIdx.x * (256 * ITEMS) + threadIdx.x;
  i64 place[ITEMS];
  Lanes<Stored<XT>::Computed, WIDTH> xs[ITEMS];
#ifdef YT
  Lanes<Stored<YT>::Computed, WIDTH> ys[ITEMS];
#endif
#ifdef CT
  Lanes<Stored<CT>::Computed, WIDTH> cs[ITEMS];
#endif
  UNROLL for (i32 item = 0; item < ITEMS; item++) {
    const i32 i = first + item * 256;
    if (i >= total) break;
    i64 at[OPERANDS + 1];
    at[0] = 0;
    UNROLL for (i32 o = 0; o < OPERANDS; o++) at[o + 1] = axes.start[o];
    u32 rest = i;
    UNROLL for (i32 axis = 0; axis < RANK; axis++) {
      const u32 outer = axis + 1 < RANK ? rest / static_cast<u32>(axes.length[axis]) : 0;
      const i32 k = rest - outer * axes.length[axis];
      UNROLL for (i32 o = 0; o <= OPERANDS; o++) at[o] += static_cast<i64>(k) * axes.stride[o][axis];
      rest = outer;
    }
    place[item] = at[0];
    xs[item] = operand<XSPLAT>(x, at[1]);
#ifdef YT
    ys[item] = operand<YSPLAT>(y, at[2]);
#endif
#ifdef CT
    cs[item] = operand<CSPLAT>(c, at[OPERANDS]);
#endif
  }
  UNROLL for (i32 item = 0; item < ITEMS; item++) {
    if (first + item * 256 >= total) break;
    Lanes<Stored<ZT>::Computed, WIDTH> result;
    UNROLL for (i32 lane = 0; lane < WIDTH; lane++) {
      result[lane] = expressions::value(xs[item][lane],
#ifdef YT
                                        ys[item][lane],
#endif
#ifdef CT
                                        cs[item][lane],
#endif
                                        parameters);
    }
    storeLanes<WIDTH, true>(z, place[item], result);
  }
}
