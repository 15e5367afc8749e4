// Where the elements of a panel come from in global memory. A source tells for the thread's i-th vector of a turn whether it is there,
// else it is zero, and its index; where one is there, `channel` is the one that all vectors of a turn begin at, and `pixel` the row of memory that the
// i-th lies in; `next` goes on to the following vector, `turn` to the next STEPS terms of the sum. Whatever needs a division is computed once, before
// the loop: taps, channels and pixels advance by additions and carries.
#pragma once
#include "lib/panel.cuh"
#include "lib/walk.cuh"

/** Panel by rows of a matrix [rows][stride] that begins at `start`, terms `first` to `last`. */
template <class P> struct MatrixRows {
  i64 base[P::loads];
  i32 step, end, row;

  DEVICE MatrixRows(i32 firstRow, i32 rows, i32 first, i32 last, i32 stride, i64 start) : step(first + P::part()), end(last), row(firstRow) {
    UNROLL for (i32 i = 0; i < P::loads; i++) {
      const i32 r = row + P::line(i);
      base[i] = r < rows ? start + static_cast<i64>(r) * stride : -1;
    }
  }
  DEVICE bool locate(i32 i, i64 &at) const {
    at = base[i] + step;
    return base[i] >= 0 && step < end;
  }
  DEVICE i32 channel() const { return step; }
  DEVICE i32 pixel(i32 i) const { return row + P::line(i); }
  DEVICE void next() {}
  DEVICE void turn() { step += STEPS; }
};

/** Panel by steps of a matrix [steps][stride], that begins at `start`, of `columns` that are there, steps `first` to `last`. */
template <class P> struct MatrixSteps {
  i64 at;
  i32 step, end, ahead, first;

  DEVICE MatrixSteps(i32 column, i32 columns, i32 first, i32 last, i32 stride, i64 start)
      : at(start + static_cast<i64>(first + P::line(0)) * stride + column + P::part()), step(first + P::line(0)),
        end(column + P::part() < columns ? last : 0), ahead(P::atOnce * stride), first(column + P::part()) {}
  DEVICE bool locate(i32, i64 &where) const {
    where = at;
    return step < end;
  }
  DEVICE i32 channel() const { return first; }
  DEVICE i32 pixel(i32) const { return step; }
  DEVICE void next() {
    step += P::atOnce;
    at += ahead;
  }
  DEVICE void turn() {}
};

/** An image batch [images][height][width][stride] as windows of it are summed over taps and channels. */
struct Windows {
  /** Rows and columns from one tap to the next, which may be negative; taps and channels. */
  i32 height, width, stride, down, right, tapRows, tapColumns, channels;
};

/** No place in any image, whatever tap is added to it. */
#define NOWHERE (-(1 << 30))

/** Panel by rows: row = a window, whose first tap `window(row, image, top, left)` tells, terms = its taps and their channels. */
template <class P> struct WindowRows {
  /** Pixels of memory, as is `offset`. */
  i32 base[P::loads];
  i32 top[P::loads], left[P::loads];
  Windows w;
  Walk walk;
  i32 y, x, offset;

  template <class Place> DEVICE WindowRows(const Windows &windows, const Place &window)
      : w(windows), walk(P::part(), STEPS, windows.channels, windows.tapColumns > 0 ? windows.tapColumns : 1) {
    UNROLL for (i32 i = 0; i < P::loads; i++) {
      i32 image = 0;
      top[i] = NOWHERE;
      left[i] = 0;
      window(P::line(i), image, top[i], left[i]);
      base[i] = top[i] == NOWHERE ? 0 : (image * w.height + top[i]) * w.width + left[i];
    }
    find();
  }
  DEVICE bool locate(i32 i, i64 &at) const {
    at = static_cast<i64>(pixel(i)) * w.stride + walk.low;
    return static_cast<u32>(top[i] + y) < static_cast<u32>(w.height) && static_cast<u32>(left[i] + x) < static_cast<u32>(w.width);
  }
  DEVICE i32 channel() const { return walk.low; }
  DEVICE i32 pixel(i32 i) const { return base[i] + offset; }
  DEVICE void next() {}
  DEVICE void turn() {
    walk.advance();
    find();
  }
  /** Terms behind the last tap lie nowhere. */
  DEVICE bool inSum() const { return walk.high < w.tapRows; }

private:
  DEVICE void find() {
    y = walk.high * w.down;
    x = walk.mid * w.right;
    offset = y * w.width + x;
    if (!inSum()) y = NOWHERE;
  }
};

/** Panel by rows of filters [filters][tapRows][tapColumns][stride], whose terms are those of the windows of a panel filled alike. */
template <class P, class Other> struct FilterRows {
  i64 base[P::loads];
  i32 stride;
  const WindowRows<Other> &windows;

  DEVICE FilterRows(i32 filter, i32 filters, i32 rowStride, const WindowRows<Other> &sameTerms) : stride(rowStride), windows(sameTerms) {
    static_assert(P::parts == Other::parts && P::width == Other::width, "terms are walked once for both panels");
    UNROLL for (i32 i = 0; i < P::loads; i++) {
      const i32 k = filter + P::line(i);
      base[i] = k < filters ? static_cast<i64>(k) * windows.w.tapRows * windows.w.tapColumns * stride : -1;
    }
  }
  DEVICE bool locate(i32 i, i64 &at) const {
    const Walk &walk = windows.walk;
    at = base[i] + (walk.high * windows.w.tapColumns + walk.mid) * stride + walk.low;
    return base[i] >= 0 && windows.inSum();
  }
  DEVICE void next() {}
  DEVICE void turn() {}
};

/** Some of a filter's taps, evenly apart: the first, the distance to the next in elements of a filter, how many. */
struct Taps { i32 first, down, right, rows, columns; };

/** Panel by steps of filters [filters][filterSize]: step = a tap and a filter, column = a channel. */
template <class P> struct FilterSteps {
  Walk walk;
  Taps taps;
  i32 filterSize, column;
  bool there;

  DEVICE FilterSteps(i32 channel, i32 channels, i32 filters, i32 size, const Taps &some)
      : walk(P::line(0), P::atOnce, filters, some.columns > 0 ? some.columns : 1), taps(some), filterSize(size),
        column(channel + P::part() + some.first), there(channel + P::part() < channels) {}
  DEVICE bool locate(i32, i64 &at) const {
    at = static_cast<i64>(walk.low) * filterSize + (walk.high * taps.down + walk.mid * taps.right + column);
    return there && walk.high < taps.rows;
  }
  DEVICE void next() { walk.advance(); }
  DEVICE void turn() {}
};

/** Panel by steps: step = a pixel of the output, from `first` to `last`, column = the element of its window that one tap and channel sees. */
template <class P> struct WindowSteps {
  Walk walk;
  i32 height, width, stride, strideH, strideW, step, end, y, x, seen;

  /** `window` sees a column's tap: rows and columns from the window's first place, negative in the padding. */
  DEVICE WindowSteps(i32 first, i32 last, i32 outH, i32 outW, i32 h, i32 w, i32 rowStride, i32 sh, i32 sw)
      : walk(first + P::line(0), P::atOnce, outW, outH), height(h), width(w), stride(rowStride), strideH(sh), strideW(sw),
        step(first + P::line(0)), end(last), y(NOWHERE), x(0), seen(0) {}
  DEVICE void see(i32 tapY, i32 tapX, i32 c) {
    y = tapY;
    x = tapX;
    seen = c;
  }
  DEVICE bool locate(i32, i64 &at) const {
    const i32 row = walk.mid * strideH + y, column = walk.low * strideW + x;
    at = ((static_cast<i64>(walk.high) * height + row) * width + column) * stride + seen;
    return step < end && static_cast<u32>(row) < static_cast<u32>(height) && static_cast<u32>(column) < static_cast<u32>(width);
  }
  DEVICE i32 channel() const { return seen; }
  DEVICE void next() {
    walk.advance();
    step += P::atOnce;
  }
  DEVICE void turn() {}
};
