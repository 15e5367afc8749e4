// What the adapter can do at most, for the roofline of the benchmark: every thread does `rounds` times 4 times 12 independent
// multiply-adds, 96 FLOP a round, without memory. The result is stored so that no compiler leaves the loop out. Workgroup 64; grid as given.
struct Uniforms { rounds: u32, x: f32, y: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = u.x;
  let y = u.y;
  let start = f32(id.x);
//#for i 12
  var a$i = start + $i.0;
//#end
  for (var n = 0u; n < u.rounds; n++) {
//#for round 4
//#for i 12
    a$i = fma(a$i, x, y);
//#end
//#end
  }
  out[id.x] = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) + ((a8 + a9) + (a10 + a11));
}
