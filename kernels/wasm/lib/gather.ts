/** Windows of pixels as rows of a matrix: for layers of few channels, where a tap alone fills no vector. */
import { addr, copyRun, int, zeroRun } from './simd';

// Words of a convolution's shape, from the first of them on.
const OUT_H: i32 = 0;
const OUT_W: i32 = 1;
const IN_H: i32 = 2;
const IN_W: i32 = 3;
const C: i32 = 4;
const R: i32 = 6;
const S: i32 = 7;
const STRIDE_H: i32 = 8;
const STRIDE_W: i32 = 9;
const TOP: i32 = 10;
const LEFT: i32 = 11;
const DILATION_H: i32 = 12;
const DILATION_W: i32 = 13;
const X_STRIDE: i32 = 14;

/**
 * Copies what `rows` output pixels see of x, (r, s, c) in order, to rows of `rowBytes` bytes.
 *
 * @param shape where the words of the shape begin: outH, outW, inH, inW, c, k, r, s, strides, pads, dilations, bytes of a pixel
 */
export function gatherWindows(x: usize, shape: usize, to: usize, rowBytes: usize, firstRow: i32, rows: i32): void {
  const outH = int(shape, OUT_H), outW = int(shape, OUT_W), inH = int(shape, IN_H), inW = int(shape, IN_W);
  const r = int(shape, R), s = int(shape, S), dh = int(shape, DILATION_H), dw = int(shape, DILATION_W);
  const xStride = addr(shape, X_STRIDE);
  const channelBytes = (<usize>int(shape, C)) << 2;
  const joined = dw == 1 && xStride == channelBytes;
  const lineBytes = (<usize>s) * channelBytes;
  for (let row = 0; row < rows; row++) {
    const m = firstRow + row;
    const image = m / (outH * outW);
    const pixel = m - image * (outH * outW);
    const oh = pixel / outW;
    const h0 = oh * int(shape, STRIDE_H) - int(shape, TOP);
    const w0 = (pixel - oh * outW) * int(shape, STRIDE_W) - int(shape, LEFT);
    let q = to + (<usize>row) * rowBytes;
    for (let i = 0, h = h0; i < r; i++, h += dh) {
      if (<u32>h >= <u32>inH) {
        zeroRun(q, lineBytes);
        q += lineBytes;
        continue;
      }
      const line = x + (<usize>(image * inH + h)) * (<usize>inW) * xStride;
      if (joined && w0 >= 0 && w0 + s <= inW) {
        copyRun(q, line + (<usize>w0) * xStride, lineBytes);
        q += lineBytes;
        continue;
      }
      for (let j = 0, w = w0; j < s; j++, w += dw) {
        if (<u32>w < <u32>inW) copyRun(q, line + (<usize>w) * xStride, channelBytes);
        else zeroRun(q, channelBytes);
        q += channelBytes;
      }
    }
  }
}
