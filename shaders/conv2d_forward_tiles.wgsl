// y[n,oy,ox,k] = act(bias[k] + sum over r,s,c of x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c] *
//                w[k,r,s,c]), x zero outside.  NHWC, filters KRSC.
// For hardware adapters: implicit GEMM, a workgroup of 256 threads computing 64 pixels x 64 filters, 4 x 4 a thread, with panels of 16
// terms of the sum staged in workgroup memory. With VEC the sum runs over taps, then channels, loads being vec4; without, over the
// flattened (r, s, c), so that few channels (an image's three) still fill the panels.
// XT, WT and YT are the types in which x, w and y are stored.
// Grid: ceil(pixels / 64), ceil(filters / 64).
// Source: implicit GEMM as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_fprop); tile sizes as in meganeura's WGSL kernels.

//#include conv_uniforms
//#include tile
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<${YT}>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // What this thread loads: four terms of one pixel and of one filter.
  let item = lane / 4u;
  let part = (lane % 4u) * 4u;
  let pixel = group.x * TILE + item;
  let inRows = pixel < u.pixels;
  let oy = ((pixel / u.outW) % u.outH) * u.strideH - u.padTop;
  let ox = (pixel % u.outW) * u.strideW - u.padLeft;
  let image = (pixel / (u.outW * u.outH)) * u.inH;
  let own = group.y * TILE + item;
  let inColumns = own < u.filters;
  let taps = u.kernelH * u.kernelW;
  let tx = lane % 16u;
  let ty = lane / 16u;
  var sum = Tile();
  //#if ${VEC}
  for (var tap = 0u; tap < taps; tap++) {
    let iy = oy + (tap / u.kernelW) * u.dilationH;
    let ix = ox + (tap % u.kernelW) * u.dilationW;
    let inside = inRows && iy < u.inH && ix < u.inW;
    let source = u.xOffset + ((image + iy) * u.inW + ix) * u.xStride;
    let weights = u.wOffset + (own * taps + tap) * u.wStride;
    for (var c0 = 0u; c0 < u.channels; c0 += STEPS) {
      let c = c0 + part;
      var a = vec4f();
      var b = vec4f();
      if (inside && c < u.channels) { a = vec4f(x[(source + c) / 4u]); }
      if (inColumns && c < u.channels) { b = vec4f(w[(weights + c) / 4u]); }
      workgroupBarrier();
      //#for q 4
      left[(part + $qu) * PITCH + item] = a[$q];
      right[(part + $qu) * PITCH + item] = b[$q];
      //#end
      workgroupBarrier();
      multiplyPanels(&sum, tx, ty);
    }
  }
  //#else
  let terms = taps * u.channels;
  for (var k0 = 0u; k0 < terms; k0 += STEPS) {
    workgroupBarrier();
    for (var q = 0u; q < 4u; q++) {
      let k = k0 + part + q;
      let tap = k / u.channels;
      let c = k - tap * u.channels;
      let iy = oy + (tap / u.kernelW) * u.dilationH;
      let ix = ox + (tap % u.kernelW) * u.dilationW;
      var a = 0.0;
      var b = 0.0;
      if (inRows && k < terms && iy < u.inH && ix < u.inW) { a = f32(x[u.xOffset + ((image + iy) * u.inW + ix) * u.xStride + c]); }
      if (inColumns && k < terms) { b = f32(w[u.wOffset + (own * taps + tap) * u.wStride + c]); }
      left[(part + q) * PITCH + item] = a;
      right[(part + q) * PITCH + item] = b;
    }
    workgroupBarrier();
    multiplyPanels(&sum, tx, ty);
  }
  //#end
  let row = group.x * TILE + ty * 4u;
  let k0 = group.y * TILE + tx * 4u;
  //#for q 4
  if (k0 + $qu < u.filters) {
    let b = select(0.0, bias[u.biasOffset + k0 + $qu], u.hasBias != 0u);
    //#for i 4
    if (row + $iu < u.pixels) {
      let v = sum.row$i[$q] + b;
      y[u.yOffset + (row + $iu) * u.yStride + k0 + $qu] = ${YT}(select(v, max(v, 0.0), u.relu != 0u));
    }
    //#end
  }
  //#end
}
