// Products of a warpgroup (wgmma) from descriptors of shared memory. A product is computed when it is waited for; until then its sums hold NaN.
#include <algorithm>
#include <cstring>
#include "hopper.h"
#include "halves.h"

namespace fovea {

namespace {

/** Threads of each warpgroup that have come to wait for products. */
int groupArrived[maxThreads / 128];

/**
 * Values of `rows` rows (of the right operand, columns) and 16 terms by a descriptor, in pieces of 16 bytes: eight terms of a row, or one term
 * of eight rows. PTX ISA, "Canonical Layouts", with the 128-byte swizzle, in elements of which 16 bytes have T (8): of rows and terms,
 * K-major ((8,m),(T,2k)):((8T,SBO),(1,T)), MN-major ((T,8,m),(8,k)):((1,T,LBO),(8T,SBO)); "Matrix Descriptor Format" has LBO and SBO.
 */
void readOperand(u64 descriptor, bool byRows, int rows, bool bfloat16, float *values, Place place) {
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) fail(place, "a descriptor of another layout than the 128-byte swizzle without offset");
  const auto offset = [&](int bit) { return static_cast<unsigned>(descriptor >> bit & 0x3fff) << 4; };
  const unsigned start = offset(0), leading = offset(16), stride = offset(32);
  const auto take = [&](unsigned unswizzled, float *to, int apart) {
    const unsigned at = swizzled(unswizzled);
    checkPlace(at, 16, 16, "an operand of a product", place);
    touchBytes(sharedMemory() + at, 16, reading, false, "memory of an operand", place);
    for (int e = 0; e < 8; e++) {
      u16 bits;
      std::memcpy(&bits, sharedMemory() + at + 2 * e, 2);
      to[e * apart] = bfloat16 ? toFloat(Bfloat16{bits}) : toFloat(Half{bits});
    }
  };
  if (byRows) {
    for (int row = 0; row < rows; row++) {
      for (int k = 0; k < 16; k += 8) take(start + row % 8 * 128 + row / 8 * stride + k * 2, values + row * 16 + k, 1);
    }
  } else {
    // Where 64 rows are all, the leading offset says nothing.
    for (int k = 0; k < 16; k++) {
      for (int row = 0; row < rows; row += 8) {
        take(start + row % 64 * 2 + row / 64 * leading + k % 8 * 128 + k / 8 * stride, values + row * 16 + k, 16);
      }
    }
  }
}

/** The first product under way of a warpgroup, whose first thread is `first`, for all of its threads. */
void finish(int first, Place place) {
  const GroupProduct p = running.threads[first].products.front().asked;
  float a[64 * 16], b[128 * 16];
  readOperand(p.left, p.leftRows, 64, p.bfloat16, a, place);
  readOperand(p.right, p.rightRows, 128, p.bfloat16, b, place);
  for (int t = 0; t < 128; t++) {
    Thread &thread = running.threads[first + t];
    const GroupProduct own = thread.products.front().asked;
    if (own.left != p.left || own.right != p.right || own.add != p.add || own.bfloat16 != p.bfloat16 || own.leftRows != p.leftRows ||
        own.rightRows != p.rightRows) {
      fail(place, "threads %d and %d of a warpgroup ask for different products", first, first + t);
    }
    const auto sums = std::find_if(thread.sums.begin(), thread.sums.end(), [&](const SumsUnderWay &s) { return s.at == own.sum; });
    for (int i = 0; i < 64; i++) {
      // PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16": fragments of eight columns, rows of two threads' fours.
      const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
      double all = p.add ? sums->value[i] : 0.0;
      for (int k = 0; k < 16; k++) all += static_cast<double>(a[row * 16 + k]) * b[column * 16 + k];
      sums->value[i] = truncated(all);
    }
    thread.products.erase(thread.products.begin());
    if (--sums->products > 0) continue;
    std::copy_n(sums->value, 64, own.sum);
    thread.sums.erase(sums);
  }
}

}  // namespace

void forgetProducts() { std::fill(std::begin(groupArrived), std::end(groupArrived), 0); }
void beginProducts() { currentThread().productsBegun = true; }
void commitProducts() { currentThread().productGroup++; }

void product(const GroupProduct &asked, Place place) {
  Thread &thread = currentThread();
  if (!thread.productsBegun) fail(place, "a product without wgmma.fence ahead of it");
  auto sums = std::find_if(thread.sums.begin(), thread.sums.end(), [&](const SumsUnderWay &s) { return s.at == asked.sum; });
  if (sums == thread.sums.end()) {
    sums = thread.sums.insert(sums, {asked.sum, {}, 0});
    std::copy_n(asked.sum, 64, sums->value);
    std::fill_n(asked.sum, 64, __builtin_nanf(""));
  }
  sums->products++;
  thread.products.push_back({asked, thread.productGroup});
}

void waitProducts(int pending, Place place) {
  const int group = running.current / 128, first = group * 128;
  if (first + 128 > running.count) fail(place, "wgmma in a warpgroup of less than 128 threads");
  if (++groupArrived[group] < 128) {
    // Found by `groupArrived`; the last to come wakes all.
    currentThread().mine = &groupArrived[group];
    wait("wgmma.wait_group", place);
    return;
  }
  groupArrived[group] = 0;
  while (!running.threads[first].products.empty() && running.threads[first].products.front().group < running.threads[first].productGroup - pending) {
    for (int t = 0; t < 128; t++) {
      if (running.threads[first + t].products.empty()) fail(place, "thread %d has asked for fewer products than thread %d", first + t, first);
    }
    finish(first, place);
  }
  for (int t = 0; t < 128; t++) {
    Thread &thread = running.threads[first + t];
    thread.productsBegun = false;
    thread.mine = nullptr;
    if (first + t != running.current) thread.state = State::ready;
  }
}

}  // namespace fovea
