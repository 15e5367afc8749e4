// Each thread adds up 4 * ${MI} x 4 * ${NQ} results in registers. Panels hold vectors of four values as they were loaded, along the steps
// (LEFT_BY_ROWS, RIGHT_BY_COLUMNS) or along rows or columns, a line of them padded by one vector, so that neighbouring threads' loads fall on
// different banks; for the same reason a thread's columns, or its vectors of four, lie ACROSS apart. Every result is one running sum over
// the steps in order, so all tile shapes give equal bits where compilers contract multiplications and additions alike, which the tuner
// sees to.
alias Panel = f32;
alias Panel4 = vec4f;
const ACROSS = COLUMNS / (4u * ${NQ}u);
const DOWN = ROWS / (4u * ${MI}u);

//#if ${LEFT_BY_ROWS}
const LEFT_PITCH = PARTS + 1u;
var<workgroup> left: array<vec4f, LEFT_PITCH * ROWS>;
fn storeLeft(row: u32, step: u32, v: vec4f) { left[row * LEFT_PITCH + step / 4u] = v; }
// The thread's row 4 i + e, and where the four steps k of it lie.
fn rowOf(ty: u32, i: u32, e: u32) -> u32 { return ty + (4u * i + e) * DOWN; }
fn leftPlace(ty: u32, i: u32, e: u32, k: u32) -> u32 { return rowOf(ty, i, e) * LEFT_PITCH + k; }
//#else
const LEFT_PITCH = ROW_VECTORS + 1u;
var<workgroup> left: array<vec4f, LEFT_PITCH * STEPS>;
fn storeLeft(row: u32, step: u32, v: vec4f) { left[step * LEFT_PITCH + row / 4u] = v; }
// The thread's row 4 i + e, and where step e of the four k lies of rows 4 i to 4 i + 3.
fn rowOf(ty: u32, i: u32, e: u32) -> u32 { return 4u * (ty + i * DOWN) + e; }
fn leftPlace(ty: u32, i: u32, e: u32, k: u32) -> u32 { return (4u * k + e) * LEFT_PITCH + ty + i * DOWN; }
//#end
//#if ${RIGHT_BY_COLUMNS}
const RIGHT_PITCH = PARTS + 1u;
var<workgroup> right: array<vec4f, RIGHT_PITCH * COLUMNS>;
fn storeRight(column: u32, step: u32, v: vec4f) { right[column * RIGHT_PITCH + step / 4u] = v; }
fn columnOf(tx: u32, j: u32, q: u32) -> u32 { return tx + (4u * j + q) * ACROSS; }
fn rightPlace(tx: u32, j: u32, q: u32, k: u32) -> u32 { return columnOf(tx, j, q) * RIGHT_PITCH + k; }
//#else
const RIGHT_PITCH = COLUMN_VECTORS + 1u;
var<workgroup> right: array<vec4f, RIGHT_PITCH * STEPS>;
fn storeRight(column: u32, step: u32, v: vec4f) { right[step * RIGHT_PITCH + column / 4u] = v; }
fn columnOf(tx: u32, j: u32, q: u32) -> u32 { return 4u * (tx + j * ACROSS) + q; }
fn rightPlace(tx: u32, j: u32, q: u32, k: u32) -> u32 { return (4u * k + q) * RIGHT_PITCH + tx + j * ACROSS; }
//#end

struct Tile {
  //#for i ${MI}
  //#for e 4
  //#for j ${NQ}
  row$i_$e_$j: vec4f,
  //#end
  //#end
  //#end
}

fn multiplyPanels(sum: ptr<function, Tile>, tx: u32, ty: u32) {
  //#if ${SHARE}
  // A subgroup of ${SHARE} threads lies within a few rows of threads: each thread loads one vector of their rows' and takes the others'
  // from its neighbours, in place of 4 * ${MI} loads.
  const VECTORS = 4u * ${MI}u;
  const THREAD_ROWS = max(1u, ${SHARE}u / ACROSS);
  let first = (ty * ACROSS + tx) / ${SHARE}u * ${SHARE}u / ACROSS;
  let own = min((ty * ACROSS + tx) % ${SHARE}u, THREAD_ROWS * VECTORS - 1u);
  let neighbour = (ty - first) * VECTORS;
  //#end
  for (var k = 0u; k < PARTS; k++) {
    //#if ${SHARE}
    let mine = left[leftPlace(first + own / VECTORS, own % VECTORS / 4u, own % 4u, k)];
    //#end
    //#for i ${MI}
    //#for e 4
    //#if ${SHARE}
    let l$i_$e = subgroupShuffle(mine, neighbour + 4u * $iu + $eu);
    //#else
    let l$i_$e = left[leftPlace(ty, $iu, $eu, k)];
    //#end
    //#end
    //#end
    //#for j ${NQ}
    //#for q 4
    let r$j_$q = right[rightPlace(tx, $ju, $qu, k)];
    //#end
    //#end
    //#for s 4
    //#for j ${NQ}
    //#if ${RIGHT_BY_COLUMNS}
    let c$s_$j = vec4f(r$j_0[$s], r$j_1[$s], r$j_2[$s], r$j_3[$s]);
    //#else
    let c$s_$j = r$j_$s;
    //#end
    //#for i ${MI}
    //#for e 4
    //#if ${LEFT_BY_ROWS}
    (*sum).row$i_$e_$j += l$i_$e[$s] * c$s_$j;
    //#else
    (*sum).row$i_$e_$j += l$i_$s[$e] * c$s_$j;
    //#end
    //#end
    //#end
    //#end
    //#end
  }
}

// Hands the tile's results to the kernel's put(group, row of the tile, column of the tile, value), which leaves out those that are not there.
fn putTile(sum: ptr<function, Tile>, tx: u32, ty: u32, lane: u32, group: vec3u) {
  //#for i ${MI}
  //#for e 4
  //#for j ${NQ}
  //#for q 4
  put(group, rowOf(ty, $iu, $eu), columnOf(tx, $ju, $qu), (*sum).row$i_$e_$j[$q]);
  //#end
  //#end
  //#end
  //#end
}
