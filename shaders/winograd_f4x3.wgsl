// The one-dimensional transforms of minimal filtering F(4, 3) with points 0, 5/8, -5/8, 3/2, -3/2, infinity, on values
// of type Real, which is f32 or vec4f where they are included; applied to columns and then to rows they give the two-dimensional ones.
// Written by tools/winograd.ts: npx tsx tools/winograd.ts --write. Not for editing.

struct Line3 { e0: Real, e1: Real, e2: Real }
struct Line4 { e0: Real, e1: Real, e2: Real, e3: Real }
struct Line6 { e0: Real, e1: Real, e2: Real, e3: Real, e4: Real, e5: Real }

// B^T d:
//     225/256        0  -169/64        0  1  0
//           0   -45/32     -9/4      5/8  1  0
//           0    45/32     -9/4     -5/8  1  0
//           0  -75/128   -25/64      3/2  1  0
//           0   75/128   -25/64     -3/2  1  0
//           0  225/256        0  -169/64  0  1
fn inputLine(d: Line6) -> Line6 {
  var line: Line6;
  line.e0 = (-2.640625) * d.e2 + (0.87890625 * d.e0 + d.e4);
  let even0 = (-2.25) * d.e2 + d.e4;
  let odd0 = 0.625 * ((-2.25) * d.e1 + d.e3);
  line.e1 = even0 + odd0;
  line.e2 = even0 - odd0;
  let even1 = (-0.390625) * d.e2 + d.e4;
  let odd1 = 1.5 * ((-0.390625) * d.e1 + d.e3);
  line.e3 = even1 + odd1;
  line.e4 = even1 - odd1;
  line.e5 = (-2.640625) * d.e3 + (0.87890625 * d.e1 + d.e5);
  return line;
}

// G g:
//        256/225         0        0
//     -2048/2975  -256/595  -32/119
//     -2048/2975   256/595  -32/119
//       128/1071    64/357   32/119
//       128/1071   -64/357   32/119
//              0         0        1
fn filterLine(g: Line3) -> Line6 {
  var line: Line6;
  line.e0 = 1.1377778 * g.e0;
  let even0 = (-0.68840337) * (0.390625 * g.e2 + g.e0);
  let odd0 = (-0.4302521) * g.e1;
  line.e1 = even0 + odd0;
  line.e2 = even0 - odd0;
  let even1 = 0.11951447 * (2.25 * g.e2 + g.e0);
  let odd1 = 0.17927171 * g.e1;
  line.e3 = even1 + odd1;
  line.e4 = even1 - odd1;
  line.e5 = g.e2;
  return line;
}

// A^T m:
//     1        1         1     1      1  0
//     0      5/8      -5/8   3/2   -3/2  0
//     0    25/64     25/64   9/4    9/4  0
//     0  125/512  -125/512  27/8  -27/8  1
fn outputLine(m: Line6) -> Line4 {
  var line: Line4;
  let sum0 = m.e1 + m.e2;
  let difference0 = m.e1 - m.e2;
  let sum1 = m.e3 + m.e4;
  let difference1 = m.e3 - m.e4;
  line.e0 = (m.e0 + sum0) + sum1;
  line.e1 = 1.5 * difference1 + 0.625 * difference0;
  line.e2 = 2.25 * sum1 + 0.390625 * sum0;
  line.e3 = 3.375 * difference1 + (0.244140625 * difference0 + m.e5);
  return line;
}

// A y:
//     1     0      0         0
//     1   5/8  25/64   125/512
//     1  -5/8  25/64  -125/512
//     1   3/2    9/4      27/8
//     1  -3/2    9/4     -27/8
//     0     0      0         1
fn outputAdjointLine(y: Line4) -> Line6 {
  var line: Line6;
  line.e0 = y.e0;
  let even0 = 0.390625 * y.e2 + y.e0;
  let odd0 = 0.625 * (0.390625 * y.e3 + y.e1);
  line.e1 = even0 + odd0;
  line.e2 = even0 - odd0;
  let even1 = 2.25 * y.e2 + y.e0;
  let odd1 = 1.5 * (2.25 * y.e3 + y.e1);
  line.e3 = even1 + odd1;
  line.e4 = even1 - odd1;
  line.e5 = y.e3;
  return line;
}

// G^T m:
//     256/225  -2048/2975  -2048/2975  128/1071  128/1071  0
//           0    -256/595     256/595    64/357   -64/357  0
//           0     -32/119     -32/119    32/119    32/119  1
fn filterAdjointLine(m: Line6) -> Line3 {
  var line: Line3;
  let sum0 = (-0.68840337) * (m.e1 + m.e2);
  let difference0 = m.e1 - m.e2;
  let sum1 = 0.11951447 * (m.e3 + m.e4);
  let difference1 = m.e3 - m.e4;
  line.e0 = 1.1377778 * m.e0 + (sum0 + sum1);
  line.e1 = 0.17927171 * difference1 + (-0.4302521) * difference0;
  line.e2 = 2.25 * sum1 + (0.390625 * sum0 + m.e5);
  return line;
}
