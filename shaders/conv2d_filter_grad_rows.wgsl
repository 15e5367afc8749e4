// dw[k,r,s,c] = sum over n,oy,ox of dy[n,oy,ox,k] * x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c].
// For adapters that compute on the CPU; see conv2d_forward_rows.wgsl. The long sum over pixels is cut into runs of whole rows of y
// (workgroup z), whose partial results a second launch adds in order.
// Threads lie along columns (r, s, c); a workgroup is 8 threads, each computing 4 * ${KV} filters x ${CV} columns of ${W} channels,
// ${P} pixels a step: ${P} * (${KV} + ${CV}) vector loads feed ${P} * ${KV} * ${CV} * 4 * ${W} multiply-adds.
// Grid, folded (unfold.wgsl): ceil(columns / (8 * ${CV})), ceil(filters / (4 * ${KV})), runs. V: x is read as vec4f, or f32; YVEC: dy is
// read as vec4f. TEX, YTEX: through textures. YT, XT and WT are the types in which dy, x and dw are stored.
// Source: split-K wgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_wgrad), partials reduced in a fixed order.

//#include conv_uniforms
//#include unfold
//#include texel
//#if ${YTEX}
@group(0) @binding(1) var dy: texture_2d<f32>;
fn loadY(i: u32) -> vec4f { return textureLoad(dy, texel(i), 0); }
//#else
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
fn loadY(i: u32) -> ${YV} { return ${YV}(dy[i]); }
//#end
//#if ${TEX}
@group(0) @binding(2) var x: texture_2d<f32>;
fn loadX(i: u32) -> vec4f { return textureLoad(x, texel(i), 0); }
//#else
@group(0) @binding(2) var<storage, read> x: array<${XT}>;
fn loadX(i: u32) -> ${V} { return ${V}(x[i]); }
//#end
@group(0) @binding(3) var<storage, read_write> dw: array<${WT}>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let perTap = u.channels / ${W}u;
  let columns = u.kernelH * u.kernelW * perTap;
  let group = unfold(id, groups, (columns + 8u * ${CV}u - 1u) / (8u * ${CV}u), (u.rows - u.firstRow + u.runRows - 1u) / u.runRows);
  let firstColumn = group.x * (8u * ${CV}u) + lane;
  let k0 = group.y * (4u * ${KV}u);
  let xStride = u.xStride / ${W}u;
  //#for j ${CV}
  let column$j = min(firstColumn + 8u * $ju, columns - 1u);
  let tap$j = column$j / perTap;
  let fy$j = (tap$j / u.kernelW) * u.dilationH - u.padTop;
  let fx$j = (tap$j % u.kernelW) * u.dilationW - u.padLeft;
  let c$j = u.xOffset / ${W}u + column$j - tap$j * perTap;
  //#for q ${W}
  //#for m ${KV}
  var a$m_$j$q = vec4f();
  //#end
  //#end
  //#end
  //#for m ${KV}
  //#if ${YVEC}
  let y$m = (u.yOffset + min(k0 + $mu * 4u, u.filters - 4u)) / 4u;
  //#else
  //#for q 4
  let y$m$q = u.yOffset + min(k0 + $mu * 4u + $qu, u.filters - 1u);
  //#end
  //#end
  //#end
  let start = u.firstRow + group.z * u.runRows;
  let last = min(start + u.runRows, u.rows);
  for (var row = start; row < last; row++) {
    let image = (row / u.outH) * u.inH;
    let oy = (row % u.outH) * u.strideH;
    //#for j ${CV}
    let iy$j = oy + fy$j;
    let inY$j = iy$j < u.inH;
    let p$j = c$j + select(0u, (image + iy$j) * u.inW * xStride, inY$j);
    //#end
    for (var first = 0u; first < u.outW; first += ${P}u) {
      //#for p ${P}
      let ox$p = min(first + $pu, u.outW - 1u);
      let o$p = (row * u.outW + ox$p) * u.yStride;
      let ix$p = ox$p * u.strideW;
      //#for m ${KV}
      //#if ${YVEC}
      let g$m_$p = loadY(y$m + o$p / 4u);
      //#else
      let g$m_$p = vec4f(loadY(y$m0 + o$p), loadY(y$m1 + o$p), loadY(y$m2 + o$p), loadY(y$m3 + o$p));
      //#end
      //#end
      //#end
      //#for j ${CV}
      {
        //#for p ${P}
        // Beyond the end of the row the last pixel is met again, and does not count.
        let ok$p = inY$j && ix$p + fx$j < u.inW && first + $pu < u.outW;
        let v$p = select(${V}(), loadX(p$j + select(0u, (ix$p + fx$j) * xStride, ok$p)), ok$p);
        //#end
        //#for m ${KV}
        //#for q ${W}
        a$m_$j$q += ${SUM};
        //#end
        //#end
      }
      //#end
    }
  }
  let run = u.wOffset + group.z * u.runStride;
  //#for j ${CV}
  if (firstColumn + 8u * $ju < columns) {
    let c = (column$j - tap$j * perTap) * ${W}u;
    //#for m ${KV}
    //#for t 4
    {
      let k = k0 + $mu * 4u + $tu;
      if (k < u.filters) {
        let at = run + (k * u.kernelH * u.kernelW + tap$j) * u.wStride + c;
        //#for q ${W}
        dw[at + $qu] = ${WT}(a$m_$j$q[$t]);
        //#end
      }
    }
    //#end
    //#end
  }
  //#end
}
