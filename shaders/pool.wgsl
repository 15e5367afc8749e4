// y[n,oy,ox,c] = maximum, or sum / divisor, of x over the window that starts at (oy*strideH - padTop, ox*strideW - padLeft).
// The divisor is the number of the window's places within the padded image with `countPadding`, else of its elements.
// The padding never wins a maximum. T is f32, or vec4f along channels;
// XT and YT are that or its 16-bit kin, in which x and y are stored.
// Workgroup 64, one element or vector of y a thread; grid ceil(total / 64) folded into x and y.

//#include pool_uniforms
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read_write> y: array<${YT}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let pixel = i / u.channels;
  let c = i - pixel * u.channels;
  let w = window((pixel / u.outW) % u.outH, pixel % u.outW);
  let image = pixel / (u.outW * u.outH) * u.inH;
  //#if ${MAX}
  var a = T(x[u.xOffset + ((image + w.top) * u.inW + w.left) * u.xStride + c]);
  //#else
  var a = T(0.0);
  //#end
  for (var iy = w.top; iy < w.bottom; iy++) {
    for (var ix = w.left; ix < w.right; ix++) {
      let v = T(x[u.xOffset + ((image + iy) * u.inW + ix) * u.xStride + c]);
      //#if ${MAX}
      a = max(a, v);
      //#else
      a += v;
      //#end
    }
  }
  //#if ${MAX}
  y[u.yOffset + pixel * u.yStride + c] = ${YT}(a);
  //#else
  y[u.yOffset + pixel * u.yStride + c] = ${YT}(a / divisor(w));
  //#end
}
