// dx[n,h,w,c] = sum over the taps r,s through which a window p,q sees pixel h,w of dy[n,p,q,c] * filter[r,s,c].
// Each element gathers what falls to it, tap by tap, so none is written twice. T is f32, or vec4f along channels;
// YT, WT and XT are that or its 16-bit kin, in which dy, filter and dx are stored.
// Workgroup 64, one element or vector of dx a thread; grid ceil(total / 64) folded into x and y.

//#include depthwise_uniforms
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> weights: array<${WT}>;
@group(0) @binding(3) var<storage, read_write> dx: array<${XT}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let pixel = i / u.channels;
  let c = i - pixel * u.channels;
  let py = (pixel / u.inW) % u.inH + u.padTop;
  let px = pixel % u.inW + u.padLeft;
  let image = pixel / (u.inW * u.inH) * u.outH;
  var sum = T(0.0);
  for (var r = 0u; r < u.filterH; r++) {
    let down = r * u.dilationH;
    if (down > py) { break; }
    let oy = (py - down) / u.strideH;
    if (oy * u.strideH + down != py || oy >= u.outH) { continue; }
    for (var s = 0u; s < u.filterW; s++) {
      let right = s * u.dilationW;
      if (right > px) { break; }
      let ox = (px - right) / u.strideW;
      if (ox * u.strideW + right != px || ox >= u.outW) { continue; }
      sum += T(dy[u.yOffset + ((image + oy) * u.outW + ox) * u.yStride + c]) *
        T(weights[u.filterOffset + (r * u.filterW + s) * u.filterStride + c]);
    }
  }
  dx[u.xOffset + pixel * u.xStride + c] = ${XT}(sum);
}
