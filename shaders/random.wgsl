// Counter-based random numbers: block b of sample n is Philox4x32-10(counter = [b, ids[n], step, 0], key = [seed, key]); element e of a
// sample takes lane e & 3 of block e >> 2. With uniform = (word >> 8) * 2^-24:
//   KIND 0: uniform   1: normal, lanes (0,1) and (2,3): sqrt(-2 log(uniform(a) + 2^-24)) * cos or sin(2 pi uniform(b))
//   KIND 2: 1 where uniform < probability, else 0
// DROPOUT: y = x * scale where uniform >= probability, else 0; x may be y itself.
// Workgroup 64, one block of four elements a thread; grid ceil(samples * blocks / 64) folded into x and y.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011; Box and Muller 1958.

struct Uniforms {
  threads: u32, blocks: u32, perSample: u32, key: u32, seedOffset: u32, stepOffset: u32, idsOffset: u32,
  xOffset: u32, xStride: u32, channels: u32, yOffset: u32, yStride: u32, infinity: u32, probability: f32, scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> seed: array<u32>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
${X}
alias T = f32; alias I = i32; alias B = u32;
//#include math

// Upper 32 bits of a product, from products of halves.
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let low = al * bl;
  let middle = ah * bl + (low >> 16u);
  let cross = al * bh + (middle & 0xffffu);
  return ah * bh + (middle >> 16u) + (cross >> 16u);
}

fn philox(start: vec4u, startKey: vec2u) -> vec4u {
  var c = start;
  var k = startKey;
  for (var round = 0u; round < 10u; round++) {
    c = vec4u(multiplyHigh(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z, multiplyHigh(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let thread = (group.y * groups.x + group.x) * 64u + lane;
  if (thread >= u.threads) { return; }
  let sample = thread / u.blocks;
  let block = thread - sample * u.blocks;
  let words = philox(vec4u(block, ids[u.idsOffset + sample], step[u.stepOffset], 0u), vec2u(seed[u.seedOffset], u.key));
  let uniforms = vec4f(words >> vec4u(8u)) * 5.9604644775390625e-8;
  var values = uniforms;
  if (${KIND}u == 1u) {
    let r = vec2f(sqrt(-2.0 * log(uniforms.x + 5.9604644775390625e-8)), sqrt(-2.0 * log(uniforms.z + 5.9604644775390625e-8)));
    let angle = vec2f(uniforms.y, uniforms.w) * 6.2831853071795864769;
    values = vec4f(r.x * cos(angle.x), r.x * sin(angle.x), r.y * cos(angle.y), r.y * sin(angle.y));
  }
  if (${KIND}u == 2u) { values = select(vec4f(0.0), vec4f(1.0), uniforms < vec4f(u.probability)); }
  for (var lane4 = 0u; lane4 < min(4u, u.perSample - block * 4u); lane4++) {
    let e = sample * u.perSample + block * 4u + lane4;
    let row = e / u.channels;
    let c = e - row * u.channels;
    let at = u.yOffset + row * u.yStride + c;
    //#if ${DROPOUT}
    y[at] = select(${SOURCE} * u.scale, 0.0, uniforms[lane4] < u.probability);
    //#else
    y[at] = values[lane4];
    //#end
  }
}
