// y = act(A^T m A + bias) of minimal filtering F(${M} x ${M}, 3 x 3), for each block of ${M} x ${M} pixels of an image; m are the ${N} x ${N}
// sums of products M[e][b][k]. Pixels outside of the image are left out.
// y is stored as T, f32 or its 16-bit kin, or four channels at a time; TEX: m is read through a texture. A thread is a block and a Real.
// Workgroup 64, grid ceil(count * channels / 64) folded into x and y.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; transforms by tools/winograd.ts.

//#include winograd_uniforms
//#include winograd_f${M}x3
alias Real = ${REAL};
//#input 1 planes ${REAL} ${TEX}
//#input 2 bias ${REAL} ${TEX}
@group(0) @binding(3) var<storage, read_write> y: array<${T}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 64u + lane;
  if (id >= u.count * u.channels) { return; }
  let b = id / u.channels;
  let k = id - b * u.channels;
  let block = u.first + b;
  let image = block / (u.across * u.down);
  let place = block - image * (u.across * u.down);
  let y0 = (place / u.across) * ${M}u;
  let x0 = (place % u.across) * ${M}u;
  let source = b * u.blockStep + k * u.channelStep;
  //#for j ${N}
  var m$j: Line${N};
  //#for i ${N}
  m$j.e$i = loadPlanes(source + ($iu * ${N}u + $ju) * u.plane);
  //#end
  let half$j = outputLine(m$j);
  //#end
  let add = select(Real(), loadBias(select(0u, u.biasOffset + k, u.hasBias != 0u)), u.hasBias != 0u);
  let to = u.offset + k + ((image * u.height + y0) * u.width + x0) * u.stride;
  //#for i ${M}
  {
    var row: Line${N};
    //#for j ${N}
    row.e$j = half$j.e$i;
    //#end
    let line = outputLine(row);
    //#for j ${M}
    if (y0 + $iu < u.height && x0 + $ju < u.width) {
      let v = line.e$j + add;
      y[to + ($iu * u.width + $ju) * u.stride] = ${T}(select(v, max(v, Real()), u.relu != 0u));
    }
    //#end
  }
  //#end
}
