// out = left * right, once for each of the workgroup's subgroups, with left [K][M] in workgroup memory and right [K][N]: what
// tile_matrices.wgsl needs of matrix units. out[subgroup] is [M][N], from values that are exact in float16.
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
var<workgroup> left: array<f16, ${K}u * ${M}u>;
var<workgroup> right: array<f16, ${K}u * ${N}u>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  for (var i = lane; i < ${K}u * ${M}u; i += ${THREADS}u) { left[i] = f16(i % 7u) - 3.0h; }
  for (var i = lane; i < ${K}u * ${N}u; i += ${THREADS}u) { right[i] = f16(i % 5u) - 2.0h; }
  workgroupBarrier();
  let l = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, col_major>(&left, 0u, ${M}u);
  let r = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, row_major>(&right, 0u, ${N}u);
  var sum = subgroup_matrix_result<f32, ${N}, ${M}>();
  sum = subgroupMatrixMultiplyAccumulate(l, r, sum);
  sum = subgroupMatrixMultiplyAccumulate(l, r, sum);
  subgroupMatrixStore<row_major>(&out, subgroup * (${M}u * ${N}u), sum, ${N}u);
}
