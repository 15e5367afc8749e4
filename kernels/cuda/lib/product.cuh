// The loop over a sum: panels are brought from memory while those before them are multiplied.
//
// ASYNC 0: STAGES is 2; the vectors of the next panels wait in registers, and are stored while others still read the panels before:
// one barrier a turn. ASYNC 1: STAGES - 1 panels of each operand are on their way by cp.async, which passes the registers by: for panels of the
// type that is in memory, and 4 bytes or more at a time.
// Source: double buffering and multi-stage pipelines as in CUTLASS (mma_pipelined.h, mma_multistage.h).
#pragma once
#include "lib/prologue.cuh"
#include "lib/sources.cuh"
#if MATH == 0
#include "lib/tile_fma.cuh"
#else
#include "lib/tile_mma.cuh"
#endif
#if ASYNC
#include "lib/async_copy.cuh"
#endif

/** A thread's vectors of the second operand that an operand is worked on with, if there is one. */
template <class P, class Type, bool> struct Beside {};
template <class P, class Type> struct Beside<P, Type, true> { Vector<Type, P::width> v[P::loads]; };

/** A thread's vectors of one panel, on their way through registers, and what is done to them there. */
template <class P, class Type, class By> struct Staged {
  Vector<Type, P::width> v[P::loads];
  Beside<P, Type, By::beside> beside;
  /** The channel that all of them begin at, and a bit for each that is there. */
  i32 channel;
  u32 there;

  template <class Source> DEVICE void load(const Span<const Type> &from, Source &source, const By &by) {
    if constexpr (By::byChannel) {
      static_assert(P::loads <= 32, "a bit for each vector");
      channel = source.channel();
      there = 0;
    }
    UNROLL for (i32 i = 0; i < P::loads; i++) {
      i64 at;
      const bool inside = source.locate(i, at);
      if (inside) v[i] = from.template load<Vector<Type, P::width>>(at);
      else v[i] = Vector<Type, P::width>{};
      if constexpr (By::byChannel) there |= inside ? 1u << i : 0u;
      if constexpr (By::beside) {
        const i64 besideAt = static_cast<i64>(source.pixel(i)) * by.stride + channel;
        if (inside) beside.v[i] = by.normed.template load<Vector<Type, P::width>>(besideAt);
      }
      source.next();
    }
  }
  DEVICE void pass(const By &by) {
    if constexpr (By::byChannel) {
      // Where none is there, the channel need not be.
      if (there == 0) return;
      UNROLL for (i32 e = 0; e < P::width; e++) {
        const typename By::Channel c(by, channel + e);
        UNROLL for (i32 i = 0; i < P::loads; i++) {
          if ((there >> i & 1u) == 0) continue;
          if constexpr (By::beside) v[i].v[e] = c.of(v[i].v[e], beside.v[i].v[e]);
          else v[i].v[e] = c.of(v[i].v[e]);
        }
      }
    }
  }
  DEVICE void store(const SharedSpan<typename P::Element> &panel, i32 panelAt) const {
    UNROLL for (i32 i = 0; i < P::loads; i++) {
      Vector<typename P::Element, P::width> whole;
      UNROLL for (i32 e = 0; e < P::width; e++) whole.v[e] = inPanel(v[i].v[e]);
      if constexpr (P::apart == 1) {
        panel.store(panelAt + P::place(i), whole);
      } else {
        UNROLL for (i32 e = 0; e < P::width; e++) panel[panelAt + P::place(i) + e * P::apart] = whole.v[e];
      }
    }
  }

private:
  static DEVICE typename P::Element inPanel(Type value) {
#if MATH == 2
    return value;
#else
    return toFloat(value);
#endif
  }
};

#if ASYNC
template <class P, class Type, class Source>
DEVICE void copyPanel(const SharedSpan<Type> &panel, i32 panelAt, const Span<const Type> &from, Source &source) {
  UNROLL for (i32 i = 0; i < P::loads; i++) {
    static_assert(P::width == 1 || P::apart == 1, "what changes its order is copied by elements");
    i64 at;
    const bool inside = source.locate(i, at);
    constexpr i32 bytes = P::width * static_cast<i32>(sizeof(Type));
    // Also where nothing is read the address has to be aligned.
    copyAsync<bytes>(panel, panelAt + P::place(i), from, inside ? at : 0, inside ? bytes : 0);
    source.next();
  }
}
#endif

/**
 * Adds `turns` times STEPS terms to a tile. `panels` has room for STAGES panels of both operands, and is free again on return. With ASYNC
 * operands are taken as they are stored.
 */
template <class Left, class Right, class LeftType, class RightType, class LeftSource, class RightSource, class LeftBy = AsStored,
          class RightBy = AsStored>
DEVICE void addProducts(Tile<Left, Right> &tile, const SharedSpan<typename Left::Element> &panels, i32 turns,
                        const Span<const LeftType> &left, LeftSource &leftSource, const Span<const RightType> &right, RightSource &rightSource,
                        const LeftBy &leftBy = LeftBy(), const RightBy &rightBy = RightBy()) {
  constexpr i32 size = Left::size + Right::size;
#if ASYNC
  UNROLL for (i32 s = 0; s < STAGES - 1; s++) {
    if (s < turns) {
      copyPanel<Left>(panels, s * size, left, leftSource);
      copyPanel<Right>(panels, s * size + Left::size, right, rightSource);
      leftSource.turn();
      rightSource.turn();
    }
    commitCopies();
  }
  i32 stage = 0, free = STAGES - 1;
  for (i32 t = 0; t < turns; t++) {
    waitCopies<STAGES - 2>();
    __syncthreads();
    if (t + STAGES - 1 < turns) {
      copyPanel<Left>(panels, free * size, left, leftSource);
      copyPanel<Right>(panels, free * size + Left::size, right, rightSource);
      leftSource.turn();
      rightSource.turn();
    }
    commitCopies();
    tile.multiply(panels, stage * size, panels, stage * size + Left::size);
    stage = stage + 1 < STAGES ? stage + 1 : 0;
    free = free + 1 < STAGES ? free + 1 : 0;
  }
  waitCopies<0>();
  __syncthreads();
#else
  Staged<Left, LeftType, LeftBy> nextLeft;
  Staged<Right, RightType, RightBy> nextRight;
  if (turns > 0) {
    nextLeft.load(left, leftSource, leftBy);
    nextRight.load(right, rightSource, rightBy);
    leftSource.turn();
    rightSource.turn();
    nextLeft.pass(leftBy);
    nextRight.pass(rightBy);
    nextLeft.store(panels, 0);
    nextRight.store(panels, Left::size);
  }
  __syncthreads();
  i32 stage = 0;
  for (i32 t = 0; t < turns; t++) {
    const bool more = t + 1 < turns;
    if (more) {
      nextLeft.load(left, leftSource, leftBy);
      nextRight.load(right, rightSource, rightBy);
      leftSource.turn();
      rightSource.turn();
    }
    tile.multiply(panels, stage, panels, stage + Left::size);
    stage = size - stage;
    if (more) {
      nextLeft.pass(leftBy);
      nextRight.pass(rightBy);
      nextLeft.store(panels, stage);
      nextRight.store(panels, stage + Left::size);
    }
    __syncthreads();
  }
#endif
}
