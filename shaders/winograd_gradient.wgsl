// W[e][b][k] = (A dY A^T)[e] of minimal filtering F(${M} x ${M}, 3 x 3): dY are the ${M} x ${M} pixels of block b of an output's gradient,
// zero outside of the image; e < ${N} * ${N}. The adjoint of winograd_output.wgsl. Blocks beyond the last are zero.
// dy is stored as T, f32 or its 16-bit kin, or read four channels at a time; TEX: through a texture. A thread is a block and a Real.
// Workgroup 64, grid ceil(count * channels / 64) folded into x and y.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; transforms by tools/winograd.ts.

//#include winograd_uniforms
//#include winograd_f${M}x3
alias Real = ${REAL};
//#input 1 dy ${T} ${TEX}
//#include winograd_planes

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 64u + lane;
  if (id >= u.count * u.channels) { return; }
  //#if ${SPREAD}
  let k = id / u.count;
  let b = id - k * u.count;
  //#else
  let b = id / u.channels;
  let k = id - b * u.channels;
  //#end
  let block = u.first + b;
  let image = block / (u.across * u.down);
  let place = block - image * (u.across * u.down);
  let y0 = (place / u.across) * ${M}u;
  let x0 = (place % u.across) * ${M}u;
  let source = u.offset + k + ((image * u.height + y0) * u.width + x0) * u.stride;
  //#for j ${M}
  let in$j = x0 + $ju < u.width && block < u.all;
  //#end
  //#for j ${M}
  var d$j: Line${M};
  //#for i ${M}
  {
    let inside = y0 + $iu < u.height && in$j;
    d$j.e$i = select(Real(), Real(loadDy(select(0u, source + ($iu * u.width + $ju) * u.stride, inside))), inside);
  }
  //#end
  let half$j = outputAdjointLine(d$j);
  //#end
  let to = b * u.blockStep + k * u.channelStep;
  //#for i ${N}
  {
    var row: Line${M};
    //#for j ${M}
    row.e$j = half$j.e$i;
    //#end
    let line = outputAdjointLine(row);
    //#for j ${N}
    store(to + ($iu * ${N}u + $ju) * u.plane, line.e$j);
    //#end
  }
  //#end
}
