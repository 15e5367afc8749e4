// y[n,oy,ox,k] = act(bias[k] + sum over r,s,c of x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c] *
//                w[k,r,s,c]), x zero outside.  NHWC, filters KRSC.
// For hardware adapters: implicit GEMM, a workgroup computing ROWS pixels x COLUMNS filters (tile.wgsl), with panels of STEPS terms of
// the sum staged in workgroup memory. With VEC the sum runs over taps, then channels, loads being vec4; without, over the
// flattened (r, s, c), so that few channels (an image's three) still fill the panels.
// XT, WT and YT are the types in which x, w and y are stored; float16 where the GPU multiplies matrices (MATRIX).
// Grid, folded (unfold.wgsl): ceil(pixels / ROWS), ceil(filters / COLUMNS).
// Source: implicit GEMM as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_fprop); tile sizes as in meganeura's WGSL kernels.

//#include conv_uniforms
//#include unfold
//#include tile
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<${YT}>;

fn put(group: vec3u, row: u32, column: u32, value: f32) {
  let pixel = group.x * ROWS + row;
  let k = group.y * COLUMNS + column;
  if (pixel >= u.pixels || k >= u.filters) { return; }
  let v = value + select(0.0, bias[u.biasOffset + k], u.hasBias != 0u);
  y[u.yOffset + pixel * u.yStride + k] = ${YT}(select(v, max(v, 0.0), u.relu != 0u));
}

@compute @workgroup_size(${THREADS})
//#if ${MATRIX}
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) owner: u32) {
//#else
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let owner = lane;
//#end
  let group = unfold(id, groups, (u.pixels + ROWS - 1u) / ROWS, 1u);
  let taps = u.kernelH * u.kernelW;
  // What this thread loads: four terms of some pixels and of some filters.
  //#for l ${LA}
  let item$l = (lane + $lu * THREADS) / PARTS;
  let part$l = ((lane + $lu * THREADS) % PARTS) * 4u;
  let pixel$l = group.x * ROWS + item$l;
  let inRows$l = pixel$l < u.pixels;
  let oy$l = ((pixel$l / u.outW) % u.outH) * u.strideH - u.padTop;
  let ox$l = (pixel$l % u.outW) * u.strideW - u.padLeft;
  let image$l = (pixel$l / (u.outW * u.outH)) * u.inH;
  //#end
  //#for l ${LB}
  let column$l = (lane + $lu * THREADS) / PARTS;
  let term$l = ((lane + $lu * THREADS) % PARTS) * 4u;
  let own$l = group.y * COLUMNS + column$l;
  let inColumns$l = own$l < u.filters;
  //#end
  let tx = owner % ACROSS;
  let ty = owner / ACROSS;
  var sum = Tile();
  // Values are on their way from memory while those before them are multiplied: a turn past the last has nothing to load.
  var filled = false;
  //#if ${VEC}
  for (var tap = 0u; tap <= taps; tap++) {
    let loads = tap < taps;
    let dy = (tap / u.kernelW) * u.dilationH;
    let dx = (tap % u.kernelW) * u.dilationW;
    //#for l ${LA}
    let inside$l = loads && inRows$l && oy$l + dy < u.inH && ox$l + dx < u.inW;
    let source$l = u.xOffset + ((image$l + oy$l + dy) * u.inW + ox$l + dx) * u.xStride;
    //#end
    for (var c0 = 0u; c0 < select(STEPS, u.channels, loads); c0 += STEPS) {
      //#for l ${LA}
      var a$l = Panel4();
      if (inside$l && c0 + part$l < u.channels) { a$l = Panel4(x[(source$l + c0 + part$l) / 4u]); }
      //#end
      //#for l ${LB}
      var b$l = Panel4();
      if (loads && inColumns$l && c0 + term$l < u.channels) {
        b$l = Panel4(w[(u.wOffset + (own$l * taps + tap) * u.wStride + c0 + term$l) / 4u]);
      }
      //#end
      if (filled) { multiplyPanels(&sum, tx, ty); }
      workgroupBarrier();
      //#for l ${LA}
      storeLeft(item$l, part$l, a$l);
      //#end
      //#for l ${LB}
      storeRight(column$l, term$l, b$l);
      //#end
      workgroupBarrier();
      filled = true;
    }
  }
  //#else
  let terms = taps * u.channels;
  let turns = (terms + STEPS - 1u) / STEPS;
  for (var turn = 0u; turn <= turns; turn++) {
    //#for l ${LA}
    var a$l = Panel4();
    //#for q 4
    {
      let k = turn * STEPS + part$l + $qu;
      let tap = k / u.channels;
      let iy = oy$l + (tap / u.kernelW) * u.dilationH;
      let ix = ox$l + (tap % u.kernelW) * u.dilationW;
      if (inRows$l && k < terms && iy < u.inH && ix < u.inW) {
        a$l[$q] = Panel(x[u.xOffset + ((image$l + iy) * u.inW + ix) * u.xStride + k - tap * u.channels]);
      }
    }
    //#end
    //#end
    //#for l ${LB}
    var b$l = Panel4();
    //#for q 4
    {
      let k = turn * STEPS + term$l + $qu;
      let tap = k / u.channels;
      if (inColumns$l && k < terms) { b$l[$q] = Panel(w[u.wOffset + (own$l * taps + tap) * u.wStride + k - tap * u.channels]); }
    }
    //#end
    //#end
    if (filled) { multiplyPanels(&sum, tx, ty); }
    workgroupBarrier();
    //#for l ${LA}
    storeLeft(item$l, part$l, a$l);
    //#end
    //#for l ${LB}
    storeRight(column$l, term$l, b$l);
    //#end
    workgroupBarrier();
    filled = true;
  }
  //#end
  putTile(&sum, tx, ty, lane, group);
}
