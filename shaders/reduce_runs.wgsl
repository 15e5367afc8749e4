// y[o] = scale * reduction of x[split][o] over the splits into which reduce.wgsl cut a long reduction: the second launch on hardware.
// A workgroup of 64 for each output: its threads combine every 64th partial result, then what they have by halves.
// T, X, Y and COMBINE as in reduce.wgsl; grid outputs, folded.

//#include reduce_uniforms
@group(0) @binding(1) var<storage, read> x: array<${X}>;
@group(0) @binding(2) var<storage, read_write> y: array<${Y}>;
const LANES = 64u;
var<workgroup> parts: array<${T}, LANES>;

fn combined(a: ${T}, v: ${T}) -> ${T} { return ${COMBINE}; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let o = group.y * groups.x + group.x;
  let lanes = min(LANES, u.count);
  if (o < u.outputs && lane < lanes) {
    var a = x[lane * u.outputs + o];
    for (var split = lane + LANES; split < u.count; split += LANES) { a = combined(a, x[split * u.outputs + o]); }
    parts[lane] = a;
  }
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half && lane + half < lanes) { parts[lane] = combined(parts[lane], parts[lane + half]); }
  }
  if (o >= u.outputs || lane > 0u) { return; }
  var rest = o;
  var q = u.yStart;
  for (var axis = 0u; axis < 4u; axis++) {
    let outer = rest / u.keptLengths[axis];
    q += (rest - outer * u.keptLengths[axis]) * u.yStrides[axis];
    rest = outer;
  }
  y[q] = ${Y}(parts[0] * u.scale);
}
