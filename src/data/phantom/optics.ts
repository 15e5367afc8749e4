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
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87,
  80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92,
  95, 98, 112, 100, 103, 99,
];
const CHROMA = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99,
];

/** Orthonormal DCT-II of length 8: row k, column n. */
const DCT = Float32Array.from({ length: 64 }, (_, i) => {
  const k = i >> 3;
  const n = i & 7;
  return (k === 0 ? Math.sqrt(1 / 8) : 0.5) * Math.cos(((2 * n + 1) * k * Math.PI) / 16);
});

/** Rounds each 8x8 block's transform to multiples of its table, as libjpeg scales the tables by quality. */
function quantizeBlocks(plane: Float32Array, width: number, height: number, table: readonly number[], quality: number): void {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  const steps = table.map((v) => Math.min(255, Math.max(1, Math.floor((v * scale + 50) / 100))));
  const a = new Float32Array(64);
  const b = new Float32Array(64);
  for (let by = 0; by < height; by += 8) {
    for (let bx = 0; bx < width; bx += 8) {
      for (let j = 0; j < 8; j++) {
        const row = Math.min(by + j, height - 1) * width;
        for (let i = 0; i < 8; i++) a[j * 8 + i] = plane[row + Math.min(bx + i, width - 1)];
      }
      for (let j = 0; j < 8; j++) {
        for (let k = 0; k < 8; k++) {
          let sum = 0;
          for (let n = 0; n < 8; n++) sum += a[j * 8 + n] * DCT[k * 8 + n];
          b[j * 8 + k] = sum;
        }
      }
      for (let k = 0; k < 8; k++) {
        for (let l = 0; l < 8; l++) {
          let sum = 0;
          for (let n = 0; n < 8; n++) sum += b[n * 8 + l] * DCT[k * 8 + n];
          const step = steps[k * 8 + l];
          a[k * 8 + l] = Math.round(sum / step) * step;
        }
      }
      for (let k = 0; k < 8; k++) {
        for (let i = 0; i < 8; i++) {
          let sum = 0;
          for (let l = 0; l < 8; l++) sum += a[k * 8 + l] * DCT[l * 8 + i];
          b[k * 8 + i] = sum;
        }
      }
      const rows = Math.min(8, height - by);
      const columns = Math.min(8, width - bx);
      for (let j = 0; j < rows; j++) {
        for (let i = 0; i < columns; i++) {
          let sum = 0;
          for (let k = 0; k < 8; k++) sum += b[k * 8 + i] * DCT[k * 8 + j];
          plane[(by + j) * width + bx + i] = sum;
        }
      }
    }
  }
}

/**
 * What JPEG of a quality leaves of a picture, in place: YCbCr (JFIF), chroma halved both ways, 8x8 blocks rounded by
 * Annex K's tables. The loss of the format without its bit stream, so that a phantom is the same with and without a
 * codec and in a browser.
 *
 * @param pixels size x size x 3, RGB
 * @param quality 1 to 100
 */
export function jpegLoss(pixels: Uint8Array, size: number, quality: number): void {
  const n = size * size;
  const luma = new Float32Array(n);
  const halfSize = (size + 1) >> 1;
  const cb = new Float32Array(halfSize * halfSize);
  const cr = new Float32Array(halfSize * halfSize);
  const count = new Uint8Array(halfSize * halfSize);
  for (let y = 0, p = 0; y < size; y++) {
    for (let x = 0; x < size; x++, p++) {
      const r = pixels[3 * p];
      const g = pixels[3 * p + 1];
      const b = pixels[3 * p + 2];
      luma[p] = 0.299 * r + 0.587 * g + 0.114 * b - 128;
      const h = (y >> 1) * halfSize + (x >> 1);
      cb[h] += -0.168736 * r - 0.331264 * g + 0.5 * b;
      cr[h] += 0.5 * r - 0.418688 * g - 0.081312 * b;
      count[h]++;
    }
  }
  for (let h = 0; h < cb.length; h++) {
    cb[h] /= count[h];
    cr[h] /= count[h];
  }
  quantizeBlocks(luma, size, size, LUMA, quality);
  quantizeBlocks(cb, halfSize, halfSize, CHROMA, quality);
  quantizeBlocks(cr, halfSize, halfSize, CHROMA, quality);
  const byte = (v: number): number => (v < 0 ? 0 : v > 255 ? 255 : Math.round(v));
  for (let y = 0, p = 0; y < size; y++) {
    // Chroma is interpolated between its samples' centres, as decoders do by default.
    const v = Math.min(Math.max((y - 0.5) / 2, 0), halfSize - 1);
    const v0 = v | 0;
    const v1 = Math.min(v0 + 1, halfSize - 1);
    const fv = v - v0;
    for (let x = 0; x < size; x++, p++) {
      const u = Math.min(Math.max((x - 0.5) / 2, 0), halfSize - 1);
      const u0 = u | 0;
      const u1 = Math.min(u0 + 1, halfSize - 1);
      const fu = u - u0;
      const w00 = (1 - fu) * (1 - fv);
      const w01 = fu * (1 - fv);
      const w10 = (1 - fu) * fv;
      const w11 = fu * fv;
      const i00 = v0 * halfSize + u0;
      const i01 = v0 * halfSize + u1;
      const i10 = v1 * halfSize + u0;
      const i11 = v1 * halfSize + u1;
      const b = w00 * cb[i00] + w01 * cb[i01] + w10 * cb[i10] + w11 * cb[i11];
      const r = w00 * cr[i00] + w01 * cr[i01] + w10 * cr[i10] + w11 * cr[i11];
      const l = luma[p] + 128;
      pixels[3 * p] = byte(l + 1.402 * r);
      pixels[3 * p + 1] = byte(l - 0.344136 * b - 0.714136 * r);
      pixels[3 * p + 2] = byte(l + 1.772 * b);
    }
  }
}
