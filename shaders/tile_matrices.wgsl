// Each subgroup, of ${LANES} threads, adds up ${MR} x ${MC} matrices of ${M} x ${N} results by the GPU's matrix units, which take ${K} steps of
// float16 factors at a time and sum in float32. A panel has the order of axes in which its values are loaded, a row of it padded by 8:
// matrices start at multiples of 16 bytes, and neighbouring rows fall on different banks. Matrices take steps in order, each the same
// ones, so all tile shapes give equal bits; but other bits than tile_registers.wgsl.
// Source: tiles of subgroup matrices as in ggml's WebGPU backend (github.com/ggml-org/llama.cpp).
alias Panel = f16;
alias Panel4 = vec4h;
const ACROSS = COLUMNS / (${MC}u * ${N}u);
//#if ${LEFT_BY_ROWS}
const LEFT_PITCH = STEPS + 8u;
var<workgroup> left: array<f16, LEFT_PITCH * ROWS>;
fn leftAt(row: u32, step: u32) -> u32 { return row * LEFT_PITCH + step; }
//#else
const LEFT_PITCH = ROWS + 8u;
var<workgroup> left: array<f16, LEFT_PITCH * STEPS>;
fn leftAt(row: u32, step: u32) -> u32 { return step * LEFT_PITCH + row; }
//#end
// Four values as they were loaded.
fn storeLeft(row: u32, step: u32, v: vec4h) {
  let at = leftAt(row, step);
  //#for q 4
  left[at + $qu] = v[$q];
  //#end
}
//#if ${RIGHT_BY_COLUMNS}
const RIGHT_PITCH = STEPS + 8u;
var<workgroup> right: array<f16, RIGHT_PITCH * COLUMNS>;
fn rightAt(column: u32, step: u32) -> u32 { return column * RIGHT_PITCH + step; }
//#else
const RIGHT_PITCH = COLUMNS + 8u;
var<workgroup> right: array<f16, RIGHT_PITCH * STEPS>;
fn rightAt(column: u32, step: u32) -> u32 { return step * RIGHT_PITCH + column; }
//#end
// Four values as they were loaded.
fn storeRight(column: u32, step: u32, v: vec4h) {
  let at = rightAt(column, step);
  //#for q 4
  right[at + $qu] = v[$q];
  //#end
}
// A matrix of each subgroup at a time, on the way to put().
var<workgroup> results: array<f32, THREADS / ${LANES}u * ${M}u * ${N}u>;

struct Tile {
  //#for i ${MR}
  //#for j ${MC}
  sum$i_$j: subgroup_matrix_result<f32, ${N}, ${M}>,
  //#end
  //#end
}

fn multiplyPanels(sum: ptr<function, Tile>, tx: u32, ty: u32) {
  for (var k = 0u; k < STEPS; k += ${K}u) {
    //#for i ${MR}
    let a$i = leftAt((ty * ${MR}u + $iu) * ${M}u, k);
    //#if ${LEFT_BY_ROWS}
    let l$i = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, row_major>(&left, a$i, LEFT_PITCH);
    //#else
    let l$i = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, col_major>(&left, a$i, LEFT_PITCH);
    //#end
    //#end
    //#for j ${MC}
    let b$j = rightAt((tx * ${MC}u + $ju) * ${N}u, k);
    //#if ${RIGHT_BY_COLUMNS}
    let r$j = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, col_major>(&right, b$j, RIGHT_PITCH);
    //#else
    let r$j = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, row_major>(&right, b$j, RIGHT_PITCH);
    //#end
    //#for i ${MR}
    (*sum).sum$i_$j = subgroupMatrixMultiplyAccumulate(l$i, r$j, (*sum).sum$i_$j);
    //#end
    //#end
  }
}

// Hands the tile's results to the kernel's put(group, row of the tile, column of the tile, value), which leaves out those that are not there.
fn putTile(sum: ptr<function, Tile>, tx: u32, ty: u32, lane: u32, group: vec3u) {
  // Any thread may hand on any result, so it does not matter which threads form a subgroup.
  let slot = lane / ${LANES}u;
  let row = slot / ACROSS * (${MR}u * ${M}u);
  let column = slot % ACROSS * (${MC}u * ${N}u);
  //#for i ${MR}
  //#for j ${MC}
  subgroupMatrixStore<row_major>(&results, (ty * ACROSS + tx) * (${M}u * ${N}u), (*sum).sum$i_$j, ${N}u);
  workgroupBarrier();
  for (var e = lane % ${LANES}u; e < ${M}u * ${N}u; e += ${LANES}u) {
    put(group, row + $iu * ${M}u + e / ${N}u, column + $ju * ${N}u + e % ${N}u, results[slot * (${M}u * ${N}u) + e]);
  }
  workgroupBarrier();
  //#end
  //#end
}
