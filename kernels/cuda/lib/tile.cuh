// Tiles of ROWS x COLUMNS results, of which a product has many: where they lie, and how elements move.
#pragma once
#include "lib/fovea.cuh"

/** Elements that move at once. */
template <class Type, i32 Width> struct alignas(Width * sizeof(Type)) Vector { Type v[Width]; };

/** Where the index-th tile lies: tiles that follow each other go eight down, then to the next across, so that blocks share operands in L2. */
struct TilePlace { i32 row, column; };

DEVICE i32 tileCount(i32 rows, i32 columns) { return ((rows + ROWS - 1) / ROWS) * ((columns + COLUMNS - 1) / COLUMNS); }

DEVICE TilePlace tilePlace(i32 index, i32 rows, i32 columns) {
  const i32 down = (rows + ROWS - 1) / ROWS, across = (columns + COLUMNS - 1) / COLUMNS;
  const i32 band = index / (8 * across), rest = index - band * 8 * across;
  const i32 height = down - 8 * band < 8 ? down - 8 * band : 8;
  return TilePlace{(8 * band + rest % height) * ROWS, rest / height * COLUMNS};
}
