/**
 * Painting lesions out of a picture by their mask, and the control: painting out as much elsewhere. What a classifier
 * still sees after the first, or loses by the second, it did not learn from lesions.
 */
import { ShapeError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';
import type { PhantomImage } from './render.ts';

function check(name: string, length: number, expected: number, size: number): void {
  if (length !== expected) throw new ShapeError(`${name}: expected ${expected} bytes for size ${size}, got ${length}`);
}

/** The mask and all pixels within `radius` pixels of it: blur and compression carry a lesion beyond its outline. */
export function growMask(mask: Uint8Array, size: number, radius: number): Uint8Array {
  check('mask', mask.length, size * size, size);
  const out = new Uint8Array(mask.length);
  const r = Math.ceil(radius);
  for (let y = 0, p = 0; y < size; y++) {
    for (let x = 0; x < size; x++, p++) {
      if (mask[p] === 0) continue;
      for (let j = Math.max(0, y - r); j <= Math.min(size - 1, y + r); j++) {
        for (let i = Math.max(0, x - r); i <= Math.min(size - 1, x + r); i++) {
          if ((i - x) ** 2 + (j - y) ** 2 <= radius * radius) out[j * size + i] = 1;
        }
      }
    }
  }
  return out;
}

/**
 * Fills the masked pixels with the smooth surface that their surroundings span (Laplace's equation, by successive
 * over-relaxation), plus grain as strong as around them. It knows nothing of what lay beneath, so it serves
 * photographs too.
 *
 * @param pixels size x size x 3, RGB; left as they are
 * @param mask size x size; non-zero is painted over
 * @returns new pixels
 * @throws ShapeError where the lengths do not fit the size
 */
export function paintOut(pixels: Uint8Array, mask: Uint8Array, size: number, seed = 0): Uint8Array {
  check('pixels', pixels.length, 3 * size * size, size);
  check('mask', mask.length, size * size, size);
  const inside: number[] = [];
  for (let p = 0; p < mask.length; p++) if (mask[p] !== 0) inside.push(p);
  const out = pixels.slice();
  if (inside.length === 0 || inside.length === mask.length) return out;

  const neighbours = (p: number): number[] => {
    const x = p % size;
    const list: number[] = [];
    if (x > 0) list.push(p - 1);
    if (x < size - 1) list.push(p + 1);
    if (p >= size) list.push(p - size);
    if (p < size * (size - 1)) list.push(p + size);
    return list;
  };
  const around = inside.map(neighbours);
  const work = Float32Array.from(pixels);

  // First guess, ring by ring from the rim: the mean of the neighbours that are known.
  const known = Uint8Array.from(mask, (v) => (v === 0 ? 1 : 0));
  let rest = inside.map((_, i) => i);
  while (rest.length > 0) {
    const ready = rest.filter((i) => around[i].some((q) => known[q] === 1));
    if (ready.length === 0) break;
    for (const i of ready) {
      const from = around[i].filter((q) => known[q] === 1);
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const q of from) sum += work[3 * q + c];
        work[3 * inside[i] + c] = sum / from.length;
      }
    }
    for (const i of ready) known[inside[i]] = 1;
    rest = rest.filter((i) => known[inside[i]] === 0);
  }
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let i = 0; i < inside.length; i++) {
      const list = around[i];
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < list.length; k++) sum += work[3 * list[k] + c];
        const at = 3 * inside[i] + c;
        work[at] += 1.6 * (sum / list.length - work[at]);
      }
    }
  }

  // Grain: how far pixels near the mask stand from the mean of their neighbours.
  const ring = growMask(mask, size, 3);
  const grain = [0, 0, 0];
  let count = 0;
  for (let p = 0; p < mask.length; p++) {
    if (ring[p] === 0 || mask[p] !== 0) continue;
    const list = neighbours(p).filter((q) => mask[q] === 0);
    if (list.length < 4) continue;
    count++;
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (const q of list) sum += pixels[3 * q + c];
      grain[c] += Math.abs(pixels[3 * p + c] - sum / 4);
    }
  }
  // E|d| = sigma sqrt(2 / pi) sqrt(1 + 1/4) for white noise.
  const scale = count === 0 ? 0 : 1 / (count * Math.sqrt((2 / Math.PI) * 1.25));
  const random = new PhiloxStream(seed, 'phantom/grain');
  for (const p of inside) {
    const shared = random.normal();
    for (let c = 0; c < 3; c++) {
      const noise = grain[c] * scale * (0.8 * shared + 0.6 * random.normal());
      out[3 * p + c] = Math.min(255, Math.max(0, Math.round(work[3 * p + c] + noise)));
    }
  }
  return out;
}

/** The connected parts (of four neighbours) of a mask: the pixels of each. */
function parts(mask: Uint8Array, size: number): number[][] {
  const seen = new Uint8Array(mask.length);
  const found: number[][] = [];
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === 0 || seen[start] === 1) continue;
    const part = [start];
    seen[start] = 1;
    for (let k = 0; k < part.length; k++) {
      const p = part[k];
      const x = p % size;
      for (const q of [x > 0 ? p - 1 : -1, x < size - 1 ? p + 1 : -1, p - size, p + size]) {
        if (q < 0 || q >= mask.length || mask[q] === 0 || seen[q] === 1) continue;
        seen[q] = 1;
        part.push(q);
      }
    }
    found.push(part);
  }
  return found;
}

/**
 * The control of `paintOut`: each connected part of the mask moved to another place on the retina, clear of the mask
 * and of each other, so the areas are equal to the pixel. A part for which no place is found in `attempts` tries is
 * cut into single pixels first.
 *
 * @param retina size x size: 1 where parts may go (`PhantomImage.retina`)
 * @throws ShapeError where the lengths do not fit, or the retina has too little room
 */
export function maskElsewhere(
  mask: Uint8Array,
  retina: Uint8Array,
  size: number,
  seed = 0,
  attempts = 400,
): Uint8Array {
  check('mask', mask.length, size * size, size);
  check('retina', retina.length, size * size, size);
  const random = new PhiloxStream(seed, 'phantom/elsewhere');
  const out = new Uint8Array(mask.length);
  const queue = parts(mask, size).sort((a, b) => b.length - a.length);
  for (let k = 0; k < queue.length; k++) {
    const part = queue[k];
    let placed = false;
    for (let attempt = 0; attempt < attempts && !placed; attempt++) {
      const dx = random.int(2 * size) - size;
      const dy = random.int(2 * size) - size;
      placed = part.every((p) => {
        const x = (p % size) + dx;
        const y = Math.floor(p / size) + dy;
        if (x < 0 || y < 0 || x >= size || y >= size) return false;
        const q = y * size + x;
        return retina[q] === 1 && mask[q] === 0 && out[q] === 0;
      });
      if (placed) for (const p of part) out[p + dy * size + dx] = 1;
    }
    if (placed) continue;
    if (part.length === 1) {
      const free = out.findIndex((v, q) => v === 0 && mask[q] === 0 && retina[q] === 1);
      if (free < 0) throw new ShapeError('mask: covers more of the retina than is left beside it');
      out[free] = 1;
    } else {
      for (const p of part) queue.push([p]);
    }
  }
  return out;
}

export interface PaintedOptions {
  /** Pixels painted beyond the lesions' outlines. Default: twice the point spread's deviation, and a pixel. */
  grow?: number;
  seed?: number;
}

/** A phantom with its lesions painted out, and the control with equal areas painted out elsewhere. */
export function paintPhantom(
  image: PhantomImage,
  options: PaintedOptions = {},
): { painted: Uint8Array; control: Uint8Array; mask: Uint8Array; controlMask: Uint8Array } {
  const { grow = 1 + 2 * image.blur, seed = 0 } = options;
  const mask = growMask(image.mask, image.size, grow);
  const controlMask = maskElsewhere(mask, image.retina, image.size, seed);
  return {
    painted: paintOut(image.pixels, mask, image.size, seed),
    control: paintOut(image.pixels, controlMask, image.size, seed),
    mask,
    controlMask,
  };
}
