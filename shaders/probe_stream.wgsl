// Streams over arrays that no cache holds, for the roofline of the benchmark. READ sums what lies in `source`, WRITE fills `sink`, both
// together copy. A workgroup of 64 has 64 x 16 vectors of 4 that lie together; grid vectors / 1024.
struct Uniforms { vectors: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sink: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = (group.y * groups.x + group.x) * 1024u + lane;
  var sum = vec4f(f32(lane));
  for (var i = start; i < min(start + 1024u, u.vectors); i += 64u) {
//#if ${READ}
    let v = source[i];
//#else
    let v = sum;
//#end
//#if ${WRITE}
    sink[i] = v;
//#else
    sum += v;
//#end
  }
//#if ${WRITE}
//#else
  sink[(group.x & 255u) * 64u + lane] = sum;
//#end
}
