/** The fundus beneath vessels and spots: pigment, choroid, macula, nerve fibres, optic disc. */
import type { Grid, Planes } from './raster.ts';
import { sampleNoise } from './texture.ts';
import type { Anatomy, Camera } from './types.ts';

const smooth = (t: number): number => (t <= 0 ? 0 : t >= 1 ? 1 : t * t * (3 - 2 * t));

/** Fills the planes with light returned by the fundus within the field; pixels outside stay 0. */
export function drawBackground(planes: Planes, grid: Grid, anatomy: Anatomy, camera: Camera): void {
  const [red, green, blue] = planes;
  const { size, pitch } = grid;
  const { disc, fovea, textures, base, tessellation, fibres, mottle, granular, temporal } = anatomy;
  const half = size / 2;
  const limit = (camera.field.radius + 4 * pitch + 3 * camera.blur) ** 2;
  // Texture finer than two pixels would alias.
  const fineWeight = smooth((textures.fine.pitch / pitch - 1) / 1.5);
  const middleWeight = smooth((textures.middle.pitch / pitch - 1) / 1.5);
  const cosDisc = Math.cos(disc.angle);
  const sinDisc = Math.sin(disc.angle);
  const cupShift = 0.12 * temporal;
  for (let j = 0, p = 0; j < size; j++) {
    const y = (j + 0.5 - half) * pitch;
    for (let i = 0; i < size; i++, p++) {
      const x = (i + 0.5 - half) * pitch;
      const fx = x - camera.field.x;
      const fy = y - camera.field.y;
      if (fx * fx + fy * fy > limit) continue;
      const coarse = sampleNoise(textures.coarse, x, y);
      const middle = sampleNoise(textures.middle, x, y) * middleWeight;
      const fine = fineWeight > 0 ? sampleNoise(textures.fine, x, y) * fineWeight : 0;

      const mx = x - fovea.x;
      const my = y - fovea.y;
      const macula2 = mx * mx + my * my;
      const dx = x - disc.x;
      const dy = y - disc.y;
      const du = (cosDisc * dx + sinDisc * dy) / disc.rx;
      const dv = (cosDisc * dy - sinDisc * dx) / disc.ry;
      const rho = Math.sqrt(du * du + dv * dv);

      let tone = 0.09 * coarse + mottle * (0.05 * middle + 0.035 * fine);
      let warm = 0.05 * coarse;
      if (granular > 0) {
        // Old pigment epithelium: clumped about the macula, finer than the mottle elsewhere.
        tone += granular * Math.exp(-macula2 / 9) * (0.1 * middle + 0.16 * fine);
      }
      if (tessellation > 0.02) {
        // Choroidal vessels: bands where a warped field crosses zero, away from the macula.
        const warp = sampleNoise(textures.warp, x, y);
        const warp2 = sampleNoise(textures.warp, y + 31.7, x - 11.3);
        const bands = 1 - 2.6 * Math.abs(sampleNoise(textures.middle, x * 1.25 + 0.5 * warp, y * 0.9 + 0.5 * warp2));
        const away = 1 - Math.exp(-macula2 / 7);
        tone += tessellation * away * 0.075 * bands * middleWeight;
        warm -= tessellation * away * 0.03 * bands;
      }
      let r = base[0] * (1 + 0.75 * tone + warm * 0.4);
      let g = base[1] * (1 + 1.1 * tone - warm * 0.5);
      let b = base[2] * (1 + 1.1 * tone - warm);

      // Macula: yellow pigment and taller epithelium darken it, blue and green most; the pit is darker still.
      const wide = Math.exp(-macula2 / (2 * 1.05 * 1.05)) * fovea.dark;
      const pit = Math.exp(-macula2 / (2 * 0.3 * 0.3)) * fovea.dark;
      r *= 1 - 0.24 * wide - 0.16 * pit;
      g *= 1 - 0.42 * wide - 0.3 * pit;
      b *= 1 - 0.5 * wide - 0.3 * pit;
      if (fovea.reflex > 0) {
        const dot = fovea.reflex * Math.exp(-macula2 / (2 * 0.07 * 0.07)) * Math.min(1, 0.1 / pitch);
        const ringDistance = Math.sqrt(macula2) - 0.95;
        const ring = 0.1 * fovea.reflex * Math.exp(-(ringDistance * ringDistance) / (2 * 0.14 * 0.14)) * (0.6 + middle);
        r += (0.95 - r) * (dot + ring);
        g += (0.85 - g) * (dot + ring);
        b += (0.7 - b) * (dot + ring);
      }

      if (rho < 5 && fibres > 0.05) {
        // Nerve fibre layer: a sheen above and below the disc, streaked along the fibres.
        const angle = Math.atan2(dy, dx * temporal);
        const lobe = Math.sin(angle - 0.5 * Math.sin(2 * angle)) ** 4;
        const fade = Math.exp(-((rho - 1.1) * (rho - 1.1)) / 2.2);
        const streak = 0.65 + 0.35 * sampleNoise(textures.middle, angle * 6, rho * 0.35);
        const sheen = 0.34 * fibres * lobe * fade * streak;
        r += (0.86 - r) * sheen * 0.6;
        g += (0.72 - g) * sheen;
        b += (0.52 - b) * sheen * 0.8;
      }

      if (rho < 1.6) {
        if (disc.crescent > 0 && rho < 1.45) {
          const side = smooth(0.5 + du * temporal);
          const crescent = disc.crescent * side * smooth((1.28 + 0.08 * middle - rho) / 0.16) * 0.55;
          r += (0.92 - r) * crescent;
          g += (0.72 - g) * crescent;
          b += (0.45 - b) * crescent;
        }
        const ragged = rho + 0.025 * middle;
        // The nasal margin is softer: more fibres cross it.
        const softness = 0.1 + 0.07 * smooth(0.5 - du * temporal);
        const inside = smooth((1 + softness / 2 - ragged) / softness);
        if (inside > 0) {
          const cu = du - cupShift;
          const cup = smooth((disc.cup + 0.22 - Math.sqrt(cu * cu + dv * dv)) / 0.34);
          const temporalPale = 0.5 + 0.5 * du * temporal;
          const pale = 0.35 + 0.35 * disc.pale + 0.2 * temporalPale;
          const shade = 1 + 0.04 * middle + 0.03 * fine;
          const dr = (0.93 + 0.05 * cup) * shade;
          const dg = (0.44 + 0.17 * pale + (0.19 + 0.06 * disc.pale) * cup) * shade;
          const db = (0.16 + 0.13 * pale + (0.17 + 0.09 * disc.pale) * cup) * shade;
          // Darker fundi have darker discs.
          const lift = 0.62 + 0.38 * (base[0] / 0.82);
          r += (dr * lift - r) * inside;
          g += (dg * lift - g) * inside;
          b += (db * (0.4 + 0.6 * (base[2] / 0.2)) * lift - b) * inside;
        } else if (rho < 1.25) {
          const rim = 0.1 * Math.exp(-((rho - 1.08) * (rho - 1.08)) / 0.006) * (0.5 + 0.5 * middle);
          r *= 1 - rim;
          g *= 1 - rim;
        }
      }
      red[p] = r;
      green[p] = g;
      blue[p] = b;
    }
  }
}
