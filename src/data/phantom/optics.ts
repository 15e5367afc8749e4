/** What a camera does to light: point spread, sharpening, JPEG. All on float planes or bytes, no codec needed. */

/** Gaussian blur of one plane, in place; borders repeat. `sigma` in pixels; nothing under 0.15. */
export function gaussianBlur(plane: Float32Array, size: number, sigma: number, scratch: Float32Array): void {
  if (sigma < 0.15) return;
  const radius = Math.max(1, Math.min(Math.ceil(2.6 * sigma), size - 1));
  const taps = new Float32Array(radius + 1);
  let total = 0;
  for (let k = 0; k <= radius; k++) {
    taps[k] = Math.exp(-(k * k) / (2 * sigma * sigma));
    total += k === 0 ? taps[k] : 2 * taps[k];
  }
  for (let k = 0; k <= radius; k++) taps[k] /= total;
  const last = size - 1;
  for (let y = 0; y < size; y++) {
    const row = y * size;
    for (let x = 0; x < size; x++) {
      let sum = taps[0] * plane[row + x];
      for (let k = 1; k <= radius; k++) {
        const left = x - k < 0 ? 0 : x - k;
        const right = x + k > last ? last : x + k;
        sum += taps[k] * (plane[row + left] + plane[row + right]);
      }
      scratch[row + x] = sum;
    }
  }
  for (let y = 0; y < size; y++) {
    const row = y * size;
    for (let x = 0; x < size; x++) plane[row + x] = taps[0] * scratch[row + x];
    for (let k = 1; k <= radius; k++) {
      const up = (y - k < 0 ? 0 : y - k) * size;
      const down = (y + k > last ? last : y + k) * size;
      const w = taps[k];
      for (let x = 0; x < size; x++) plane[row + x] += w * (scratch[up + x] + scratch[down + x]);
    }
  }
}

// Annex K of ITU-T T.81: the tables that quality settings scale.
const LUMA = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
  14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
  18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
  49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
  24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

// Half cosines of k pi / 16: the orthonormal DCT-II of length 8, split into its even and odd halves.
const [C1, C2, C3, C4, C5, C6, C7] = [1, 2, 3, 4, 5, 6, 7].map((k) => 0.5 * Math.cos((k * Math.PI) / 16));

/** DCT-II of eight values of `a` from `at`, `step` apart, in place. */
function forwardDct(a: Float32Array, at: number, step: number): void {
  const i1 = at + step;
  const i2 = i1 + step;
  const i3 = i2 + step;
  const i4 = i3 + step;
  const i5 = i4 + step;
  const i6 = i5 + step;
  const i7 = i6 + step;
  const s0 = a[at] + a[i7];
  const s1 = a[i1] + a[i6];
  const s2 = a[i2] + a[i5];
  const s3 = a[i3] + a[i4];
  const d0 = a[at] - a[i7];
  const d1 = a[i1] - a[i6];
  const d2 = a[i2] - a[i5];
  const d3 = a[i3] - a[i4];
  a[at] = C4 * (s0 + s1 + s2 + s3);
  a[i4] = C4 * (s0 - s1 - s2 + s3);
  a[i2] = C2 * (s0 - s3) + C6 * (s1 - s2);
  a[i6] = C6 * (s0 - s3) - C2 * (s1 - s2);
  a[i1] = C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3;
  a[i3] = C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3;
  a[i5] = C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3;
  a[i7] = C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3;
}

/** The inverse of `forwardDct`, its transpose. */
function inverseDct(a: Float32Array, at: number, step: number): void {
  const i1 = at + step;
  const i2 = i1 + step;
  const i3 = i2 + step;
  const i4 = i3 + step;
  const i5 = i4 + step;
  const i6 = i5 + step;
  const i7 = i6 + step;
  const sum = C4 * (a[at] + a[i4]);
  const difference = C4 * (a[at] - a[i4]);
  const outer = C2 * a[i2] + C6 * a[i6];
  const inner = C6 * a[i2] - C2 * a[i6];
  const s0 = sum + outer;
  const s3 = sum - outer;
  const s1 = difference + inner;
  const s2 = difference - inner;
  const d0 = C1 * a[i1] + C3 * a[i3] + C5 * a[i5] + C7 * a[i7];
  const d1 = C3 * a[i1] - C7 * a[i3] - C1 * a[i5] - C5 * a[i7];
  const d2 = C5 * a[i1] - C1 * a[i3] + C7 * a[i5] + C3 * a[i7];
  const d3 = C7 * a[i1] - C5 * a[i3] + C3 * a[i5] - C1 * a[i7];
  a[at] = s0 + d0;
  a[i7] = s0 - d0;
  a[i1] = s1 + d1;
  a[i6] = s1 - d1;
  a[i2] = s2 + d2;
  a[i5] = s2 - d2;
  a[i3] = s3 + d3;
  a[i4] = s3 - d3;
}

/** Rounds each 8x8 block's transform to multiples of its table, as libjpeg scales the tables by quality. */
function quantizeBlocks(
  plane: Float32Array,
  width: number,
  height: number,
  table: readonly number[],
  quality: number,
): void {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  const steps = Float32Array.from(table, (v) => Math.min(255, Math.max(1, Math.floor((v * scale + 50) / 100))));
  const inverse = steps.map((v) => 1 / v);
  const a = new Float32Array(64);
  for (let by = 0; by < height; by += 8) {
    for (let bx = 0; bx < width; bx += 8) {
      // Blocks over the rim repeat the last row and column.
      for (let j = 0; j < 8; j++) {
        const row = Math.min(by + j, height - 1) * width;
        for (let i = 0; i < 8; i++) a[j * 8 + i] = plane[row + Math.min(bx + i, width - 1)];
      }
      for (let j = 0; j < 8; j++) forwardDct(a, j * 8, 1);
      for (let i = 0; i < 8; i++) forwardDct(a, i, 8);
      for (let k = 0; k < 64; k++) a[k] = Math.floor(a[k] * inverse[k] + 0.5) * steps[k];
      for (let i = 0; i < 8; i++) inverseDct(a, i, 8);
      for (let j = 0; j < 8; j++) inverseDct(a, j * 8, 1);
      const rows = Math.min(8, height - by);
      const columns = Math.min(8, width - bx);
      for (let j = 0; j < rows; j++) {
        for (let i = 0; i < columns; i++) plane[(by + j) * width + bx + i] = a[j * 8 + i];
      }
    }
  }
}

/**
 * What JPEG of a quality leaves of a picture, in place: YCbCr (JFIF), 8x8 blocks rounded by Annex K's tables. The loss
 * of the format without its bit stream, so that a phantom is the same with and without a codec and in a browser. Chroma
 * keeps its resolution: photographs lose half of it at thousands of pixels, which at a network's size is nothing.
 *
 * @param pixels size x size x 3, RGB
 * @param quality 1 to 100
 */
export function jpegLoss(pixels: Uint8Array, size: number, quality: number): void {
  const n = size * size;
  const luma = new Float32Array(n);
  const cb = new Float32Array(n);
  const cr = new Float32Array(n);
  for (let p = 0; p < n; p++) {
    const r = pixels[3 * p];
    const g = pixels[3 * p + 1];
    const b = pixels[3 * p + 2];
    luma[p] = Math.round(0.299 * r + 0.587 * g + 0.114 * b) - 128;
    cb[p] = Math.round(-0.168736 * r - 0.331264 * g + 0.5 * b);
    cr[p] = Math.round(0.5 * r - 0.418688 * g - 0.081312 * b);
  }
  quantizeBlocks(luma, size, size, LUMA, quality);
  quantizeBlocks(cb, size, size, CHROMA, quality);
  quantizeBlocks(cr, size, size, CHROMA, quality);
  const byte = (v: number): number => (v <= 0 ? 0 : v >= 255 ? 255 : Math.round(v));
  for (let p = 0; p < n; p++) {
    const l = luma[p] + 128;
    pixels[3 * p] = byte(l + 1.402 * cr[p]);
    pixels[3 * p + 1] = byte(l - 0.344136 * cb[p] - 0.714136 * cr[p]);
    pixels[3 * p + 2] = byte(l + 1.772 * cb[p]);
  }
}
