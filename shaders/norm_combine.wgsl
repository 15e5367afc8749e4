// Mean and biased variance of every channel from those of runs of rows, combined in order:
// of counts a and b with means apart by d, mean += d b / (a + b), deviations += deviations_b + d^2 a b / (a + b).
// T is f32, or vec4f along channels. Workgroup 64, a thread for each channel; grid ceil(channels / 64).
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.

//#include norm_uniforms
@group(0) @binding(1) var<storage, read> partial: array<T>;
@group(0) @binding(2) var<storage, read_write> mean: array<T>;
@group(0) @binding(3) var<storage, read_write> variance: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * 64u + lane;
  if (c >= u.channels) { return; }
  var m = partial[c];
  var deviations = partial[u.channels + c];
  for (var split = 1u; split < u.splits; split++) {
    let a = f32(split * u.run);
    let b = f32(min(u.run, u.rows - split * u.run));
    let d = partial[2u * split * u.channels + c] - m;
    m += d * (b / (a + b));
    deviations += partial[(2u * split + 1u) * u.channels + c] + d * d * (a * b / (a + b));
  }
  mean[u.meanOffset + c] = m;
  variance[u.varianceOffset + c] = deviations / f32(u.rows);
}
