// y = act((x - mean) * gamma / sqrt(variance + epsilon) + beta), gamma 1 where fixed. IN_PLACE: y overwrites x.
// TEX: inputs are read through textures. T is f32, or vec4f along channels;
// XT and YT are that or its 16-bit kin, in which x and y are stored. Workgroup 64, one element or vector a thread; grid ceil(rows * channels / 64) folded.
// Source: Ioffe and Szegedy 2015, "Batch normalization"; MXNet's BatchNorm for fixGamma.

//#include norm_uniforms
//#include normalized
//#input 1 mean ${T} ${TEX}
//#input 2 variance ${T} ${TEX}
//#input 3 gamma ${T} ${TEX}
//#input 4 beta ${T} ${TEX}
//#if ${IN_PLACE}
@group(0) @binding(5) var<storage, read_write> y: array<${YT}>;
//#else
//#input 5 x ${XT} ${TEX}
@group(0) @binding(6) var<storage, read_write> y: array<${YT}>;
//#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let row = i / u.channels;
  let c = i - row * u.channels;
  if (row >= u.window) { return; }
  //#if ${IN_PLACE}
  let value = T(y[u.yOffset + row * u.yStride + c]);
  //#else
  let value = T(loadX(u.xOffset + row * u.xStride + c));
  //#end
  let v = normalized(value, loadMean(u.meanOffset + c), channelScale(loadVariance(u.varianceOffset + c), loadGamma(u.gammaOffset + c)),
                     loadBeta(u.betaOffset + c));
  y[u.yOffset + row * u.yStride + c] = ${YT}(select(v, max(v, T(0.0)), u.relu != 0u));
}
