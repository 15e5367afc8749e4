// dx[n,iy,ix,c] = sum over r,s,k of dy[n,oy,ox,k] * w[k,r,s,c] where oy*strideH - padTop + r*dilationH = iy, likewise ox, ix.
// For adapters that compute on the CPU; see conv2d_forward_rows.wgsl. Pixels of x whose positions agree modulo the strides meet the
// same taps, so each such class is a dense product of its own (workgroup z): a strided gradient multiplies no zeros.
// A workgroup is 8 threads along pixels; a thread computes ${TM} pixels x ${NV} * 4 channels, taking ${W} filters a step.
// Grid, folded (unfold.wgsl): ceil(pixels of the largest class / (8 * ${TM})), ceil(channels / (4 * ${NV})), strideH * strideW.
// VEC: dy and w are read as vec4 (filters, channels, strides, offsets divisible by 4) or else element by element; TEX: through textures.
// YT, WT and XT are the types in which dy, w and dx are stored.
// Source: strided dgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_dgrad with StrideSupport::kStrided).

//#include conv_uniforms
//#include unfold
//#if ${TEX}
//#include texel
@group(0) @binding(1) var dy: texture_2d<f32>;
@group(0) @binding(2) var w: texture_2d<f32>;
fn loadY(i: u32) -> vec4f { return textureLoad(dy, texel(i), 0); }
fn loadW(i: u32) -> vec4f { return textureLoad(w, texel(i), 0); }
//#else
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
fn loadY(i: u32) -> ${V} { return ${V}(dy[i]); }
fn loadW(i: u32) -> ${V} { return ${V}(w[i]); }
//#end
@group(0) @binding(3) var<storage, read_write> dx: array<${XT}>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = unfold(id, groups, (u.pixels + 8u * ${TM}u - 1u) / (8u * ${TM}u), u.strideH * u.strideW);
  let classY = group.z / u.strideW;
  let classX = group.z % u.strideW;
  let first = group.x * (8u * ${TM}u) + lane;
  let c0 = group.y * (4u * ${NV}u);
  let filters = u.filters / ${W}u;
  let yStride = u.yStride / ${W}u;
  let taps = u.kernelH * u.kernelW;
  //#for i ${TM}
  let row$i = first + 8u * $iu;
  let ix$i = (row$i % u.classW) * u.strideW + classX;
  let iy$i = ((row$i / u.classW) % u.classH) * u.strideH + classY;
  let n$i = row$i / (u.classW * u.classH);
  let in$i = row$i < u.pixels && ix$i < u.inW && iy$i < u.inH;
  //#for j ${NV}
  var a$i_$j = vec4f();
  //#end
  //#end
  // One step of k lies a filter further.
  let kStride = taps * u.wStride;
  //#for j ${NV}
  //#if ${VEC}
  let w$j = (u.wOffset + min(c0 + $ju * 4u, u.channels - 4u)) / 4u;
  //#else
  //#for q 4
  let w$j$q = u.wOffset + min(c0 + $ju * 4u + $qu, u.channels - 1u);
  //#end
  //#end
  //#end
  for (var r = 0u; r < u.kernelH; r++) {
    // Negative positions wrap round to large numbers; the class decides divisibility for all its pixels.
    if ((classY + u.padTop + u.strideH * u.kernelH * u.dilationH - r * u.dilationH) % u.strideH != 0u) { continue; }
    for (var s = 0u; s < u.kernelW; s++) {
      if ((classX + u.padLeft + u.strideW * u.kernelW * u.dilationW - s * u.dilationW) % u.strideW != 0u) { continue; }
      //#for i ${TM}
      let fy$i = iy$i + u.padTop - r * u.dilationH;
      let fx$i = ix$i + u.padLeft - s * u.dilationW;
      let oy$i = fy$i / u.strideH;
      let ox$i = fx$i / u.strideW;
      let ok$i = in$i && oy$i < u.outH && ox$i < u.outW;
      let p$i = u.yOffset / ${W}u + select(0u, ((n$i * u.outH + oy$i) * u.outW + ox$i) * yStride, ok$i);
      //#end
      let tap = (r * u.kernelW + s) * u.wStride;
      for (var k = 0u; k < filters; k++) {
        //#for i ${TM}
        let g$i = select(${V}(), loadY(p$i + k), ok$i);
        //#end
        let f = (k * ${W}u * kStride + tap) / ${W}u;
        //#for j ${NV}
        {
          //#if ${VEC}
          let step = kStride / 4u;
          let m = mat4x4f(loadW(w$j + f), loadW(w$j + f + step), loadW(w$j + f + 2u * step), loadW(w$j + f + 3u * step));
          //#else
          let m = vec4f(loadW(w$j0 + f), loadW(w$j1 + f), loadW(w$j2 + f), loadW(w$j3 + f));
          //#end
          //#for i ${TM}
          a$i_$j += m * g$i;
          //#end
        }
        //#end
      }
    }
  }
  //#for j ${NV}
  //#for q 4
  {
    let c = c0 + $ju * 4u + $qu;
    if (c < u.channels) {
      //#for i ${TM}
      if (in$i) { dx[u.xOffset + ((n$i * u.inH + iy$i) * u.inW + ix$i) * u.xStride + c] = ${XT}(a$i_$j[$q]); }
      //#end
    }
  }
  //#end
  //#end
}
