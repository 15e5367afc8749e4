// dx[n,iy,ix,c] = sum over r,s,k of dy[n,oy,ox,k] * w[k,r,s,c] where oy*strideH - padTop + r*dilationH = iy, likewise ox, ix.
// For hardware adapters; tiles as in conv2d_forward_tiles.wgsl, ROWS pixels x COLUMNS channels, the sum over taps, then filters. Pixels
// are taken by parity class (workgroup z), see conv2d_input_grad_rows.wgsl.
// YT, WT and XT are the types in which dy, w and dx are stored.
// Grid, folded (unfold.wgsl): ceil(pixels of the largest class / ROWS), ceil(channels / COLUMNS), strideH * strideW.
// Source: strided dgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_dgrad with StrideSupport::kStrided).

//#include conv_uniforms
//#include unfold
//#include tile
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> w: array<${WT}>;
@group(0) @binding(3) var<storage, read_write> dx: array<${XT}>;

fn put(group: vec3u, row: u32, column: u32, value: f32) {
  let p = group.x * ROWS + row;
  let c = group.y * COLUMNS + column;
  let y = ((p / u.classW) % u.classH) * u.strideH + group.z / u.strideW;
  let x = (p % u.classW) * u.strideW + group.z % u.strideW;
  if (p >= u.pixels || y >= u.inH || x >= u.inW || c >= u.channels) { return; }
  dx[u.xOffset + (((p / (u.classW * u.classH)) * u.inH + y) * u.inW + x) * u.xStride + c] = ${XT}(value);
}

@compute @workgroup_size(${THREADS})
//#if ${MATRIX}
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) owner: u32) {
//#else
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let owner = lane;
//#end
  let group = unfold(id, groups, (u.pixels + ROWS - 1u) / ROWS, u.strideH * u.strideW);
  let classY = group.z / u.strideW;
  let classX = group.z % u.strideW;
  // This thread loads four filters of some pixels' dy, and four channels of some filters.
  //#for l ${LA}
  let item$l = (lane + $lu * THREADS) / PARTS;
  let part$l = ((lane + $lu * THREADS) % PARTS) * 4u;
  let pixel$l = group.x * ROWS + item$l;
  let iy$l = ((pixel$l / u.classW) % u.classH) * u.strideH + classY;
  let ix$l = (pixel$l % u.classW) * u.strideW + classX;
  let image$l = (pixel$l / (u.classW * u.classH)) * u.outH;
  let inRows$l = pixel$l < u.pixels && iy$l < u.inH && ix$l < u.inW;
  //#end
  //#for l ${LB}
  let step$l = (lane + $lu * THREADS) / COLUMN_VECTORS;
  let column$l = ((lane + $lu * THREADS) % COLUMN_VECTORS) * 4u;
  let c$l = group.y * COLUMNS + column$l;
  //#end
  let taps = u.kernelH * u.kernelW;
  let tx = owner % ACROSS;
  let ty = owner / ACROSS;
  var sum = Tile();
  // A turn past the last tap, as in conv2d_forward_tiles.wgsl.
  var filled = false;
  for (var tap = 0u; tap <= taps; tap++) {
    let loads = tap < taps;
    let r = tap / u.kernelW;
    let s = tap % u.kernelW;
    let rowFits = (classY + u.padTop + u.strideH * u.kernelH * u.dilationH - r * u.dilationH) % u.strideH == 0u;
    let columnFits = (classX + u.padLeft + u.strideW * u.kernelW * u.dilationW - s * u.dilationW) % u.strideW == 0u;
    if (loads && !(rowFits && columnFits)) { continue; }
    //#for l ${LA}
    let oy$l = (iy$l + u.padTop - r * u.dilationH) / u.strideH;
    let ox$l = (ix$l + u.padLeft - s * u.dilationW) / u.strideW;
    let inside$l = loads && inRows$l && oy$l < u.outH && ox$l < u.outW;
    let source$l = u.yOffset + ((image$l + oy$l) * u.outW + ox$l) * u.yStride;
    //#end
    for (var k0 = 0u; k0 < select(STEPS, u.filters, loads); k0 += STEPS) {
      //#for l ${LA}
      let term$l = k0 + part$l;
      var a$l = Panel4();
      //#if ${VEC}
      if (inside$l && term$l < u.filters) { a$l = Panel4(dy[(source$l + term$l) / 4u]); }
      //#else
      //#for q 4
      if (inside$l && term$l + $qu < u.filters) { a$l[$q] = Panel(dy[source$l + term$l + $qu]); }
      //#end
      //#end
      //#end
      //#for l ${LB}
      let weights$l = u.wOffset + ((k0 + step$l) * taps + tap) * u.wStride + c$l;
      var b$l = Panel4();
      //#if ${VEC}
      if (loads && k0 + step$l < u.filters && c$l < u.channels) { b$l = Panel4(w[weights$l / 4u]); }
      //#else
      //#for q 4
      if (loads && k0 + step$l < u.filters && c$l + $qu < u.channels) { b$l[$q] = Panel(w[weights$l + $qu]); }
      //#end
      //#end
      //#end
      if (filled) { multiplyPanels(&sum, tx, ty); }
      workgroupBarrier();
      //#for l ${LA}
      storeLeft(item$l, part$l, a$l);
      //#end
      //#for l ${LB}
      storeRight(column$l, step$l, b$l);
      //#end
      workgroupBarrier();
      filled = true;
    }
  }
  putTile(&sum, tx, ty, lane, group);
}
