// What the products of minimal filtering are told; src/ops/webgpu/winograd.ts. depth, and what is of operands,
// in vectors of four.
struct Uniforms {
  rows: u32, columns: u32, depth: u32,
  // Of the operands: from row to row or column to column, plane to plane.
  itemStep: u32, rowsPlane: u32, columnsPlane: u32,
  // Of the results, in elements: from row to row, column to column, plane to plane.
  rowStep: u32, columnStep: u32, plane: u32,
  // Whether the products are added to what is there: sums over blocks go on from pass to pass.
  accumulate: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
