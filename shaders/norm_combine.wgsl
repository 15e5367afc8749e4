// Mean and biased variance of every channel from those of runs of rows, combined in order:
// of counts a and b with means apart by d, mean += d b / (a + b), deviations += deviations_b + d^2 a b / (a + b).
// T is f32, or vec4f along channels. LANES 0: workgroup 64, a thread for each channel; grid ceil(channels / 64). Else a workgroup of LANES
// (64) for each channel: its threads combine every LANES-th run, then what they have by halves; grid channels, folded.
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.

//#include norm_uniforms
@group(0) @binding(1) var<storage, read> partial: array<T>;
@group(0) @binding(2) var<storage, read_write> mean: array<T>;
@group(0) @binding(3) var<storage, read_write> variance: array<T>;

// Rows of so many, their mean and their sum of squared deviations.
struct Part { rows: f32, mean: T, deviations: T }

fn joined(a: Part, b: Part) -> Part {
  let d = b.mean - a.mean;
  let rows = a.rows + b.rows;
  return Part(rows, a.mean + d * (b.rows / rows), a.deviations + (b.deviations + d * d * (a.rows * b.rows / rows)));
}

fn run(split: u32, c: u32) -> Part {
  return Part(f32(min(u.run, u.rows - split * u.run)), partial[2u * split * u.channels + c], partial[(2u * split + 1u) * u.channels + c]);
}

fn store(c: u32, all: Part) {
  mean[u.meanOffset + c] = all.mean;
  variance[u.varianceOffset + c] = all.deviations / f32(u.rows);
}

//#if ${LANES}
const LANES = ${LANES}u;
var<workgroup> parts: array<Part, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.y * groups.x + group.x;
  let lanes = min(LANES, u.splits);
  if (c < u.channels && lane < lanes) {
    var all = run(lane, c);
    for (var split = lane + LANES; split < u.splits; split += LANES) { all = joined(all, run(split, c)); }
    parts[lane] = all;
  }
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (c < u.channels && lane < half && lane + half < lanes) { parts[lane] = joined(parts[lane], parts[lane + half]); }
  }
  if (c < u.channels && lane == 0u) { store(c, parts[0]); }
}
//#else
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * 64u + lane;
  if (c >= u.channels) { return; }
  var all = run(0u, c);
  for (var split = 1u; split < u.splits; split++) { all = joined(all, run(split, c)); }
  store(c, all);
}
//#end
