/**
 * The lesions of diabetic retinopathy, in the picture's frame, mm. Sizes after the usual definitions: microaneurysms
 * to 0.125 mm across, dot and blot haemorrhages 0.15 to 0.6 mm, flames along the nerve fibres, hard exudates 0.05 to
 * 0.3 mm in clusters and rings, cotton-wool spots 0.4 to 0.6 mm.
 */
import type { PhiloxStream } from '../../random/philox.ts';
import type { Anatomy, Camera, Lesion, LesionKind } from './types.ts';

type Place = readonly [number, number];

/** Blood: dark in green and blue, nearly clear in red. */
function bloodDensity(random: PhiloxStream, depth: number): [number, number, number] {
  return [depth * random.uniform(0.22, 0.4), depth * random.uniform(0.85, 1.15), depth * random.uniform(0.7, 1)];
}

/** The waves of an outline: `rough` is the amplitude of the first, the others fall off. */
export function outline(random: PhiloxStream, rough: number, count: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => [
    (rough * random.uniform(0.3, 1)) / (1 + 0.5 * i),
    random.uniform(0, 2 * Math.PI),
  ]);
}

/** Whether a spot of radius r at (x, y) lies in the field, off the disc and off the foveal pit. */
export function onRetina(anatomy: Anatomy, camera: Camera, x: number, y: number, r: number): boolean {
  const { disc, fovea } = anatomy;
  const { field } = camera;
  if (Math.hypot(x - field.x, y - field.y) > field.radius - 0.25 - r) return false;
  if (Math.abs(y - field.y) > field.radius - field.cut - 0.2 - r) return false;
  if (Math.hypot(x - disc.x, y - disc.y) < disc.rx + 0.12 + r) return false;
  return Math.hypot(x - fovea.x, y - fovea.y) > 0.2 + r;
}

/** A place on the retina, normally distributed about the macula. */
export function placeAbout(
  random: PhiloxStream,
  anatomy: Anatomy,
  camera: Camera,
  about: Place,
  spread: number,
  r: number,
): Place | undefined {
  for (let attempt = 0; attempt < 60; attempt++) {
    const x = about[0] + random.normal(0, spread);
    const y = about[1] + random.normal(0, spread);
    if (onRetina(anatomy, camera, x, y, r)) return [x, y];
  }
  return undefined;
}

/** Direction of the nerve fibres at a place: they leave the disc and arch around the macula. */
function fibreAngle(anatomy: Anatomy, x: number, y: number): number {
  const { disc, fovea } = anatomy;
  const away = Math.atan2(y - disc.y, x - disc.x);
  const round = Math.atan2(y - fovea.y, x - fovea.x) + Math.PI / 2;
  const near = Math.exp(-((Math.hypot(x - fovea.x, y - fovea.y) / 2.5) ** 2));
  const bend = Math.atan2(Math.sin(2 * (round - away)), Math.cos(2 * (round - away))) / 2;
  return away + near * bend;
}

/**
 * The lesions of an eye of the given severity; none for 0.
 *
 * @param severity 0 to 1
 */
export function drawLesions(random: PhiloxStream, severity: number, anatomy: Anatomy, camera: Camera): Lesion[] {
  const lesions: Lesion[] = [];
  if (severity <= 0) return lesions;
  const { fovea } = anatomy;
  const macula: Place = [fovea.x, fovea.y];
  const add = (
    kind: LesionKind,
    form: Lesion['form'],
    place: Place | undefined,
    shape: Omit<Lesion, 'kind' | 'form' | 'x' | 'y'>,
  ): void => {
    if (place !== undefined) lesions.push({ kind, form, x: place[0], y: place[1], ...shape });
  };
  const { blood } = anatomy;
  const place = (spread: number, r: number): Place | undefined =>
    placeAbout(random, anatomy, camera, macula, spread, r);

  const microaneurysms = 4 + random.poisson(4 + 16 * severity);
  for (let i = 0; i < microaneurysms; i++) {
    const r = random.uniform(0.03, 0.0625);
    add('microaneurysm', 'dot', place(3.4, r), {
      rx: r,
      ry: r * random.uniform(0.85, 1),
      angle: random.uniform(0, Math.PI),
      waves: [],
      soft: 0.3,
      mode: 'absorb',
      rgb: bloodDensity(random, blood * random.uniform(0.7, 1)),
      opacity: 1,
    });
  }

  const blots = 5 + random.poisson(0.5 + 7 * severity);
  for (let i = 0; i < blots; i++) {
    const r = 0.075 + 0.18 * random.uniform() ** (2.4 - severity);
    add('haemorrhage', r < 0.12 ? 'dot' : 'blot', place(3.4, r), {
      rx: r,
      ry: r * random.uniform(0.6, 1),
      angle: random.uniform(0, Math.PI),
      waves: outline(random, 0.15, 5),
      soft: random.uniform(0.2, 0.8),
      mode: 'absorb',
      rgb: bloodDensity(random, blood * random.uniform(0.47, 0.86)),
      opacity: 1,
    });
  }

  const flames = random.poisson(1.6 * severity);
  for (let i = 0; i < flames; i++) {
    const at = place(3.4, 0.2);
    if (at === undefined) continue;
    const half = random.uniform(0.2, 0.5);
    add('haemorrhage', 'flame', at, {
      rx: half,
      ry: half * random.uniform(0.16, 0.34),
      angle: fibreAngle(anatomy, at[0], at[1]) + random.normal(0, 0.12),
      waves: outline(random, 0.25, 7),
      soft: 0.9,
      mode: 'absorb',
      rgb: bloodDensity(random, blood * random.uniform(0.4, 0.75)),
      opacity: 1,
    });
  }

  const clusters = random.chance(0.3 + 0.5 * severity) ? 1 + random.poisson(1.1 * severity) : 0;
  for (let c = 0; c < clusters; c++) {
    const centre = place(2.4, 0.1);
    if (centre === undefined) continue;
    const ring = random.chance(0.35) ? random.uniform(0.4, 0.9) : 0;
    const spread = ring > 0 ? random.uniform(0.06, 0.12) : random.uniform(0.15, 0.5);
    const arc = random.uniform(0, 2 * Math.PI);
    const span = random.uniform(2.5, 6.2);
    const hue = random.uniform(-1, 1);
    const tone = random.uniform(0.45, 0.9);
    const deposits = 5 + random.poisson(2 + 5 * severity);
    for (let i = 0; i < deposits; i++) {
      const angle = arc + span * random.uniform();
      const about: Place = [centre[0] + ring * Math.cos(angle), centre[1] + ring * Math.sin(angle)];
      const r = 0.025 + 0.1 * random.uniform() ** 1.8;
      add('hardExudate', 'deposit', placeAbout(random, anatomy, camera, about, spread, r), {
        rx: r,
        ry: r * random.uniform(0.55, 1),
        angle: random.uniform(0, Math.PI),
        waves: outline(random, 0.3, 4),
        soft: random.uniform(0.1, 0.35),
        mode: 'paint',
        rgb: [0.97, 0.86 + 0.04 * hue, 0.42 + 0.12 * hue],
        opacity: tone * random.uniform(0.8, 1),
      });
    }
  }

  const cotton = random.poisson(1.4 * severity * severity);
  for (let i = 0; i < cotton; i++) {
    const at = place(3, 0.3);
    if (at === undefined) continue;
    const r = random.uniform(0.2, 0.3);
    add('cottonWoolSpot', 'fluffy', at, {
      rx: r,
      ry: r * random.uniform(0.5, 0.85),
      angle: fibreAngle(anatomy, at[0], at[1]) + Math.PI / 2 + random.normal(0, 0.3),
      waves: outline(random, 0.15, 5),
      soft: 1.3,
      mode: 'paint',
      rgb: [0.98, 0.9, 0.72],
      opacity: random.uniform(0.4, 0.75),
    });
  }
  return lesions;
}
