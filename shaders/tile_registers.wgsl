// Each thread adds up ${RM} x 4 * ${NQ} results in registers. The panels are [step][row or column], a row of them padded by 4 so that
// neighbouring steps fall on different banks. Every result is one running sum over the steps in order, so all tile shapes give equal bits
// where compilers contract multiplications and additions alike, which the tuner sees to.
alias Panel = f32;
alias Panel4 = vec4f;
const ACROSS = COLUMNS / (4u * ${NQ}u);
const LEFT_PITCH = ROWS + 4u;
const RIGHT_PITCH = COLUMNS + 4u;
var<workgroup> left: array<f32, LEFT_PITCH * STEPS>;
var<workgroup> right: array<f32, RIGHT_PITCH * STEPS>;

fn leftAt(row: u32, step: u32) -> u32 { return step * LEFT_PITCH + row; }
fn rightAt(column: u32, step: u32) -> u32 { return step * RIGHT_PITCH + column; }

struct Tile {
  //#for i ${RM}
  //#for j ${NQ}
  row$i_$j: vec4f,
  //#end
  //#end
}

fn multiplyPanels(sum: ptr<function, Tile>, tx: u32, ty: u32) {
  //#if ${SHARE}
  // A subgroup of ${SHARE} threads lies within a few rows of threads: each thread loads one value of their rows' and takes the others'
  // from its neighbours, in place of ${RM} loads.
  const THREAD_ROWS = max(1u, ${SHARE}u / ACROSS);
  let firstRow = (ty * ACROSS + tx) / ${SHARE}u * ${SHARE}u / ACROSS;
  let own = firstRow * ${RM}u + min((ty * ACROSS + tx) % ${SHARE}u, THREAD_ROWS * ${RM}u - 1u);
  let neighbour = (ty - firstRow) * ${RM}u;
  //#end
  for (var k = 0u; k < STEPS; k++) {
    let b = k * RIGHT_PITCH + tx * (4u * ${NQ}u);
    //#for j ${NQ}
    let v$j = vec4f(right[b + 4u * $ju], right[b + 4u * $ju + 1u], right[b + 4u * $ju + 2u], right[b + 4u * $ju + 3u]);
    //#end
    //#if ${SHARE}
    let mine = left[k * LEFT_PITCH + own];
    //#else
    let a = k * LEFT_PITCH + ty * ${RM}u;
    //#end
    //#for i ${RM}
    //#if ${SHARE}
    let r$i = subgroupShuffle(mine, neighbour + $iu);
    //#else
    let r$i = left[a + $iu];
    //#end
    //#for j ${NQ}
    (*sum).row$i_$j += r$i * v$j;
    //#end
    //#end
  }
}

// Hands the tile's results to the kernel's put(group, row of the tile, column of the tile, value), which leaves out those that are not there.
fn putTile(sum: ptr<function, Tile>, tx: u32, ty: u32, lane: u32, group: vec3u) {
  let row = ty * ${RM}u;
  let column = tx * (4u * ${NQ}u);
  //#for i ${RM}
  //#for j ${NQ}
  //#for q 4
  put(group, row + $iu, column + 4u * $ju + $qu, (*sum).row$i_$j[$q]);
  //#end
  //#end
  //#end
}
