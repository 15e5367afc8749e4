// y[n,p,q,c] = bias[c] + sum over r,s of x[n,h,w,c] * filter[r,s,c], where h = p*strideH + r*dilationH - padTop, w likewise.
// T is f32, or vec4f along channels;
// XT, WT and YT are that or its 16-bit kin, in which x, filter and y are stored. BIAS: whether there is one.
// Workgroup 64, one element or vector of y a thread; grid ceil(total / 64) folded into x and y.

//#include depthwise_uniforms
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read> weights: array<${WT}>;
@group(0) @binding(3) var<storage, read_write> y: array<${YT}>;
//#if ${BIAS}
@group(0) @binding(4) var<storage, read> bias: array<T>;
//#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let pixel = i / u.channels;
  let c = i - pixel * u.channels;
  let oy = (pixel / u.outW) % u.outH;
  let ox = pixel % u.outW;
  let image = pixel / (u.outW * u.outH) * u.inH;
  //#if ${BIAS}
  var sum = bias[u.biasOffset + c];
  //#else
  var sum = T(0.0);
  //#end
  for (var r = 0u; r < u.filterH; r++) {
    // Above the image this wraps around, to more than inH.
    let iy = oy * u.strideH + r * u.dilationH - u.padTop;
    if (iy >= u.inH) { continue; }
    for (var s = 0u; s < u.filterW; s++) {
      let ix = ox * u.strideW + s * u.dilationW - u.padLeft;
      if (ix >= u.inW) { continue; }
      sum += T(x[u.xOffset + ((image + iy) * u.inW + ix) * u.xStride + c]) *
        T(weights[u.filterOffset + (r * u.filterW + s) * u.filterStride + c]);
    }
  }
  y[u.yOffset + pixel * u.yStride + c] = ${YT}(sum);
}
