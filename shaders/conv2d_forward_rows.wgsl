// y[n,oy,ox,k] = act(bias[k] + sum over r,s,c of x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c] *
//                w[k,r,s,c]), x zero outside.  NHWC, filters KRSC.
// For adapters that compute on the CPU: implicit GEMM without workgroup memory, whose barriers are slow there. A workgroup is 8
// threads, the SIMD width; a thread computes ${TM} pixels x ${NV} * 4 channels in registers, taking four input channels a step:
// (${TM} + 4 * ${NV}) vector loads feed ${TM} * ${NV} * 16 multiply-adds. Threads lie along pixels.
// Grid, folded (unfold.wgsl): ceil(pixels / (8 * ${TM})), ceil(filters / (4 * ${NV})).
// V: x and w are read as vec4f (input channels, strides and offsets divisible by 4) or else element by element. TEX: through textures,
// which llvmpipe reads eight times as fast as buffers. XT, WT and YT are the types in which x, w and y are stored.
// Source: register-tiled implicit GEMM as in CUTLASS' analytic iterators (github.com/NVIDIA/cutlass, conv/), without the staging.

//#include conv_uniforms
//#include unfold
//#if ${TEX}
//#include texel
@group(0) @binding(1) var x: texture_2d<f32>;
@group(0) @binding(2) var w: texture_2d<f32>;
fn loadX(i: u32) -> vec4f { return textureLoad(x, texel(i), 0); }
fn loadW(i: u32) -> vec4f { return textureLoad(w, texel(i), 0); }
//#else
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
fn loadX(i: u32) -> ${V} { return ${V}(x[i]); }
fn loadW(i: u32) -> ${V} { return ${V}(w[i]); }
//#end
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<${YT}>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = unfold(id, groups, (u.pixels + 8u * ${TM}u - 1u) / (8u * ${TM}u), 1u);
  let first = group.x * (8u * ${TM}u) + lane;
  let k0 = group.y * (4u * ${NV}u);
  // Sizes in units of what one load takes.
  let channels = u.channels / ${W}u;
  let xStride = u.xStride / ${W}u;
  let wStride = u.wStride / ${W}u;
  let xOffset = u.xOffset / ${W}u;
  let taps = u.kernelH * u.kernelW;
  //#for i ${TM}
  let row$i = min(first + 8u * $iu, u.pixels - 1u);
  let ox$i = (row$i % u.outW) * u.strideW - u.padLeft;
  let oy$i = ((row$i / u.outW) % u.outH) * u.strideH - u.padTop;
  let image$i = (row$i / (u.outW * u.outH)) * u.inH;
  //#for j ${NV}
  var a$i_$j = vec4f();
  //#end
  //#end
  //#for j ${NV}
  //#for q 4
  let filter$j$q = u.wOffset / ${W}u + min(k0 + $ju * 4u + $qu, u.filters - 1u) * taps * wStride;
  //#end
  //#end
  for (var r = 0u; r < u.kernelH; r++) {
    for (var s = 0u; s < u.kernelW; s++) {
      // Positions left of or above the image wrap round to large numbers, so one comparison finds both sides.
      //#for i ${TM}
      let iy$i = oy$i + r * u.dilationH;
      let ix$i = ox$i + s * u.dilationW;
      let in$i = iy$i < u.inH && ix$i < u.inW;
      let p$i = xOffset + select(0u, ((image$i + iy$i) * u.inW + ix$i) * xStride, in$i);
      //#end
      let tap = (r * u.kernelW + s) * wStride;
      for (var c = 0u; c < channels; c++) {
        //#for i ${TM}
        let x$i = select(${V}(), loadX(p$i + c), in$i);
        //#end
        //#for j ${NV}
        {
          //#for q 4
          let w$q = loadW(filter$j$q + tap + c);
          //#end
          let m = ${M}(w0, w1, w2, w3);
          //#for i ${TM}
          a$i_$j += x$i * m;
          //#end
        }
        //#end
      }
    }
  }
  //#for j ${NV}
  //#for q 4
  {
    let k = k0 + $ju * 4u + $qu;
    if (k < u.filters) {
      let b = select(0.0, bias[u.biasOffset + k], u.hasBias != 0u);
      //#for i ${TM}
      if (first + 8u * $iu < u.pixels) {
        let v = a$i_$j[$q] + b;
        y[u.yOffset + row$i * u.yStride + k] = ${YT}(select(v, max(v, 0.0), u.relu != 0u));
      }
      //#end
    }
  }
  //#end
  //#end
}
