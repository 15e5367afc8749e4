// partial[split] = (sum dy, sum dy * h) of every channel over a run of rows, h = (x - mean) / sqrt(variance + epsilon).
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0.
// TEX: inputs are read through textures. T is f32, or vec4f along channels;
// XT and DYT are that or its 16-bit kin, in which x and dy are stored. Workgroup 64, a thread for each channel and run; grid
// ceil(channels * splits / 64) folded.

//#include norm_uniforms
//#include normalized
//#input 1 dy ${DYT} ${TEX}
//#input 2 x ${XT} ${TEX}
//#input 3 mean ${T} ${TEX}
//#input 4 variance ${T} ${TEX}
//#input 5 gamma ${T} ${TEX}
//#input 6 beta ${T} ${TEX}
@group(0) @binding(7) var<storage, read_write> partial: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let part = i / u.channels;
  let c = i - part * u.channels;
  let first = part * u.run;
  if (first >= u.window) { return; }
  let end = min(first + u.run, u.window);
  let m = loadMean(u.meanOffset + c);
  let v = loadVariance(u.varianceOffset + c);
  let scale = channelScale(v, loadGamma(u.gammaOffset + c));
  let b = loadBeta(u.betaOffset + c);
  var p = u.xOffset + first * u.xStride + c;
  var q = u.dyOffset + first * u.dyStride + c;
  var sum = T(0.0);
  var product = T(0.0);
  for (var row = first; row < end; row++) {
    var g = T(loadDy(q));
    let value = T(loadX(p));
    g = select(g, T(0.0), (normalized(value, m, scale, b) <= T(0.0)) & Mask(u.relu != 0u));
    sum += g;
    product += g * (value - m);
    p += u.xStride;
    q += u.dyStride;
  }
  let split = u.firstSplit + part;
  partial[2u * split * u.channels + c] = sum;
  partial[(2u * split + 1u) * u.channels + c] = product / sqrt(v + T(u.epsilon));
}
