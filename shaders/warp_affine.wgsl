// y[n,i,j] = x[n] at column u = m0 j + m1 i + m2 and row v = m3 j + m4 i + m5, of four pixels by bilinear weights; `fill` outside.
// Workgroup 64, one pixel a thread; grid ceil(pixels / 64) folded into x and y.

struct Uniforms {
  pixels: u32, height: u32, width: u32, channels: u32, xOffset: u32, xStride: u32, mOffset: u32, mStride: u32, yOffset: u32, yStride: u32,
  fill: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn corner(image: u32, row: i32, column: i32, c: u32) -> f32 {
  if (row < 0 || column < 0 || row >= i32(u.height) || column >= i32(u.width)) { return u.fill; }
  return x[u.xOffset + ((image * u.height + u32(row)) * u.width + u32(column)) * u.xStride + c];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pixel = (group.y * groups.x + group.x) * 64u + lane;
  if (pixel >= u.pixels) { return; }
  let line = pixel / u.width;
  let image = line / u.height;
  let i = f32(line - image * u.height);
  let j = f32(pixel - line * u.width);
  let at = u.mOffset + image * u.mStride;
  let column = m[at] * j + (m[at + 1u] * i + m[at + 2u]);
  let row = m[at + 3u] * j + (m[at + 4u] * i + m[at + 5u]);
  let left = floor(column);
  let top = floor(row);
  let near = left >= -1.0 && left < f32(u.width) && top >= -1.0 && top < f32(u.height);
  let to = u.yOffset + pixel * u.yStride;
  let a = column - left;
  let b = row - top;
  for (var c = 0u; c < u.channels; c++) {
    var value = u.fill;
    if (near) {
      let r = i32(top);
      let l = i32(left);
      let upper = (1.0 - a) * corner(image, r, l, c) + a * corner(image, r, l + 1, c);
      let lower = (1.0 - a) * corner(image, r + 1, l, c) + a * corner(image, r + 1, l + 1, c);
      value = (1.0 - b) * upper + b * lower;
    }
    y[to + c] = value;
  }
}
