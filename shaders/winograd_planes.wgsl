// The transformed values that a kernel of minimal filtering writes. SPREAD: the channels of a vector do not lie side by side, items do,
// and threads run along items first.
//#if ${SPREAD}
@group(0) @binding(2) var<storage, read_write> planes: array<f32>;
fn store(at: u32, v: vec4f) {
  //#for q 4
  planes[at + $qu * (u.channelStep / 4u)] = v[$q];
  //#end
}
//#else
@group(0) @binding(2) var<storage, read_write> planes: array<Real>;
fn store(at: u32, v: Real) { planes[at] = v; }
//#end
