// Where vector i of a value lies in the texture that it is read through, 4096 texels wide.
fn texel(i: u32) -> vec2u { return vec2u(i % 4096u, i / 4096u); }
