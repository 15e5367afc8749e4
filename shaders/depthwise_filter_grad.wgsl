// dfilter[r,s,c] = sum over n,p,q of dy[n,p,q,c] * x[n,h,w,c], where h = p*strideH + r*dilationH - padTop, w likewise.
// The rows (n,p) are cut into runs of `runRows`, by the shape alone; each run writes its sums, [run][r][s][c], and a second
// launch adds them in order. Within a run each row is summed, then added. T is f32, or vec4f along channels; XT and YT are that
// or its 16-bit kin, in which x and dy are stored.
// Workgroup 64, one element or vector of a run's sums a thread; grid ceil(total / 64) folded into x and y.

//#include depthwise_uniforms
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read> dy: array<${YT}>;
@group(0) @binding(3) var<storage, read_write> sums: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= u.total) { return; }
  let row = i / u.channels;
  let c = i - row * u.channels;
  let run = row / (u.filterH * u.filterW);
  let tap = row - run * u.filterH * u.filterW;
  // Places of the tap in the window of the first row and column; above and to the left of the image they wrap around.
  let down = tap / u.filterW * u.dilationH - u.padTop;
  let right = tap % u.filterW * u.dilationW - u.padLeft;
  let last = min((run + 1u) * u.runRows, u.images * u.outH);
  var total = T(0.0);
  for (var m = run * u.runRows; m < last; m++) {
    let image = m / u.outH;
    let iy = (m - image * u.outH) * u.strideH + down;
    if (iy >= u.inH) { continue; }
    let xRow = u.xOffset + (image * u.inH + iy) * u.inW * u.xStride + c;
    let yRow = u.yOffset + m * u.outW * u.yStride + c;
    var sum = T(0.0);
    for (var ox = 0u; ox < u.outW; ox++) {
      let ix = ox * u.strideW + right;
      if (ix >= u.inW) { continue; }
      sum += T(x[xRow + ix * u.xStride]) * T(dy[yRow + ox * u.yStride]);
    }
    total += sum;
  }
  sums[u.filterOffset + row * u.filterStride + c] = total;
}
