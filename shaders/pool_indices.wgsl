// y as pool.wgsl has it for maxima; index[n,oy,ox,c] = place of the first maximum in its window, row-major and with the padding, as a
// byte, or 255 where the maximum is NaN. T is f32, or vec4f along channels; XT and YT are that or its 16-bit kin, in which x and y are
// stored. The index is contiguous, four in a word, and every word is written by one thread: of the vector variant, by that of its four
// elements; else by one that computes the elements of the word one after another, and keeps what else lies in the first and the last.
// Workgroup 64, one word a thread; grid ceil(words / 64) folded into x and y.

//#include pool_uniforms
@group(0) @binding(1) var<storage, read> x: array<${XT}>;
@group(0) @binding(2) var<storage, read_write> y: array<${YT}>;
@group(0) @binding(3) var<storage, read_write> index: array<u32>;
//#if ${VECTOR}
alias I = vec4u;
//#else
alias I = u32;
//#end

// Writes element or vector i of y and returns its index.
fn pool(i: u32) -> I {
  let pixel = i / u.channels;
  let c = i - pixel * u.channels;
  let oy = (pixel / u.outW) % u.outH;
  let ox = pixel % u.outW;
  let w = window(oy, ox);
  let image = pixel / (u.outW * u.outH) * u.inH;
  var a = T(x[u.xOffset + ((image + w.top) * u.inW + w.left) * u.xStride + c]);
  var found = I((w.top + u.padTop - oy * u.strideH) * u.sizeW + w.left + u.padLeft - ox * u.strideW);
  for (var iy = w.top; iy < w.bottom; iy++) {
    let row = (iy + u.padTop - oy * u.strideH) * u.sizeW + u.padLeft - ox * u.strideW;
    for (var ix = w.left; ix < w.right; ix++) {
      let larger = max(a, T(x[u.xOffset + ((image + iy) * u.inW + ix) * u.xStride + c]));
      found = select(found, I(row + ix), larger != a);
      a = larger;
    }
  }
  y[u.yOffset + pixel * u.yStride + c] = ${YT}(a);
  return select(found, I(255u), a != a);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  //#if ${VECTOR}
  if (i >= u.total) { return; }
  index[u.outOffset + i] = pack4xU8(pool(i));
  //#else
  if (i * 4u >= u.outOffset + u.total) { return; }
  var word = index[i];
  for (var k = 0u; k < 4u; k++) {
    let e = i * 4u + k - u.outOffset;
    if (e < u.total) { word = insertBits(word, pool(e), k * 8u, 8u); }
  }
  index[i] = word;
  //#end
}
