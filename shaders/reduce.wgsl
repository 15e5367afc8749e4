// y[o] = scale * reduction over k of x[o, k], with any axes kept and any reduced. COMBINE is a + v, max(a, v) or min(a, v).
// Long reductions are cut into `splits` runs of `run` terms, each summed by one thread in order; a second launch reduces the
// partial results. The cut follows from the shape alone, so the order of the additions does too.
// Kept axes and reduced axes come innermost first, neighbours joined where strides allow, four of each at most. T is f32, or vec4f
// along the innermost kept axis; X and Y are that or its 16-bit
// kin, in which x and y are stored.
// Workgroup 64, a thread for each kept element and run; grid ceil(outputs * splits / 64) folded into x and y.

//#include reduce_uniforms
@group(0) @binding(1) var<storage, read> x: array<${X}>;
@group(0) @binding(2) var<storage, read_write> y: array<${Y}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let thread = (group.y * groups.x + group.x) * 64u + lane;
  if (thread >= u.outputs * u.splits) { return; }
  let split = thread / u.outputs;
  var rest = thread - split * u.outputs;
  var p = u.xStart;
  var q = u.yStart + split * u.splitStride;
  for (var axis = 0u; axis < 4u; axis++) {
    let length = u.keptLengths[axis];
    let outer = rest / length;
    let i = rest - outer * length;
    p += i * u.keptStrides[axis];
    q += i * u.yStrides[axis];
    rest = outer;
  }
  var k = split * u.run;
  let end = min(k + u.run, u.count);
  var i0 = k % u.lengths[0];
  var i1 = (k / u.lengths[0]) % u.lengths[1];
  var i2 = (k / (u.lengths[0] * u.lengths[1])) % u.lengths[2];
  let i3 = k / (u.lengths[0] * u.lengths[1] * u.lengths[2]);
  p += i0 * u.strides[0] + i1 * u.strides[1] + i2 * u.strides[2] + i3 * u.strides[3];
  var a = ${START};
  while (k < end) {
    // To the end of the innermost axis, or of the run.
    let n = min(u.lengths[0] - i0, end - k);
    for (var j = 0u; j < n; j++) {
      let v = ${T}(x[p]);
      a = ${COMBINE};
      p += u.strides[0];
    }
    k += n;
    i0 = 0u;
    p += u.strides[1] - u.lengths[0] * u.strides[0];
    i1++;
    if (i1 == u.lengths[1]) {
      i1 = 0u;
      p += u.strides[2] - u.lengths[1] * u.strides[1];
      i2++;
      if (i2 == u.lengths[2]) {
        i2 = 0u;
        p += u.strides[3] - u.lengths[2] * u.strides[2];
      }
    }
  }
  y[q] = ${Y}(a * u.scale);
}
