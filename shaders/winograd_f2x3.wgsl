// The one-dimensional transforms of minimal filtering F(2, 3) with points 0, 1, -1, infinity, on values
// of type Real, which is f32 or vec4f where they are included; applied to columns and then to rows they give the two-dimensional ones.
// Written by tools/winograd.ts: npx tsx tools/winograd.ts --write. Not for editing.

struct Line2 { e0: Real, e1: Real }
struct Line3 { e0: Real, e1: Real, e2: Real }
struct Line4 { e0: Real, e1: Real, e2: Real, e3: Real }

// B^T d:
//     1   0  -1  0
//     0   1   1  0
//     0  -1   1  0
//     0  -1   0  1
fn inputLine(d: Line4) -> Line4 {
  var line: Line4;
  line.e0 = d.e0 - d.e2;
  line.e1 = d.e2 + d.e1;
  line.e2 = d.e2 - d.e1;
  line.e3 = d.e3 - d.e1;
  return line;
}

// G g:
//       1     0    0
//     1/2   1/2  1/2
//     1/2  -1/2  1/2
//       0     0    1
fn filterLine(g: Line3) -> Line4 {
  var line: Line4;
  line.e0 = g.e0;
  let even0 = 0.5 * (g.e0 + g.e2);
  let odd0 = 0.5 * g.e1;
  line.e1 = even0 + odd0;
  line.e2 = even0 - odd0;
  line.e3 = g.e2;
  return line;
}

// A^T m:
//     1  1   1  0
//     0  1  -1  1
fn outputLine(m: Line4) -> Line2 {
  var line: Line2;
  let sum0 = m.e1 + m.e2;
  let difference0 = m.e1 - m.e2;
  line.e0 = m.e0 + sum0;
  line.e1 = difference0 + m.e3;
  return line;
}

// A y:
//     1   0
//     1   1
//     1  -1
//     0   1
fn outputAdjointLine(y: Line2) -> Line4 {
  var line: Line4;
  line.e0 = y.e0;
  line.e1 = y.e0 + y.e1;
  line.e2 = y.e0 - y.e1;
  line.e3 = y.e1;
  return line;
}

// G^T m:
//     1  1/2   1/2  0
//     0  1/2  -1/2  0
//     0  1/2   1/2  1
fn filterAdjointLine(m: Line4) -> Line3 {
  var line: Line3;
  let sum0 = m.e1 + m.e2;
  let difference0 = m.e1 - m.e2;
  line.e0 = 0.5 * sum0 + m.e0;
  line.e1 = 0.5 * difference0;
  line.e2 = 0.5 * sum0 + m.e3;
  return line;
}
