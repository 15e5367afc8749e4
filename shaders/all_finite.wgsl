// y = 1 where every element of x is finite, else 0. Looked at as bits, since compilers may take it that there are no infinities:
// a float32 is finite where its magnitude's bits are below 0x7f800000, so the largest of them decides. Maxima of integers do not
// depend on their order.
// First partial[group] = the largest over a run of `run` elements; then LAST over the runs, one workgroup.
// Workgroup 64, threads striding through the run; grid: runs, folded into x and y.

struct Uniforms { count: u32, run: u32, xOffset: u32, yOffset: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
//#if ${LAST}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
//#else
@group(0) @binding(2) var<storage, read_write> partial: array<u32>;
//#end
var<workgroup> largest: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let run = group.y * groups.x + group.x;
  let end = min((run + 1u) * u.run, u.count);
  var own = 0u;
  for (var i = run * u.run + lane; i < end; i += 64u) { own = max(own, x[u.xOffset + i] & 0x7fffffffu); }
  largest[lane] = own;
  workgroupBarrier();
  if (lane != 0u || run * u.run >= max(u.count, 1u)) { return; }
  for (var i = 1u; i < 64u; i++) { own = max(own, largest[i]); }
  //#if ${LAST}
  y[u.yOffset] = select(0.0, 1.0, own < 0x7f800000u);
  //#else
  partial[run] = own;
  //#end
}
