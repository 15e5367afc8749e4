// sums = (sum dy, sum dy * h) of every channel from those of runs of rows, added in order; dbeta and dgamma (0 where fixed) are these.
// T is f32, or vec4f along channels. Workgroup 64, a thread for each channel; grid ceil(channels / 64).

//#include norm_uniforms
@group(0) @binding(1) var<storage, read> partial: array<T>;
@group(0) @binding(2) var<storage, read_write> sums: array<T>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<T>;
@group(0) @binding(4) var<storage, read_write> dbeta: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * 64u + lane;
  if (c >= u.channels) { return; }
  var sum = T(0.0);
  var product = T(0.0);
  for (var split = 0u; split < u.splits; split++) {
    sum += partial[2u * split * u.channels + c];
    product += partial[(2u * split + 1u) * u.channels + c];
  }
  sums[c] = sum;
  sums[u.channels + c] = product;
  dgamma[u.gammaOffset + c] = select(product, T(0.0), u.fixGamma != 0u);
  dbeta[u.betaOffset + c] = sum;
}
