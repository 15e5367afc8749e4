// The inner product of a 64 x 64 tile from two panels of 16 steps in workgroup memory: 256 threads, each 4 x 4 results.
// The panels are [step][row or column], a row of them padded by 4 so that neighbouring steps fall on different banks.
const TILE = 64u;
const STEPS = 16u;
const PITCH = 68u;
var<workgroup> left: array<f32, 1088>;
var<workgroup> right: array<f32, 1088>;

struct Tile { row0: vec4f, row1: vec4f, row2: vec4f, row3: vec4f }

fn multiplyPanels(sum: ptr<function, Tile>, tx: u32, ty: u32) {
  for (var k = 0u; k < STEPS; k++) {
    let a = k * PITCH + ty * 4u;
    let b = k * PITCH + tx * 4u;
    let v = vec4f(right[b], right[b + 1u], right[b + 2u], right[b + 3u]);
    (*sum).row0 += left[a] * v;
    (*sum).row1 += left[a + 1u] * v;
    (*sum).row2 += left[a + 2u] * v;
    (*sum).row3 += left[a + 3u] * v;
  }
}
