// Red, green, blue of 0 to 255, moved in hue (degrees), lightness and saturation (255ths), each cut to its range. HLS as OpenCV has it;
// back by 255 (l - a max(-1, min(k - 3, 9 - k, 1))), k = n + h / 30 modulo 12 (CSS Color 4, section 7.1). x may be y itself.
// Workgroup 64, one pixel a thread; grid ceil(pixels / 64) folded into x and y.

struct Uniforms {
  pixels: u32, perImage: u32, xOffset: u32, xStride: u32, shiftOffset: u32, shiftStride: u32, yOffset: u32, yStride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
${X}

fn channelOf(n: f32, h: f32, l: f32, a: f32) -> f32 {
  var k = n + h / 30.0;
  if (k >= 12.0) { k -= 12.0; }
  return 255.0 * (l - a * max(-1.0, min(min(k - 3.0, 9.0 - k), 1.0)));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pixel = (group.y * groups.x + group.x) * 64u + lane;
  if (pixel >= u.pixels) { return; }
  let at = u.xOffset + pixel * u.xStride;
  let by = u.shiftOffset + pixel / u.perImage * u.shiftStride;
  let r = clamp(${SOURCE}[at], 0.0, 255.0);
  let g = clamp(${SOURCE}[at + 1u], 0.0, 255.0);
  let b = clamp(${SOURCE}[at + 2u], 0.0, 255.0);
  let most = max(r, max(g, b));
  let least = min(r, min(g, b));
  let span = most - least;
  let sum = most + least;
  var h = 0.0;
  var s = 0.0;
  if (span > 0.0) {
    if (most == r) { h = 60.0 * (g - b) / span; } else if (most == g) { h = 120.0 + 60.0 * (b - r) / span; } else { h = 240.0 + 60.0 * (r - g) / span; }
    if (h < 0.0) { h += 360.0; }
    s = span / select(510.0 - sum, sum, sum < 255.0);
  }
  h = clamp(h + shift[by], 0.0, 360.0);
  let l = clamp(sum / 510.0 + shift[by + 1u] / 255.0, 0.0, 1.0);
  let a = clamp(s + shift[by + 2u] / 255.0, 0.0, 1.0) * min(l, 1.0 - l);
  let to = u.yOffset + pixel * u.yStride;
  y[to] = channelOf(0.0, h, l, a);
  y[to + 1u] = channelOf(8.0, h, l, a);
  y[to + 2u] = channelOf(4.0, h, l, a);
}
