// The inner product of a tile of ROWS x COLUMNS results from two panels of STEPS steps in workgroup memory: THREADS threads, each
// ${RM} x 4 * ${NQ} results. The panels are [step][row or column], a row of them padded by 4 so that neighbouring steps fall on different
// banks. Every result is one running sum over the steps in order, so all tile shapes give equal bits.
const ROWS = ${ROWS}u;
const COLUMNS = ${COLUMNS}u;
const STEPS = ${STEPS}u;
const THREADS = ${THREADS}u;
// Vectors of four steps, of four columns in a panel's row; threads along columns.
const PARTS = STEPS / 4u;
const ROW_VECTORS = ROWS / 4u;
const COLUMN_VECTORS = COLUMNS / 4u;
const ACROSS = COLUMNS / (4u * ${NQ}u);
const LEFT_PITCH = ROWS + 4u;
const RIGHT_PITCH = COLUMNS + 4u;
var<workgroup> left: array<f32, LEFT_PITCH * STEPS>;
var<workgroup> right: array<f32, RIGHT_PITCH * STEPS>;

struct Tile {
  //#for i ${RM}
  //#for j ${NQ}
  row$i_$j: vec4f,
  //#end
  //#end
}

fn multiplyPanels(sum: ptr<function, Tile>, tx: u32, ty: u32) {
  for (var k = 0u; k < STEPS; k++) {
    let a = k * LEFT_PITCH + ty * ${RM}u;
    let b = k * RIGHT_PITCH + tx * (4u * ${NQ}u);
    //#for j ${NQ}
    let v$j = vec4f(right[b + 4u * $ju], right[b + 4u * $ju + 1u], right[b + 4u * $ju + 2u], right[b + 4u * $ju + 3u]);
    //#end
    //#for i ${RM}
    let r$i = left[a + $iu];
    //#for j ${NQ}
    (*sum).row$i_$j += r$i * v$j;
    //#end
    //#end
  }
}
