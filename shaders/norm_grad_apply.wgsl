// dx = gamma r (dy - (sum dy + h sum dy h) / rows), r = 1 / sqrt(variance + epsilon), h = (x - mean) r; frozen: dx = gamma r dy.
// With relu, dy is the gradient behind the activation and counts only where normalized(x) > 0.
// dx may overwrite dy or x, which then are not bound on their own; OTHERS has loadX and loadDy.
// TEX: inputs are read through textures. T is f32, or vec4f along channels;
// XT, DYT and YT are that or its 16-bit kin, in which x, dy and dx are stored. Workgroup 64, one element or vector a thread; grid
// ceil(rows * channels / 64) folded.

//#include norm_uniforms
//#include normalized
//#input 1 sums ${T} ${TEX}
//#input 2 mean ${T} ${TEX}
//#input 3 variance ${T} ${TEX}
//#input 4 gamma ${T} ${TEX}
//#input 5 beta ${T} ${TEX}
@group(0) @binding(6) var<storage, read_write> dx: array<${YT}>;
${OTHERS}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let row = i / u.channels;
  let c = i - row * u.channels;
  if (row >= u.window) { return; }
  let m = loadMean(u.meanOffset + c);
  let v = loadVariance(u.varianceOffset + c);
  let scale = channelScale(v, loadGamma(u.gammaOffset + c));
  let value = T(loadX(u.xOffset + row * u.xStride + c));
  var g = T(loadDy(u.dyOffset + row * u.dyStride + c));
  g = select(g, T(0.0), (normalized(value, m, scale, loadBeta(u.betaOffset + c)) <= T(0.0)) & Mask(u.relu != 0u));
  let h = (value - m) / sqrt(v + T(u.epsilon));
  let spread = (loadSums(c) + h * loadSums(u.channels + c)) / f32(u.rows);
  dx[u.yOffset + row * u.yStride + c] = ${YT}(scale * (g - select(spread, T(0.0), u.frozen != 0u)));
}
