// partial[split] = (sum dy, sum dy * h) of every channel over a run of rows, h = (x - mean) / sqrt(variance + epsilon).
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0.
// T is f32, or vec4f along channels;
// XT and DYT are that or its 16-bit kin, in which x and dy are stored. Workgroup 64, a thread for each channel and run; grid ceil(channels * splits / 64) folded.

//#include norm_uniforms
//#include normalized
@group(0) @binding(1) var<storage, read> dy: array<${DYT}>;
@group(0) @binding(2) var<storage, read> x: array<${XT}>;
@group(0) @binding(3) var<storage, read> mean: array<T>;
@group(0) @binding(4) var<storage, read> variance: array<T>;
@group(0) @binding(5) var<storage, read> gamma: array<T>;
@group(0) @binding(6) var<storage, read> beta: array<T>;
@group(0) @binding(7) var<storage, read_write> partial: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.channels * u.splits) { return; }
  let split = i / u.channels;
  let c = i - split * u.channels;
  let m = mean[u.meanOffset + c];
  let v = variance[u.varianceOffset + c];
  let scale = channelScale(v, gamma[u.gammaOffset + c]);
  let b = beta[u.betaOffset + c];
  let first = split * u.run;
  let end = min(first + u.run, u.rows);
  var p = u.xOffset + first * u.xStride + c;
  var q = u.dyOffset + first * u.dyStride + c;
  var sum = T(0.0);
  var product = T(0.0);
  for (var row = first; row < end; row++) {
    var g = T(dy[q]);
    let value = T(x[p]);
    g = select(g, T(0.0), (normalized(value, m, scale, b) <= T(0.0)) & Mask(u.relu != 0u));
    sum += g;
    product += g * (value - m);
    p += u.xStride;
    q += u.dyStride;
  }
  partial[2u * split * u.channels + c] = sum;
  partial[(2u * split + 1u) * u.channels + c] = product / sqrt(v + T(u.epsilon));
}
