/**
 * What a reader sees in eyes without retinopathy, and must not take for it: drusen, pigment, a naevus, an old scar, a
 * stray red dot, sheen of the inner limiting membrane, glints, dust on the optics. None of it depends on the label.
 */
import type { PhiloxStream } from '../../random/philox.ts';
import { onRetina, outline, placeAbout } from './lesions.ts';
import type { Anatomy, Camera, Sign, SignKind, VesselSegment } from './types.ts';

/** @param age 0 young to 1 old: drusen come with it, reflections go */
export function drawSigns(
  random: PhiloxStream,
  age: number,
  anatomy: Anatomy,
  camera: Camera,
  vessels: readonly VesselSegment[],
): Sign[] {
  const signs: Sign[] = [];
  const macula = [anatomy.fovea.x, anatomy.fovea.y] as const;
  type Rest = Omit<Sign, 'kind' | 'x' | 'y' | 'rx' | 'ry' | 'angle'>;
  const add = (kind: SignKind, spread: number, r: number, rest: Rest): void => {
    const at = placeAbout(random, anatomy, camera, macula, spread, r);
    if (at === undefined) return;
    const ry = r * random.uniform(0.75, 1);
    signs.push({ kind, x: at[0], y: at[1], rx: r, ry, angle: random.uniform(0, Math.PI), ...rest });
  };

  const drusen = random.poisson(2 + (random.chance(0.3 + 0.5 * age) ? random.uniform(8, 60) * (0.3 + age) : 0));
  const drusenSpread = random.uniform(0.8, 2.6);
  const drusenSize = random.uniform(0.045, 0.12);
  const drusenDepth = random.uniform(0.25, 0.85);
  const drusenTone = random.uniform(-0.04, 0.04);
  for (let i = 0; i < drusen; i++) {
    add('drusen', drusenSpread, drusenSize * random.uniform(0.5, 1.5), {
      waves: outline(random, 0.1, 2),
      soft: random.uniform(0.9, 1.7),
      mode: 'paint',
      rgb: [0.93, 0.76 + drusenTone, 0.4 + drusenTone],
      opacity: drusenDepth * random.uniform(0.5, 1),
    });
  }

  // Pigment is dark in red as well as in green: brown to grey, where blood is red.
  const pigment = random.poisson(random.chance(0.2) ? 5 : 0.8);
  for (let i = 0; i < pigment; i++) {
    const depth = random.uniform(0.25, 0.8);
    add('pigment', 3.5, random.uniform(0.04, 0.2), {
      waves: outline(random, 0.35, 4),
      soft: random.uniform(0.7, 1.8),
      mode: 'absorb',
      rgb: [depth * random.uniform(0.85, 1), depth, depth * 0.9],
      opacity: 1,
    });
  }
  if (random.chance(0.08)) {
    add('naevus', 3.5, random.uniform(0.3, 0.9), {
      waves: outline(random, 0.15, 3),
      soft: 0.6,
      mode: 'absorb',
      rgb: [random.uniform(0.15, 0.4), 0.25, 0.2],
      opacity: 1,
    });
  }
  if (random.chance(0.05)) {
    add('scar', 3.5, random.uniform(0.15, 0.45), {
      waves: outline(random, 0.3, 4),
      soft: 0.35,
      mode: 'paint',
      rgb: [0.95, 0.83, 0.6],
      opacity: random.uniform(0.4, 0.8),
    });
  }
  const stray = random.chance(0.35) ? 1 + random.int(2) : 0;
  for (let i = 0; i < stray; i++) {
    const depth = random.uniform(0.5, 1);
    add('stray', 3, random.uniform(0.03, 0.07), {
      waves: [],
      soft: 0.4,
      mode: 'absorb',
      rgb: [0.3 * depth, depth, 0.85 * depth],
      opacity: 1,
    });
  }

  // Sheen lies along vessels of young eyes.
  const sheen = random.poisson(9 * Math.max(0, 0.75 - age));
  for (let i = 0; i < sheen && vessels.length > 0; i++) {
    const v = vessels[random.int(vessels.length)];
    if (v.order > 1 || !onRetina(anatomy, camera, v.x0, v.y0, 0)) continue;
    const angle = Math.atan2(v.y1 - v.y0, v.x1 - v.x0);
    const aside = random.normal(0, 0.15);
    const length = random.uniform(0.2, 0.8);
    signs.push({
      kind: 'reflection',
      x: v.x0 - Math.sin(angle) * aside,
      y: v.y0 + Math.cos(angle) * aside,
      rx: length,
      ry: length * random.uniform(0.15, 0.35),
      angle,
      waves: outline(random, 0.2, 3),
      soft: 1.9,
      mode: 'paint',
      rgb: [0.95, 0.82, 0.68],
      opacity: random.uniform(0.08, 0.32),
    });
  }
  const glints = random.poisson(random.chance(0.2) ? 9 : 0.8);
  for (let i = 0; i < glints; i++) {
    add('glint', 3.2, random.uniform(0.02, 0.06), {
      waves: [],
      soft: 0.3,
      mode: 'paint',
      rgb: [0.98, 0.95, 0.88],
      opacity: random.uniform(0.4, 0.9),
    });
  }

  // Dust sits in the camera, out of focus, and may lie anywhere in the field.
  const dust = random.poisson(random.chance(0.3) ? 7 : 1);
  for (let i = 0; i < dust; i++) {
    const angle = random.uniform(0, 2 * Math.PI);
    const radius = camera.field.radius * Math.sqrt(random.uniform());
    const size = random.uniform(0.05, 0.4);
    const bright = random.chance(0.35);
    signs.push({
      kind: 'dust',
      x: camera.field.x + radius * Math.cos(angle),
      y: camera.field.y + radius * Math.sin(angle),
      rx: size,
      ry: size,
      angle: 0,
      waves: [],
      soft: random.uniform(0.3, 1.9),
      mode: bright ? 'paint' : 'absorb',
      rgb: bright ? [0.75, 0.75, 0.72] : [0.35, 0.35, 0.35],
      opacity: bright ? random.uniform(0.05, 0.2) : random.uniform(0.1, 0.55),
    });
  }
  return signs;
}
