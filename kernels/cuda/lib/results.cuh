// What becomes of a tile's results: bias, with NORM normalization, ReLU, the storage type, and with STATS the statistics of the tile's rows.
#pragma once
#if NORM
#include "lib/prologue.cuh"
#endif
#include "lib/tile.cuh"

/** What a column's sums become. With NORM they are normalized, as floats, as norm_apply.cu does it. */
struct Column {
  float bias;
#if NORM
  Normalizing::Channel norm;
  DEVICE float of(float sum, i32) const { return norm.of(sum + bias); }
#else
  DEVICE float of(float sum, i32 relu) const {
    const float v = sum + bias;
    return relu != 0 && v < 0.0f ? 0.0f : v;
  }
#endif
};

/** A bias for each column, where there is one; with NORM `constants` of `columns` (norm_constants.cu); ReLU where asked for. */
struct Epilogue {
  Span<const float> bias, constants;
  i32 columns, hasBias, relu;

  DEVICE Column of(i32 k) const {
    const float shift = hasBias != 0 ? static_cast<float>(bias[k]) : 0.0f;
#if NORM
    return Column{shift, Normalizing::Channel(Normalizing{constants, columns, relu}, k)};
#else
    return Column{shift};
#endif
  }
};

/** Sums stay as they are. */
struct AsSummed {
  static constexpr i32 relu = 0;
  DEVICE Column of(i32) const { return Column{0.0f}; }
};

/** Stores neighbours of a row that begins at `at`, those from column k on that are there; at once where ALIGNED. */
template <class Type, i32 Run> DEVICE void storeRun(const Span<Type> &y, i64 at, i32 k, i32 columns, const Vector<Type, Run> &stored) {
#if ALIGNED
  if (k < columns) y.store(at + k, stored);
#else
  UNROLL for (i32 e = 0; e < Run; e++) {
    if (k + e < columns) y[at + k + e] = stored.v[e];
  }
#endif
}

/**
 * Stores what the tile's results become by `after`. `place(row, at)` tells whether a row is there, and where it begins; neighbours are stored at
 * once where ALIGNED. Columns come one run after another, so that no more of their constants than these need registers. With STATS the tile keeps
 * what was stored.
 */
template <class Tile, class Type, class Place, class After = AsSummed>
DEVICE void storeTile(Tile &tile, const Span<Type> &y, i32 column, i32 columns, const Place &place, const After &after = After()) {
  i64 at[Tile::rows];
  bool there[Tile::rows];
  UNROLL for (i32 i = 0; i < Tile::rows; i++) there[i] = place(tile.row(i), at[i]);
  UNROLL for (i32 j = 0; j < Tile::columns; j += Tile::run) {
    Column own[Tile::run];
    UNROLL for (i32 e = 0; e < Tile::run; e++) {
      const i32 k = column + tile.column(j + e);
      own[e] = k < columns ? after.of(k) : Column{};
    }
    UNROLL for (i32 i = 0; i < Tile::rows; i++) {
      if (!there[i]) continue;
      Vector<Type, Tile::run> stored;
      UNROLL for (i32 e = 0; e < Tile::run; e++) {
        stored.v[e] = fromFloat<Type>(own[e].of(tile.at(i, j + e), after.relu));
#if STATS
        tile.at(i, j + e) = toFloat(stored.v[e]);
#endif
      }
      storeRun(y, at[i], column + tile.column(j), columns, stored);
    }
  }
}

/**
 * partial[tile of rows] = (mean[columns], sum of squared deviations[columns]) of the tile's first `count` rows, which norm_combine.cu puts
 * together. Two passes over registers: sums by threads, then over those that share a column, in order. `shared` has room for
 * (sharers + 1) * COLUMNS floats. All threads that have results call this together.
 */
template <class Tile> DEVICE void storeStatistics(Tile &tile, const SharedSpan<float> &shared, const Span<float> &partial, i32 tileRow, i32 count,
                                                  i32 column, i32 columns) {
  constexpr i32 means = Tile::sharers * COLUMNS;
  UNROLL for (i32 pass = 0; pass < 2; pass++) {
    UNROLL for (i32 j = 0; j < Tile::columns; j++) {
      const i32 k = tile.column(j);
      const float mean = pass == 0 ? 0.0f : shared[means + k];
      float sum = 0.0f;
      UNROLL for (i32 i = 0; i < Tile::rows; i++) {
        const float d = tile.at(i, j) - mean;
        if (tile.row(i) < count) sum = pass == 0 ? sum + d : fmaf(d, d, sum);
      }
      shared[tile.sharer() * COLUMNS + k] = sum;
    }
    Tile::sync();
    for (i32 k = Tile::thread(); k < COLUMNS; k += Tile::threads) {
      float sum = 0.0f;
      for (i32 s = 0; s < Tile::sharers; s++) sum += shared[s * COLUMNS + k];
      if (pass == 0) sum /= static_cast<float>(count);
      if (pass == 0) shared[means + k] = sum;
      if (column + k < columns) partial[static_cast<i64>(2 * tileRow + pass) * columns + column + k] = sum;
    }
    Tile::sync();
  }
}
