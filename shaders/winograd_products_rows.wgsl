// out[e][i][j] = sum over d of rows[e][i][d] * columns[e][j][d], plus what is there with `accumulate`: the products of minimal filtering,
// one plane e for each place of the square. d is contiguous, in steps of four.
// For adapters that compute on the CPU; see conv2d_forward_rows.wgsl. A workgroup is 8 threads along rows; a thread computes ${TM} rows x
// ${NV} * 4 columns, taking four terms a step: (${TM} + 4 * ${NV}) vector loads feed ${TM} * ${NV} * 16 multiply-adds.
// Grid: ceil(rows / (8 * ${TM})), ceil(columns / (4 * ${NV})), planes.
// Source: batched GEMM as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, without staging.

//#include winograd_products_uniforms
//#include texel
@group(0) @binding(1) var rows: texture_2d<f32>;
@group(0) @binding(2) var columns: texture_2d<f32>;
fn loadRow(i: u32) -> vec4f { return textureLoad(rows, texel(i), 0); }
fn loadColumn(i: u32) -> vec4f { return textureLoad(columns, texel(i), 0); }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * (8u * ${TM}u) + lane;
  let j0 = group.y * (4u * ${NV}u);
  //#for i ${TM}
  let p$i = group.z * u.rowsPlane + min(first + 8u * $iu, u.rows - 1u) * u.itemStep;
  //#for j ${NV}
  var a$i_$j = vec4f();
  //#end
  //#end
  //#for j ${NV}
  //#for q 4
  let q$j$q = group.z * u.columnsPlane + min(j0 + $ju * 4u + $qu, u.columns - 1u) * u.itemStep;
  //#end
  //#end
  for (var d = 0u; d < u.depth; d++) {
    //#for i ${TM}
    let x$i = loadRow(p$i + d);
    //#end
    //#for j ${NV}
    {
      let m = mat4x4f(loadColumn(q$j0 + d), loadColumn(q$j1 + d), loadColumn(q$j2 + d), loadColumn(q$j3 + d));
      //#for i ${TM}
      a$i_$j += x$i * m;
      //#end
    }
    //#end
  }
  let accumulate = u.accumulate != 0u;
  //#for i ${TM}
  if (first + 8u * $iu < u.rows) {
    let to = group.z * u.plane + (first + 8u * $iu) * u.rowStep;
    //#for j ${NV}
    //#for q 4
    if (j0 + $ju * 4u + $qu < u.columns) {
      let at = to + (j0 + $ju * 4u + $qu) * u.columnStep;
      if (accumulate) { out[at] += a$i_$j[$q]; } else { out[at] = a$i_$j[$q]; }
    }
    //#end
    //#end
  }
  //#end
}
