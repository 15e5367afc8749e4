// dx[n,iy,ix,c] = sum over r,s,k of dy[n,oy,ox,k] * w[k,r,s,c] where oy*strideH - padTop + r*dilationH = iy, likewise ox, ix.
// For hardware adapters; tiles as in conv2d_forward_tiles.wgsl, 64 pixels x 64 channels, the sum over taps, then filters. Pixels are
// taken by parity class (workgroup z), see conv2d_input_grad_rows.wgsl.
// YT, WT and XT are the types in which dy, w and dx are stored.
// Grid: ceil(pixels of the largest class / 64), ceil(channels / 64), strideH * strideW.
// Source: strided dgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_dgrad with StrideSupport::kStrided).

//#include conv_uniforms
//#include tile
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
@group(0) @binding(3) var<storage, read_write> dx: array<${XT}>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let classY = group.z / u.strideW;
  let classX = group.z % u.strideW;
  // This thread loads four filters of one pixel's dy, and four channels of one filter.
  let item = lane / 4u;
  let part = (lane % 4u) * 4u;
  let pixel = group.x * TILE + item;
  let iy = ((pixel / u.classW) % u.classH) * u.strideH + classY;
  let ix = (pixel % u.classW) * u.strideW + classX;
  let image = (pixel / (u.classW * u.classH)) * u.outH;
  let inRows = pixel < u.pixels && iy < u.inH && ix < u.inW;
  let step = lane / 16u;
  let column = (lane % 16u) * 4u;
  let c = group.y * TILE + column;
  let taps = u.kernelH * u.kernelW;
  let tx = lane % 16u;
  let ty = lane / 16u;
  var sum = Tile();
  for (var r = 0u; r < u.kernelH; r++) {
    if ((classY + u.padTop + u.strideH * u.kernelH * u.dilationH - r * u.dilationH) % u.strideH != 0u) { continue; }
    for (var s = 0u; s < u.kernelW; s++) {
      if ((classX + u.padLeft + u.strideW * u.kernelW * u.dilationW - s * u.dilationW) % u.strideW != 0u) { continue; }
      let oy = (iy + u.padTop - r * u.dilationH) / u.strideH;
      let ox = (ix + u.padLeft - s * u.dilationW) / u.strideW;
      let inside = inRows && oy < u.outH && ox < u.outW;
      let source = u.yOffset + ((image + oy) * u.outW + ox) * u.yStride;
      let tap = r * u.kernelW + s;
      for (var k0 = 0u; k0 < u.filters; k0 += STEPS) {
        let k = k0 + part;
        let weights = u.wOffset + ((k0 + step) * taps + tap) * u.wStride + c;
        var a = vec4f();
        var b = vec4f();
        //#if ${VEC}
        if (inside && k < u.filters) { a = vec4f(dy[(source + k) / 4u]); }
        if (k0 + step < u.filters && c < u.channels) { b = vec4f(w[weights / 4u]); }
        //#else
        //#for q 4
        if (inside && k + $qu < u.filters) { a[$q] = f32(dy[source + k + $qu]); }
        if (k0 + step < u.filters && c + $qu < u.channels) { b[$q] = f32(w[weights + $qu]); }
        //#end
        //#end
        workgroupBarrier();
        //#for q 4
        left[(part + $qu) * PITCH + item] = a[$q];
        right[step * PITCH + column + $qu] = b[$q];
        //#end
        workgroupBarrier();
        multiplyPanels(&sum, tx, ty);
      }
    }
  }
  let row = group.x * TILE + ty * 4u;
  let c0 = group.y * TILE + tx * 4u;
  //#for i 4
  {
    let p = row + $iu;
    let py = ((p / u.classW) % u.classH) * u.strideH + classY;
    let px = (p % u.classW) * u.strideW + classX;
    if (p < u.pixels && py < u.inH && px < u.inW) {
      let at = u.xOffset + (((p / (u.classW * u.classH)) * u.inH + py) * u.inW + px) * u.xStride + c0;
      //#for q 4
      if (c0 + $qu < u.channels) { dx[at + $qu] = ${XT}(sum.row$i[$q]); }
      //#end
    }
  }
  //#end
}
