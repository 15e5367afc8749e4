// What the pooling kernels are told, and where a window lies. Channels, offsets and strides are in units of T.
struct Uniforms {
  total: u32, channels: u32, inH: u32, inW: u32, outH: u32, outW: u32, sizeH: u32, sizeW: u32, strideH: u32, strideW: u32,
  padTop: u32, padBottom: u32, padLeft: u32, padRight: u32, countPadding: u32,
  xOffset: u32, xStride: u32, yOffset: u32, yStride: u32, outOffset: u32, outStride: u32, resultOffset: u32, resultStride: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
alias T = ${T};

// Rows top .. bottom and columns left .. right of the image, ends excluded; `places` of the window are within the padded image.
struct Window { top: u32, bottom: u32, left: u32, right: u32, places: u32 }

fn window(oy: u32, ox: u32) -> Window {
  let y0 = oy * u.strideH;
  let x0 = ox * u.strideW;
  let y1 = min(y0 + u.sizeH, u.inH + u.padTop + u.padBottom);
  let x1 = min(x0 + u.sizeW, u.inW + u.padLeft + u.padRight);
  var w: Window;
  w.top = max(y0, u.padTop) - u.padTop;
  w.left = max(x0, u.padLeft) - u.padLeft;
  w.bottom = min(max(y1, u.padTop) - u.padTop, u.inH);
  w.right = min(max(x1, u.padLeft) - u.padLeft, u.inW);
  w.places = (y1 - y0) * (x1 - x0);
  return w;
}

fn divisor(w: Window) -> f32 {
  return f32(select((w.bottom - w.top) * (w.right - w.left), w.places, u.countPadding != 0u));
}
