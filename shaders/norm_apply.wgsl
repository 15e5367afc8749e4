// y = act((x - mean) * gamma / sqrt(variance + epsilon) + beta), gamma 1 where fixed. IN_PLACE: y overwrites x.
// T is f32, or vec4f along channels;
// XT and YT are that or its 16-bit kin, in which x and y are stored. Workgroup 64, one element or vector a thread; grid ceil(rows * channels / 64) folded.
// Source: Ioffe and Szegedy 2015, "Batch normalization"; MXNet's BatchNorm for fixGamma.

//#include norm_uniforms
//#include normalized
@group(0) @binding(1) var<storage, read> mean: array<T>;
@group(0) @binding(2) var<storage, read> variance: array<T>;
@group(0) @binding(3) var<storage, read> gamma: array<T>;
@group(0) @binding(4) var<storage, read> beta: array<T>;
//#if ${IN_PLACE}
@group(0) @binding(5) var<storage, read_write> y: array<${YT}>;
//#else
@group(0) @binding(5) var<storage, read> x: array<${XT}>;
@group(0) @binding(6) var<storage, read_write> y: array<${YT}>;
//#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let row = i / u.channels;
  let c = i - row * u.channels;
  if (row >= u.rows) { return; }
  //#if ${IN_PLACE}
  let value = T(y[u.yOffset + row * u.yStride + c]);
  //#else
  let value = T(x[u.xOffset + row * u.xStride + c]);
  //#end
  let v = normalized(value, mean[u.meanOffset + c], channelScale(variance[u.varianceOffset + c], gamma[u.gammaOffset + c]),
                     beta[u.betaOffset + c]);
  y[u.yOffset + row * u.yStride + c] = ${YT}(select(v, max(v, T(0.0)), u.relu != 0u));
}
