// Mean and sum of squared deviations of every channel over a run of rows: partial[split] = (mean[channels], deviations[channels]).
// One pass, about the run's first row as a shift: with d = x - x[first], mean = x[first] + sum d / n and
// deviations = sum d^2 - (sum d)^2 / n, which keeps its digits however far the data lie from zero.
// TEX: inputs are read through textures. T is f32, or vec4f along channels;
// XT is that or its 16-bit kin, in which x is stored. Workgroup 64, a thread for each channel and run; grid ceil(channels * splits / 64).
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983 (shifted data; the combination, in norm_combine).

//#include norm_uniforms
//#input 1 x ${XT} ${TEX}
@group(0) @binding(2) var<storage, read_write> partial: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  let part = i / u.channels;
  let c = i - part * u.channels;
  let first = part * u.run;
  if (first >= u.window) { return; }
  let end = min(first + u.run, u.window);
  var p = u.xOffset + first * u.xStride + c;
  let shift = T(loadX(p));
  var sum = T(0.0);
  var squares = T(0.0);
  for (var row = first; row < end; row++) {
    let d = T(loadX(p)) - shift;
    sum += d;
    squares += d * d;
    p += u.xStride;
  }
  let n = f32(end - first);
  let split = u.firstSplit + part;
  partial[2u * split * u.channels + c] = shift + sum / n;
  partial[(2u * split + 1u) * u.channels + c] = max(squares - sum * sum / n, T(0.0));
}
