// dw = G^T s G of minimal filtering F(${M} x ${M}, 3 x 3), for each filter k and channel c; s are the ${N} x ${N} sums over blocks S[e][k][c] of
// the transformed gradient by the transformed input. The adjoint of winograd_filter.wgsl.
// dw is stored as T, f32 or its 16-bit kin, or four channels at a time; TEX: s is read through a texture. A thread is a filter and a
// Real. Workgroup 64, grid ceil(filters * channels / 64) folded into x and y.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; transforms by tools/winograd.ts.

//#include winograd_filter_uniforms
//#include winograd_f${M}x3
alias Real = ${REAL};
//#input 1 planes ${REAL} ${TEX}
@group(0) @binding(2) var<storage, read_write> dw: array<${T}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 64u + lane;
  if (id >= u.filters * u.channels) { return; }
  let k = id / u.channels;
  let c = id - k * u.channels;
  let source = k * u.filterStep + c * u.channelStep;
  //#for j ${N}
  var s$j: Line${N};
  //#for i ${N}
  s$j.e$i = loadPlanes(source + ($iu * ${N}u + $ju) * u.plane);
  //#end
  let half$j = filterAdjointLine(s$j);
  //#end
  let to = u.offset + k * 9u * u.stride + c;
  //#for i 3
  {
    var row: Line${N};
    //#for j ${N}
    row.e$j = half$j.e$i;
    //#end
    let line = filterAdjointLine(row);
    //#for j 3
    dw[to + ($iu * 3u + $ju) * u.stride] = ${T}(line.e$j);
    //#end
  }
  //#end
}
