// How taps, channels and pixels advance in a loop: by additions and carries, so that whatever needs a division is computed once, before it.
#pragma once
#include "lib/fovea.cuh"

/** Three counters that advance together as the digits of one number: high, mid of `mids`, low of `lows`. */
struct Walk {
  i32 low, mid, high, lows, mids, aheadLow, aheadMid, aheadHigh;

  DEVICE Walk(i32 at, i32 ahead, i32 lowCount, i32 midCount) : lows(lowCount), mids(midCount) {
    split(at, low, mid, high);
    split(ahead, aheadLow, aheadMid, aheadHigh);
  }
  DEVICE void advance() {
    low += aheadLow;
    const i32 carry = low >= lows ? 1 : 0;
    low -= carry * lows;
    mid += aheadMid + carry;
    const i32 over = mid >= mids ? 1 : 0;
    mid -= over * mids;
    high += aheadHigh + over;
  }

private:
  DEVICE void split(i32 n, i32 &l, i32 &m, i32 &h) const {
    const i32 upper = n / lows;
    l = n - upper * lows;
    h = upper / mids;
    m = upper - h * mids;
  }
};
