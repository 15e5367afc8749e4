// The inner product of a tile of ROWS x COLUMNS results from two panels of STEPS steps in workgroup memory, by THREADS threads. Its results
// belong to threads (TILE is tile_registers) or, with MATRIX, to subgroups (tile_matrices): ACROSS such owners lie along columns.
const ROWS = ${ROWS}u;
const COLUMNS = ${COLUMNS}u;
const STEPS = ${STEPS}u;
const THREADS = ${THREADS}u;
// Vectors of four steps, of four rows, of four columns.
const PARTS = STEPS / 4u;
const ROW_VECTORS = ROWS / 4u;
const COLUMN_VECTORS = COLUMNS / 4u;
//#include ${TILE}
