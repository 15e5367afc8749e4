// Which tile of a product a workgroup computes: along x, along y, and of which plane (class of pixels, run of rows). A grid takes so many
// workgroups along an axis: a longer one is cut (foldedGrid of device/webgpu/launch.ts), and its cuts lie along z, beyond the planes. It is x
// where a cut has fewer workgroups than there are `tiles` along x, else y.
fn unfold(id: vec3u, groups: vec3u, tiles: u32, planes: u32) -> vec3u {
  let cut = id.z / planes;
  let ahead = select(vec2u(0u, groups.y), vec2u(groups.x, 0u), groups.x < tiles);
  return vec3u(id.xy + cut * ahead, id.z % planes);
}
