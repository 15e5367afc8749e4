// What a thread's place in its subgroup is, how many threads that has, and which thread has the next place: out[thread] = [place, threads,
// next thread, 0]. Kernels take the first and the last to follow from the thread's index.
@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(subgroup_invocation_id) place: u32, @builtin(subgroup_size) size: u32) {
  out[lane] = vec4u(place, size, subgroupShuffle(lane, (place + 1u) % size), 0u);
}
