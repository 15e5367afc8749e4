// sums = (sum dy, sum dy * h) of every channel from those of runs of rows, added in order; dbeta and dgamma (0 where fixed) are these.
// T is f32, or vec4f along channels. LANES 0: workgroup 64, a thread for each channel; grid ceil(channels / 64). Else a workgroup of LANES
// (64) for each channel: its threads add up every LANES-th run, then what they have by halves; grid channels, folded.

//#include norm_uniforms
@group(0) @binding(1) var<storage, read> partial: array<T>;
@group(0) @binding(2) var<storage, read_write> sums: array<T>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<T>;
@group(0) @binding(4) var<storage, read_write> dbeta: array<T>;

struct Sums { sum: T, product: T }

fn added(first: u32, step: u32, c: u32) -> Sums {
  var all = Sums();
  for (var split = first; split < u.splits; split += step) {
    all.sum += partial[2u * split * u.channels + c];
    all.product += partial[(2u * split + 1u) * u.channels + c];
  }
  return all;
}

fn store(c: u32, all: Sums) {
  sums[c] = all.sum;
  sums[u.channels + c] = all.product;
  dgamma[u.gammaOffset + c] = select(all.product, T(0.0), u.fixGamma != 0u);
  dbeta[u.betaOffset + c] = all.sum;
}

//#if ${LANES}
const LANES = ${LANES}u;
var<workgroup> parts: array<Sums, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.y * groups.x + group.x;
  if (c < u.channels) { parts[lane] = added(lane, LANES, c); }
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] = Sums(parts[lane].sum + parts[lane + half].sum, parts[lane].product + parts[lane + half].product); }
  }
  if (c < u.channels && lane == 0u) { store(c, parts[0]); }
}
//#else
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * 64u + lane;
  if (c >= u.channels) { return; }
  store(c, added(0u, 1u, c));
}
//#end
