// One optimizer step over a flat arena, a workgroup a chunk (start, count, segment), with lr and wd of the chunk's segment:
//   g = clip(rescale * factor * gradient) + wd * weight, factor 1, or given behind the learning rate (`factored`); 0 updates nothing
// SGD: momentum' = mu momentum - lr g, weight' = weight + momentum'
// ADAM: mean' = beta1 mean + (1 - beta1) g, variance' = beta2 variance + (1 - beta2) g^2,
//       weight' = weight - lr correction mean' / (sqrt(variance') + epsilon), correction = sqrt(1 - beta2^t) / (1 - beta1^t)
// V is vec4f, or f32 where an arena does not start at a multiple of four elements; chunks may begin and end anywhere.
// A launch covers elements `begin` to `end` of the arenas, which are bound from `begin` on. TEX: what is read of them comes through
// textures, copied before the launch, so that every element is read before it is written.
// Workgroup ${THREADS} (64; 8, the SIMD width, on software adapters), threads striding through the chunk; grid: chunks, folded into x and y.
// Source: MXNet 1.9, sgd_mom_update and adam_update (src/operator/optimizer_op-inl.h); Kingma and Ba 2014.

struct Uniforms {
  chunks: u32, weightOffset: u32, gradOffset: u32, firstOffset: u32, secondOffset: u32, chunksOffset: u32, multipliersOffset: u32,
  rateOffset: u32, stepOffset: u32, clipped: u32, correctBias: u32, factored: u32, infinity: u32,
  weightDecay: f32, rescale: f32, clip: f32, momentum: f32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, epsilon: f32,
  logBeta1: f32, logBeta2: f32,
  begin: u32, end: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
alias V = ${V};
//#input 1 grad ${V} ${TEX}
@group(0) @binding(2) var<storage, read> chunks: array<u32>;
@group(0) @binding(3) var<storage, read> multipliers: array<f32>;
@group(0) @binding(4) var<storage, read> learningRate: array<f32>;
@group(0) @binding(5) var<storage, read_write> weight: array<V>;
@group(0) @binding(6) var<storage, read_write> first: array<V>;
//#if ${ADAM}
@group(0) @binding(7) var<storage, read_write> second: array<V>;
@group(0) @binding(8) var<storage, read> step: array<i32>;
//#if ${TEX}
//#input 9 oldWeight ${V} ${TEX}
//#input 10 oldFirst ${V} ${TEX}
//#input 11 oldSecond ${V} ${TEX}
//#else
fn loadOldWeight(i: u32) -> V { return weight[i]; }
fn loadOldFirst(i: u32) -> V { return first[i]; }
fn loadOldSecond(i: u32) -> V { return second[i]; }
//#end
alias T = f32; alias I = i32; alias B = u32;
//#include math

// 1 - e^x for x <= 0, without cancellation near 0.
fn oneMinusExp(x: f32) -> f32 {
  let series = -x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * (0.0083333338 + x * 0.0013888889)))));
  return select(1.0 - exp(x), series, x > -0.25);
}
//#else
//#if ${TEX}
//#input 7 oldWeight ${V} ${TEX}
//#input 8 oldFirst ${V} ${TEX}
//#else
fn loadOldWeight(i: u32) -> V { return weight[i]; }
fn loadOldFirst(i: u32) -> V { return first[i]; }
//#end
//#end

struct Rates { lr: f32, wd: f32, rescale: f32 }

// The new values of vector i of what is bound: weight, first, second.
struct Updated { weight: V, first: V, second: V }

fn updated(i: u32, rates: Rates) -> Updated {
  var g = rates.rescale * loadGrad(u.gradOffset / ${W}u + i);
  g = select(g, clamp(g, V(-u.clip), V(u.clip)), u.clipped != 0u);
  let w = loadOldWeight(u.weightOffset / ${W}u + i);
  g += rates.wd * w;
  var next: Updated;
  //#if ${ADAM}
  next.first = u.beta1 * loadOldFirst(u.firstOffset / ${W}u + i) + u.rest1 * g;
  next.second = u.beta2 * loadOldSecond(u.secondOffset / ${W}u + i) + u.rest2 * g * g;
  next.weight = w - rates.lr * next.first / (sqrt(next.second) + u.epsilon);
  //#else
  next.first = u.momentum * loadOldFirst(u.firstOffset / ${W}u + i) - rates.lr * g;
  next.weight = w + next.first;
  //#end
  return next;
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let chunk = group.y * groups.x + group.x;
  if (chunk >= u.chunks) { return; }
  let chunkStart = chunks[u.chunksOffset + 3u * chunk];
  let chunkEnd = chunkStart + chunks[u.chunksOffset + 3u * chunk + 1u];
  if (chunkEnd <= u.begin || chunkStart >= u.end) { return; }
  let start = max(chunkStart, u.begin) - u.begin;
  let end = min(chunkEnd, u.end) - u.begin;
  let segment = chunks[u.chunksOffset + 3u * chunk + 2u];
  let factor = select(1.0, learningRate[u.rateOffset + u.factored], u.factored != 0u);
  if (factor == 0.0) { return; }
  var rates: Rates;
  rates.rescale = u.rescale * factor;
  rates.lr = learningRate[u.rateOffset] * multipliers[u.multipliersOffset + 2u * segment];
  rates.wd = u.weightDecay * multipliers[u.multipliersOffset + 2u * segment + 1u];
  //#if ${ADAM}
  let t = f32(step[u.stepOffset]);
  let corrected = rates.lr * sqrt(oneMinusExp(u.logBeta2 * t)) / oneMinusExp(u.logBeta1 * t);
  rates.lr = select(rates.lr, corrected, u.correctBias != 0u);
  //#end
  // Whole vectors within the chunk.
  let firstWhole = (start + ${W}u - 1u) / ${W}u;
  let lastWhole = max(end / ${W}u, firstWhole);
  for (var i = firstWhole + lane; i < lastWhole; i += ${THREADS}u) {
    let next = updated(i, rates);
    weight[u.weightOffset / ${W}u + i] = next.weight;
    first[u.firstOffset / ${W}u + i] = next.first;
    //#if ${ADAM}
    second[u.secondOffset / ${W}u + i] = next.second;
    //#end
  }
  //#if ${VEC}
  // Up to three elements before and after these: lanes 0 to 3 and 4 to 7.
  let element = select(4u * lastWhole + lane - 4u, start + lane, lane < 4u);
  let limit = select(end, min(4u * firstWhole, end), lane < 4u);
  if (lane < 8u && element < limit) {
    let i = element / 4u;
    let q = element % 4u;
    let next = updated(i, rates);
    weight[u.weightOffset / 4u + i][q] = next.weight[q];
    first[u.firstOffset / 4u + i][q] = next.first[q];
    //#if ${ADAM}
    second[u.secondOffset / 4u + i][q] = next.second[q];
    //#end
  }
  //#end
}
