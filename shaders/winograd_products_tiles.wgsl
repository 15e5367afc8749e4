// out[e][i][j] = sum over d of rows[e][i][d] * columns[e][j][d]: the products of minimal filtering, one plane e for each place of
// the square. d is contiguous, in steps of four.
// For hardware adapters: a workgroup computes ROWS rows x COLUMNS columns of a plane (tile.wgsl), with panels of STEPS terms of the sum
// staged in workgroup memory. Grid: ceil(rows / ROWS), ceil(columns / COLUMNS), planes.
// Source: batched GEMM as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; tiles as conv2d_forward_tiles.wgsl.

//#include winograd_products_uniforms
//#include tile
@group(0) @binding(1) var<storage, read> rows: array<vec4f>;
@group(0) @binding(2) var<storage, read> columns: array<vec4f>;

fn put(group: vec3u, row: u32, column: u32, value: f32) {
  let i = group.x * ROWS + row;
  let j = group.y * COLUMNS + column;
  if (i >= u.rows || j >= u.columns) { return; }
  let at = group.z * u.plane + i * u.rowStep + j * u.columnStep;
  out[at] = value;
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // What this thread loads: four terms of some rows and of some columns.
  //#for l ${LA}
  let item$l = (lane + $lu * THREADS) / PARTS;
  let part$l = (lane + $lu * THREADS) % PARTS;
  let row$l = group.x * ROWS + item$l;
  let fromA$l = group.z * u.rowsPlane + row$l * u.itemStep;
  //#end
  //#for l ${LB}
  let place$l = (lane + $lu * THREADS) / PARTS;
  let term$l = (lane + $lu * THREADS) % PARTS;
  let column$l = group.y * COLUMNS + place$l;
  let fromB$l = group.z * u.columnsPlane + column$l * u.itemStep;
  //#end
  let tx = lane % ACROSS;
  let ty = lane / ACROSS;
  var sum = Tile();
  // A turn past the last step, as in conv2d_forward_tiles.wgsl.
  let turns = (u.depth + PARTS - 1u) / PARTS;
  for (var turn = 0u; turn <= turns; turn++) {
    let d0 = turn * PARTS;
    //#for l ${LA}
    var a$l = vec4f();
    if (row$l < u.rows && d0 + part$l < u.depth) { a$l = rows[fromA$l + d0 + part$l]; }
    //#end
    //#for l ${LB}
    var b$l = vec4f();
    if (column$l < u.columns && d0 + term$l < u.depth) { b$l = columns[fromB$l + d0 + term$l]; }
    //#end
    if (turn > 0u) { multiplyPanels(&sum, tx, ty); }
    workgroupBarrier();
    //#for l ${LA}
    storeLeft(item$l, part$l * 4u, a$l);
    //#end
    //#for l ${LB}
    storeRight(place$l, term$l * 4u, b$l);
    //#end
    workgroupBarrier();
  }
  putTile(&sum, tx, ty, lane, group);
}
