// out[e][i][j] = sum over d of rows[e][i][d] * columns[e][j][d], plus what is there with `accumulate`: the products of minimal filtering,
// one plane e for each place of the square. d is contiguous, in steps of four.
// For hardware adapters: a workgroup of 256 threads computes 64 rows x 64 columns of a plane, 4 x 4 a thread, with panels of 16 terms of
// the sum staged in workgroup memory. Grid: ceil(rows / 64), ceil(columns / 64), planes.
// Source: batched GEMM as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; tiles as conv2d_forward_tiles.wgsl.

//#include winograd_products_uniforms
//#include tile

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // What this thread loads: four terms of one row and of one column.
  let item = lane / 4u;
  let part = lane % 4u;
  let row = group.x * TILE + item;
  let column = group.y * TILE + item;
  let fromA = group.z * u.rowsPlane + row * u.itemStep;
  let fromB = group.z * u.columnsPlane + column * u.itemStep;
  let tx = lane % 16u;
  let ty = lane / 16u;
  var sum = Tile();
  for (var d0 = 0u; d0 < u.depth; d0 += STEPS / 4u) {
    let d = d0 + part;
    var a = vec4f();
    var b = vec4f();
    if (row < u.rows && d < u.depth) { a = rows[fromA + d]; }
    if (column < u.columns && d < u.depth) { b = columns[fromB + d]; }
    workgroupBarrier();
    //#for q 4
    left[(part * 4u + $qu) * PITCH + item] = a[$q];
    right[(part * 4u + $qu) * PITCH + item] = b[$q];
    //#end
    workgroupBarrier();
    multiplyPanels(&sum, tx, ty);
  }
  let accumulate = u.accumulate != 0u;
  let i0 = group.x * TILE + ty * 4u;
  let j0 = group.y * TILE + tx * 4u;
  //#for i 4
  if (i0 + $iu < u.rows) {
    let to = group.z * u.plane + (i0 + $iu) * u.rowStep;
    //#for q 4
    if (j0 + $qu < u.columns) {
      let at = to + (j0 + $qu) * u.columnStep;
      if (accumulate) { out[at] += sum.row$i[$q]; } else { out[at] = sum.row$i[$q]; }
    }
    //#end
  }
  //#end
}
