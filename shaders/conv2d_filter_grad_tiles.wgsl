// dw[k,r,s,c] = sum over n,oy,ox of dy[n,oy,ox,k] * x[n, oy*strideH - padTop + r*dilationH, ox*strideW - padLeft + s*dilationW, c].
// For hardware adapters; tiles as in conv2d_forward_tiles.wgsl, ROWS filters x COLUMNS columns (r, s, c), the sum over the pixels of a run of
// rows of y (workgroup z), whose partial results a second launch adds in order. YVEC, VEC: dy, x are read as vec4.
// YT, XT and WT are the types in which dy, x and dw are stored.
// Grid, folded (unfold.wgsl): ceil(columns / COLUMNS), ceil(filters / ROWS), runs.
// Source: split-K wgrad as in CUTLASS (github.com/NVIDIA/cutlass, conv2d_wgrad), partials reduced in a fixed order.

//#include conv_uniforms
//#include unfold
//#include tile
@group(0) @binding(1) var<storage, read> dy: array<${YT}>;
@group(0) @binding(2) var<storage, read> x: array<${XT}>;
@group(0) @binding(3) var<storage, read_write> dw: array<${WT}>;

fn put(group: vec3u, row: u32, column: u32, value: f32) {
  let k = group.y * ROWS + row;
  let taps = u.kernelH * u.kernelW;
  let tap = (group.x * COLUMNS + column) / u.channels;
  if (k >= u.filters || tap >= taps) { return; }
  let c = group.x * COLUMNS + column - tap * u.channels;
  dw[u.wOffset + group.z * u.runStride + (k * taps + tap) * u.wStride + c] = ${WT}(value);
}

@compute @workgroup_size(${THREADS})
//#if ${MATRIX}
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) owner: u32) {
//#else
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let owner = lane;
//#end
  let group = unfold(id, groups, (u.kernelH * u.kernelW * u.channels + COLUMNS - 1u) / COLUMNS, (u.rows - u.firstRow + u.runRows - 1u) / u.runRows);
  // This thread loads four filters of some pixels' dy, and four columns of some pixels' x.
  //#for l ${LA}
  let stepA$l = (lane + $lu * THREADS) / ROW_VECTORS;
  let partA$l = ((lane + $lu * THREADS) % ROW_VECTORS) * 4u;
  let k$l = group.y * ROWS + partA$l;
  //#end
  let columns = u.kernelH * u.kernelW * u.channels;
  //#for l ${LB}
  let stepB$l = (lane + $lu * THREADS) / COLUMN_VECTORS;
  let partB$l = ((lane + $lu * THREADS) % COLUMN_VECTORS) * 4u;
  //#if ${VEC}
  let column$l = min(group.x * COLUMNS + partB$l, columns - 4u);
  let inColumns$l = group.x * COLUMNS + partB$l < columns;
  let tap$l = column$l / u.channels;
  let c$l = u.xOffset + column$l % u.channels;
  let fy$l = (tap$l / u.kernelW) * u.dilationH - u.padTop;
  let fx$l = (tap$l % u.kernelW) * u.dilationW - u.padLeft;
  //#else
  //#for q 4
  let column$l_$q = min(group.x * COLUMNS + partB$l + $qu, columns - 1u);
  let inColumns$l_$q = group.x * COLUMNS + partB$l + $qu < columns;
  let tap$l_$q = column$l_$q / u.channels;
  let c$l_$q = u.xOffset + column$l_$q % u.channels;
  let fy$l_$q = (tap$l_$q / u.kernelW) * u.dilationH - u.padTop;
  let fx$l_$q = (tap$l_$q % u.kernelW) * u.dilationW - u.padLeft;
  //#end
  //#end
  //#end
  let tx = owner % ACROSS;
  let ty = owner / ACROSS;
  var sum = Tile();
  let first = (u.firstRow + group.z * u.runRows) * u.outW;
  let end = min(u.firstRow + (group.z + 1u) * u.runRows, u.rows) * u.outW;
  // Where this thread's pixels of x lie, and how far apart those of one turn and the next do: divisions in the loop would take longer than
  // the products of matrix units.
  let aheadX = STEPS % u.outW;
  let aheadY = (STEPS / u.outW) % u.outH;
  let aheadImages = STEPS / u.outW / u.outH;
  //#for l ${LB}
  var px$l = (first + stepB$l) % u.outW;
  var py$l = ((first + stepB$l) / u.outW) % u.outH;
  var image$l = (first + stepB$l) / u.outW / u.outH;
  //#end
  // A turn past the last step, as in conv2d_forward_tiles.wgsl.
  let turns = select(0u, (end - first + STEPS - 1u) / STEPS, end > first);
  for (var turn = 0u; turn <= turns; turn++) {
    let p0 = first + turn * STEPS;
    //#for l ${LA}
    var a$l = Panel4();
    if (p0 + stepA$l < end) {
      let source = u.yOffset + (p0 + stepA$l) * u.yStride + k$l;
      //#if ${YVEC}
      if (k$l < u.filters) { a$l = Panel4(dy[source / 4u]); }
      //#else
      //#for q 4
      if (k$l + $qu < u.filters) { a$l[$q] = Panel(dy[source + $qu]); }
      //#end
      //#end
    }
    //#end
    //#for l ${LB}
    var b$l = Panel4();
    {
      let ox = px$l * u.strideW;
      let oy = py$l * u.strideH;
      let image = image$l * u.inH;
      //#if ${VEC}
      if (p0 + stepB$l < end && inColumns$l && oy + fy$l < u.inH && ox + fx$l < u.inW) {
        b$l = Panel4(x[(((image + oy + fy$l) * u.inW + ox + fx$l) * u.xStride + c$l) / 4u]);
      }
      //#else
      //#for q 4
      if (p0 + stepB$l < end && inColumns$l_$q && oy + fy$l_$q < u.inH && ox + fx$l_$q < u.inW) {
        b$l[$q] = Panel(x[((image + oy + fy$l_$q) * u.inW + ox + fx$l_$q) * u.xStride + c$l_$q]);
      }
      //#end
      //#end
      px$l += aheadX;
      let nextRow = px$l >= u.outW;
      px$l -= select(0u, u.outW, nextRow);
      py$l += aheadY + select(0u, 1u, nextRow);
      let nextImage = py$l >= u.outH;
      py$l -= select(0u, u.outH, nextImage);
      image$l += aheadImages + select(0u, 1u, nextImage);
    }
    //#end
    if (turn > 0u) { multiplyPanels(&sum, tx, ty); }
    workgroupBarrier();
    //#for l ${LA}
    storeLeft(partA$l, stepA$l, a$l);
    //#end
    //#for l ${LB}
    storeRight(partB$l, stepB$l, b$l);
    //#end
    workgroupBarrier();
  }
  putTile(&sum, tx, ty, lane, group);
}
