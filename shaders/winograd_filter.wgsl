// U[e][k][c] = (G g G^T)[e] of minimal filtering F(${M} x ${M}, 3 x 3), for each filter k and channel c; e < ${N} * ${N}.
// w is stored as T, f32 or its 16-bit kin, or read four channels at a time; TEX: through a texture. A thread is a filter and a Real,
// or, with FOUR_FILTERS, four filters and a channel: in the gradient by the input filters lie side by side. Workgroup 64, grid
// ceil(filters * channels / 64) folded into x and y.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; transforms by tools/winograd.ts.

//#include winograd_filter_uniforms
//#include winograd_f${M}x3
alias Real = ${REAL};
//#input 1 w ${T} ${TEX}
@group(0) @binding(2) var<storage, read_write> planes: array<Real>;

//#if ${FOUR_FILTERS}
fn tap(at: u32, c: u32) -> vec4f {
  let next = 9u * u.stride;
  return vec4f(loadW(at)[c % 4u], loadW(at + next)[c % 4u], loadW(at + 2u * next)[c % 4u], loadW(at + 3u * next)[c % 4u]);
}
//#else
fn tap(at: u32, c: u32) -> Real { return Real(loadW(at)); }
//#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 64u + lane;
  if (id >= u.filters * u.channels) { return; }
  //#if ${FOUR_FILTERS}
  let c = id / u.filters;
  let k = id - c * u.filters;
  //#else
  let k = id / u.channels;
  let c = id - k * u.channels;
  //#end
  //#if ${FOUR_FILTERS}
  let source = u.offset + k * 36u * u.stride + c / 4u;
  //#else
  let source = u.offset + k * 9u * u.stride + c;
  //#end
  let turned = u.turned != 0u;
  //#for j 3
  var g$j: Line3;
  //#for i 3
  g$j.e$i = tap(source + select($iu * 3u + $ju, 8u - ($iu * 3u + $ju), turned) * u.stride, c);
  //#end
  let half$j = filterLine(g$j);
  //#end
  let to = k * u.filterStep + c * u.channelStep;
  //#for i ${N}
  {
    var row: Line3;
    //#for j 3
    row.e$j = half$j.e$i;
    //#end
    let line = filterLine(row);
    //#for j ${N}
    planes[to + ($iu * ${N}u + $ju) * u.plane] = line.e$j;
    //#end
  }
  //#end
}
