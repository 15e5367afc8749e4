// V[e][b][c] = (B^T d B)[e] of minimal filtering F(${M} x ${M}, 3 x 3): d are the ${N} x ${N} pixels of x that block b of outputs sees,
// zero outside of the image; e < ${N} * ${N}. Blocks beyond the last are zero, so that sums over blocks may run in steps of four.
// x is stored as T, f32 or its 16-bit kin, or read four channels at a time; TEX: through a texture. A thread is a block and a Real.
// Workgroup 64, grid ceil(count * channels / 64) folded into x and y.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; transforms by tools/winograd.ts.

//#include winograd_uniforms
//#include winograd_f${M}x3
alias Real = ${REAL};
//#input 1 x ${T} ${TEX}
//#include winograd_planes

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 64u + lane;
  if (id >= u.count * u.channels) { return; }
  //#if ${SPREAD}
  let c = id / u.count;
  let b = id - c * u.count;
  //#else
  let b = id / u.channels;
  let c = id - b * u.channels;
  //#end
  let block = u.first + b;
  let image = block / (u.across * u.down);
  let place = block - image * (u.across * u.down);
  // Positions left of or above the image wrap round to large numbers, so one comparison finds both sides.
  let y0 = (place / u.across) * ${M}u - u.top;
  let x0 = (place % u.across) * ${M}u - u.left;
  let source = u.offset + c;
  //#for j ${N}
  let in$j = x0 + $ju < u.width && block < u.all;
  //#end
  //#for i ${N}
  let line$i = (image * u.height + y0 + $iu) * u.width + x0;
  let inside$i = y0 + $iu < u.height;
  //#end
  //#for j ${N}
  var d$j: Line${N};
  //#for i ${N}
  {
    let inside = inside$i && in$j;
    d$j.e$i = select(Real(), Real(loadX(source + select(0u, (line$i + $ju) * u.stride, inside))), inside);
  }
  //#end
  let half$j = inputLine(d$j);
  //#end
  let to = b * u.blockStep + c * u.channelStep;
  //#for i ${N}
  {
    var row: Line${N};
    //#for j ${N}
    row.e$j = half$j.e$i;
    //#end
    let line = inputLine(row);
    //#for j ${N}
    store(to + ($iu * ${N}u + $ju) * u.plane, line.e$j);
    //#end
  }
  //#end
}
