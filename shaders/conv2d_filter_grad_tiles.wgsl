// dw[k,r,s,c] = sum over n,oy,ox of dy[n,oy,ox,k] * x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c].
// For hardware adapters; tiles as in conv2d_forward_tiles.wgsl, 64 filters x 64 columns (r, s, c), the sum over the pixels of a run of
// rows of y (workgroup z), whose partial results a second launch adds in order. YVEC, VEC: dy, x are read as vec4.
// YT, XT and WT are the types in which dy, x and dw are stored.
// Grid: ceil(columns / 64), ceil(filters / 64), runs.
// Source: split-K wgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_wgrad), partials reduced in a fixed order.

//#include conv_uniforms
//#include tile
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> x: array<${XT}>;
@group(0) @binding(3) var<storage, read_write> dw: array<${WT}>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // This thread loads four filters of one pixel's dy, and four columns of one pixel's x.
  let step = lane / 16u;
  let part = (lane % 16u) * 4u;
  let k = group.y * TILE + part;
  let columns = u.kernelH * u.kernelW * u.channels;
  //#if ${VEC}
  let column = min(group.x * TILE + part, columns - 4u);
  let inColumns = group.x * TILE + part < columns;
  let tap = column / u.channels;
  let c = u.xOffset + column % u.channels;
  let fy = (tap / u.kernelW) * u.dilationH - u.padTop;
  let fx = (tap % u.kernelW) * u.dilationW - u.padLeft;
  //#else
  //#for q 4
  let column$q = min(group.x * TILE + part + $qu, columns - 1u);
  let inColumns$q = group.x * TILE + part + $qu < columns;
  let tap$q = column$q / u.channels;
  let c$q = u.xOffset + column$q % u.channels;
  let fy$q = (tap$q / u.kernelW) * u.dilationH - u.padTop;
  let fx$q = (tap$q % u.kernelW) * u.dilationW - u.padLeft;
  //#end
  //#end
  let tx = lane % 16u;
  let ty = lane / 16u;
  var sum = Tile();
  let first = group.z * u.runRows * u.outW;
  let end = min((group.z + 1u) * u.runRows, u.rows) * u.outW;
  for (var p0 = first; p0 < end; p0 += STEPS) {
    let p = p0 + step;
    let row = p / u.outW;
    let ox = (p - row * u.outW) * u.strideW;
    let oy = (row % u.outH) * u.strideH;
    let image = (row / u.outH) * u.inH;
    var a = vec4f();
    var b = vec4f();
    if (p < end) {
      let source = u.yOffset + p * u.yStride + k;
      //#if ${YVEC}
      if (k < u.filters) { a = vec4f(dy[source / 4u]); }
      //#else
      //#for q 4
      if (k + $qu < u.filters) { a[$q] = f32(dy[source + $qu]); }
      //#end
      //#end
      //#if ${VEC}
      if (inColumns && oy + fy < u.inH && ox + fx < u.inW) { b = vec4f(x[(((image + oy + fy) * u.inW + ox + fx) * u.xStride + c) / 4u]); }
      //#else
      //#for q 4
      if (inColumns$q && oy + fy$q < u.inH && ox + fx$q < u.inW) {
        b[$q] = f32(x[((image + oy + fy$q) * u.inW + ox + fx$q) * u.xStride + c$q]);
      }
      //#end
      //#end
    }
    workgroupBarrier();
    //#for q 4
    left[step * PITCH + part + $qu] = a[$q];
    right[step * PITCH + part + $qu] = b[$q];
    //#end
    workgroupBarrier();
    multiplyPanels(&sum, tx, ty);
  }
  let run = u.wOffset + group.z * u.runStride;
  let k0 = group.y * TILE + ty * 4u;
  //#for q 4
  {
    let column = group.x * TILE + tx * 4u + $qu;
    if (column < columns) {
      let tap = column / u.channels;
      let c = column - tap * u.channels;
      //#for i 4
      if (k0 + $iu < u.filters) { dw[run + ((k0 + $iu) * u.kernelH * u.kernelW + tap) * u.wStride + c] = ${WT}(sum.row$i[$q]); }
      //#end
    }
  }
  //#end
}
