// dx[i] = sum over the windows that hold x[i] of: dy where x[i] is the window's first maximum in row-major order, by comparing (MAX) or as
// the window's index says (INDEX, bytes that pool_indices.wgsl wrote); or dy / divisor.
// Each element gathers what falls to it, so none is written twice. Windows are visited in row-major order.
// T is f32, or vec4f along channels; YT, XT, OUTT and DXT are that or its 16-bit kin, in which dy, x, y and dx are stored.
// Workgroup 64, one element or vector of dx a thread; grid ceil(total / 64) folded into x and y.

//#include pool_uniforms
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
//#if ${MAX}
@group(0) @binding(2) var<storage, read> x: array<${XT}>;
@group(0) @binding(3) var<storage, read> y: array<${OUTT}>;
@group(0) @binding(4) var<storage, read_write> dx: array<${DXT}>;
//#else
//#if ${INDEX}
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<${DXT}>;
//#else
@group(0) @binding(2) var<storage, read_write> dx: array<${DXT}>;
//#end
//#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let pixel = i / u.channels;
  let c = i - pixel * u.channels;
  let ix = pixel % u.inW;
  let iy = (pixel / u.inW) % u.inH;
  let n = pixel / (u.inW * u.inH);
  // Windows oy with oy*strideH <= iy + padTop < oy*strideH + sizeH.
  let py = iy + u.padTop;
  let px = ix + u.padLeft;
  let firstY = (max(py + 1u, u.sizeH) - u.sizeH + u.strideH - 1u) / u.strideH;
  let firstX = (max(px + 1u, u.sizeW) - u.sizeW + u.strideW - 1u) / u.strideW;
  let lastY = min(py / u.strideH + 1u, u.outH);
  let lastX = min(px / u.strideW + 1u, u.outW);
  //#if ${MAX}
  let own = T(x[u.xOffset + ((n * u.inH + iy) * u.inW + ix) * u.xStride + c]);
  //#end
  var sum = T(0.0);
  for (var oy = firstY; oy < lastY; oy++) {
    for (var ox = firstX; ox < lastX; ox++) {
      let o = (n * u.outH + oy) * u.outW + ox;
      let g = T(dy[u.yOffset + o * u.yStride + c]);
      //#if ${MAX}
      let w = window(oy, ox);
      let top = T(y[u.outOffset + o * u.outStride + c]);
      var first = own == top;
      if (any(first)) {
        for (var jy = w.top; jy <= iy; jy++) {
          let end = select(w.right, ix, jy == iy);
          for (var jx = w.left; jx < end; jx++) {
            first = first & (T(x[u.xOffset + ((n * u.inH + jy) * u.inW + jx) * u.xStride + c]) != top);
          }
        }
        sum += select(T(0.0), g, first);
      }
      //#else
      //#if ${INDEX}
      let at = u.outOffset + o * u.outStride + c;
      let place = (py - oy * u.strideH) * u.sizeW + px - ox * u.strideW;
      //#if ${VECTOR}
      sum += select(T(0.0), g, unpack4xU8(index[at]) == vec4u(place));
      //#else
      sum += select(0.0, g, extractBits(index[at / 4u], at % 4u * 8u, 8u) == place);
      //#end
      //#else
      sum += g / divisor(window(oy, ox));
      //#end
      //#end
    }
  }
  dx[u.resultOffset + pixel * u.resultStride + c] = ${DXT}(sum);
}
