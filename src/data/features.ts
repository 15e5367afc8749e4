/**
 * What a picture is like without looking at lesions: figures of a square RGB image, for logistic baselines of
 * photographs and for the probes of the phantom.
 */

const PERCENTILES = [1, 5, 10, 25, 50, 75, 90, 95, 99];

/** Mean, standard deviation, skewness and nine percentiles of each channel within the field (lum > 12), 36 numbers. */
export function channelStatistics(pixels: Uint8Array, size: number): number[] {
  const features: number[] = [];
  for (let c = 0; c < 3; c++) {
    const histogram = new Float64Array(256);
    let count = 0;
    for (let p = 0; p < size * size; p++) {
      if (pixels[3 * p] + pixels[3 * p + 1] + pixels[3 * p + 2] <= 36) continue;
      histogram[pixels[3 * p + c]]++;
      count++;
    }
    let mean = 0;
    for (let v = 0; v < 256; v++) mean += (v * histogram[v]) / count;
    let m2 = 0;
    let m3 = 0;
    for (let v = 0; v < 256; v++) {
      m2 += ((v - mean) ** 2 * histogram[v]) / count;
      m3 += ((v - mean) ** 3 * histogram[v]) / count;
    }
    features.push(mean, Math.sqrt(m2), m3 / Math.max(m2, 1e-6) ** 1.5);
    for (const q of PERCENTILES) {
      let below = 0;
      let v = 0;
      while (v < 255 && below + histogram[v] < (q / 100) * count) below += histogram[v++];
      features.push(v);
    }
  }
  return features;
}

/** The picture averaged down to 8 x 8 pixels, 192 numbers. */
export function thumbnail(pixels: Uint8Array, size: number, side = 8): number[] {
  const sum = new Float64Array(side * side * 3);
  const count = new Float64Array(side * side);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const cell = Math.floor((y * side) / size) * side + Math.floor((x * side) / size);
      count[cell]++;
      for (let c = 0; c < 3; c++) sum[3 * cell + c] += pixels[3 * (y * size + x) + c];
    }
  }
  return Array.from(sum, (v, i) => v / count[Math.floor(i / 3)]);
}

/** Mean and standard deviation of each channel in 12 rings about the middle, 72 numbers. */
export function radialProfile(pixels: Uint8Array, size: number, rings = 12): number[] {
  const sums = new Float64Array(rings * 7);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const rho = Math.hypot(x + 0.5 - size / 2, y + 0.5 - size / 2) / (size / 2);
      const ring = Math.floor(rho * rings);
      if (ring >= rings) continue;
      sums[ring * 7]++;
      for (let c = 0; c < 3; c++) {
        const v = pixels[3 * (y * size + x) + c];
        sums[ring * 7 + 1 + c] += v;
        sums[ring * 7 + 4 + c] += v * v;
      }
    }
  }
  const features: number[] = [];
  for (let r = 0; r < rings; r++) {
    for (let c = 0; c < 3; c++) {
      const mean = sums[r * 7 + 1 + c] / sums[r * 7];
      features.push(mean, Math.sqrt(Math.max(0, sums[r * 7 + 4 + c] / sums[r * 7] - mean * mean)));
    }
  }
  return features;
}

/**
 * Of each channel, within the field: the logarithms of the variance of the Laplacian and of the mean squared gradient,
 * at full size and averaged down by 2 and by 4; 18 numbers.
 */
export function sharpness(pixels: Uint8Array, size: number): number[] {
  const features: number[] = [];
  for (let c = 0; c < 3; c++) {
    let plane = Float32Array.from({ length: size * size }, (_, p) => pixels[3 * p + c]);
    let inside = Float32Array.from({ length: size * size }, (_, p) =>
      pixels[3 * p] + pixels[3 * p + 1] + pixels[3 * p + 2] > 36 ? 1 : 0,
    );
    let n = size;
    for (let level = 0; level < 3; level++) {
      let count = 0;
      let sum = 0;
      let squares = 0;
      let gradient = 0;
      for (let y = 1; y < n - 1; y++) {
        for (let x = 1; x < n - 1; x++) {
          const p = y * n + x;
          if (inside[p] + inside[p - 1] + inside[p + 1] + inside[p - n] + inside[p + n] < 4.99) continue;
          const l = plane[p - 1] + plane[p + 1] + plane[p - n] + plane[p + n] - 4 * plane[p];
          count++;
          sum += l;
          squares += l * l;
          gradient += (plane[p + 1] - plane[p - 1]) ** 2 + (plane[p + n] - plane[p - n]) ** 2;
        }
      }
      const mean = sum / count;
      features.push(Math.log(squares / count - mean * mean + 1e-3), Math.log(gradient / count + 1e-3));
      const half = n >> 1;
      const shrink = (from: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> =>
        Float32Array.from({ length: half * half }, (_, q) => {
          const p = 2 * Math.floor(q / half) * n + 2 * (q % half);
          return (from[p] + from[p + 1] + from[p + n] + from[p + n + 1]) / 4;
        });
      plane = shrink(plane);
      inside = shrink(inside);
      n = half;
    }
  }
  return features;
}
