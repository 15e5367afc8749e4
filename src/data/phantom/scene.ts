/** A phantom's scene: anatomy, signs, lesions and camera, drawn in millimetres from a few numbers. */
import { OptionError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';
import { drawLesions } from './lesions.ts';
import { drawSigns } from './signs.ts';
import { noiseField } from './texture.ts';
import type { Anatomy, Camera, PhantomScene, PhantomSpec, VesselSegment } from './types.ts';
import { growVessels } from './vessels.ts';

/** Draws what a patient's two eyes have in common. */
function drawPatient(seed: number, patient: number): { age: number; melanin: number; hue: number; camera: number } {
  const random = new PhiloxStream(seed, 'phantom/patient', patient);
  return { age: random.uniform(), melanin: random.uniform(), hue: random.normal(), camera: random.uniform() };
}

type Patient = ReturnType<typeof drawPatient>;

const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v, low), high);

function drawCamera(random: PhiloxStream, patient: Patient, blur: number): Camera {
  const radius = random.uniform(6.55, 6.85);
  const cropped = random.chance(0.35);
  const hazy = random.chance(0.3);
  const warm = random.normal(0, 1);
  const exposure = Math.exp(random.normal(0, 0.1));
  return {
    frame: 2 * radius * (cropped ? random.uniform(0.99, 1.01) : random.uniform(1.0, 1.09)),
    field: {
      x: random.normal(0, 0.05),
      y: random.normal(0, 0.05),
      radius,
      cut: cropped ? random.uniform(0.3, 1.3) : 0,
      notch: random.chance(0.4) ? (random.chance(0.5) ? 1 : -1) : 0,
    },
    blur: blur * 0.045 * Math.exp(random.normal(0, 0.38)),
    light: {
      x: random.normal(0, 1.2),
      y: random.normal(0, 1.2),
      fall: random.uniform(0.08, 0.42),
      slantX: random.normal(0, 0.013),
      slantY: random.normal(0, 0.013),
    },
    haze: {
      veil: hazy ? random.uniform(0.03, 0.14) : random.uniform(0, 0.04),
      rim: random.chance(0.3) ? random.uniform(0.05, 0.35) : 0,
      angle: random.uniform(0, 2 * Math.PI),
      rgb: [random.uniform(0.75, 0.95), random.uniform(0.6, 0.8), random.uniform(0.45, 0.8)],
    },
    gain: [
      exposure * Math.exp(random.normal(0, 0.04)),
      exposure * Math.exp(random.normal(-0.02, 0.045) - 0.05 * warm),
      exposure * Math.exp(random.normal(-0.05, 0.25) - 0.25 * warm + 0.1 * (patient.camera - 0.5)),
    ],
    gamma: Math.exp(random.normal(0, 0.07)),
    saturation: random.uniform(0.82, 1.15),
    noise: 0.001 * Math.exp(random.uniform(0, 2.5)),
    sharpen: random.chance(0.5) ? random.uniform(0, 1.3) : 0,
    jpegQuality: Math.round(random.uniform(70, 97)),
  };
}

function drawAnatomy(random: PhiloxStream, patient: Patient, temporal: 1 | -1, camera: Camera): Anatomy {
  // The eye's own frame: disc at the origin, temporal along +x.
  const foveaEye = [random.normal(4.45, 0.18), random.normal(0.45, 0.18)] as const;
  const discRadius = random.normal(0.9, 0.06);
  const vesselsEye = growVessels(random, foveaEye, discRadius);

  // Where the photographer aimed: most often near the macula, now and then near the disc.
  const aimX = random.chance(0.12) ? random.uniform(0.2, 2) : random.uniform(2.3, 4.5);
  const aimY = random.normal(0.1, 0.4);
  const torsion = random.normal(0, 0.07);
  const cos = Math.cos(torsion);
  const sin = Math.sin(torsion);
  const toPicture = (x: number, y: number): [number, number] => {
    const dx = (x - aimX) * temporal;
    const dy = y - aimY;
    return [cos * dx - sin * dy, sin * dx + cos * dy];
  };
  const edge = camera.frame * 0.5 + 0.4;
  const vessels: VesselSegment[] = [];
  for (const v of vesselsEye) {
    const [x0, y0] = toPicture(v.x0, v.y0);
    const [x1, y1] = toPicture(v.x1, v.y1);
    if (Math.abs(x1) > edge || Math.abs(y1) > edge) continue;
    vessels.push({ ...v, x0, y0, x1, y1 });
  }
  const [discX, discY] = toPicture(0, 0);
  const [foveaX, foveaY] = toPicture(foveaEye[0], foveaEye[1]);
  const { melanin, age, hue } = patient;
  const textures = new PhiloxStream(random.uint32(), 'phantom/texture');
  return {
    disc: {
      x: discX,
      y: discY,
      rx: discRadius * random.uniform(0.9, 1),
      ry: discRadius * random.uniform(1, 1.08),
      angle: random.normal(0, 0.15),
      cup: random.uniform(0.25, 0.65),
      pale: random.uniform(0, 1),
      crescent: random.chance(0.3) ? random.uniform(0.2, 0.9) : 0,
    },
    fovea: {
      x: foveaX,
      y: foveaY,
      dark: clamp(random.normal(0.42, 0.15), 0.1, 0.75),
      reflex: random.chance(0.75 - 0.6 * age) ? random.uniform(0.1, 0.5) : 0,
    },
    temporal,
    torsion,
    vessels,
    base: [
      0.8 - 0.17 * melanin + 0.02 * hue,
      0.43 - 0.13 * melanin + 0.025 * hue,
      0.19 - 0.08 * melanin + 0.02 * hue,
    ],
    blood: clamp(Math.exp(random.normal(0, 0.3)), 0.55, 1.7),
    capillaries: random.uniform(0, 1.8),
    granular: random.chance(0.5) ? random.uniform(0.1, 1) : 0,
    tessellation: random.chance(0.4) ? random.uniform(0.2, 1) : random.uniform(0, 0.2),
    fibres: clamp(0.8 - age, 0, 1) * random.uniform(0, 1),
    mottle: random.uniform(0.2, 1),
    textures: {
      coarse: noiseField(textures, 16, 2.1),
      middle: noiseField(textures, 32, 0.62),
      fine: noiseField(textures, 64, 0.2),
      warp: noiseField(textures, 32, 0.9),
    },
  };
}

/**
 * The scene of one eye: the same spec gives the same scene on any machine. Lesions come from a stream of their own, so
 * nothing else in the scene knows of the severity.
 *
 * @throws OptionError where the spec's seed, patient, severity or blur is out of range
 */
export function phantomScene(spec: PhantomSpec): PhantomScene {
  const { seed, patient, eye, severity, blur } = spec;
  if (!(severity >= 0 && severity <= 1)) throw new OptionError(`severity: expected 0 to 1, got ${severity}`);
  if (!(blur >= 0 && blur <= 20)) throw new OptionError(`blur: expected 0 to 20, got ${blur}`);
  if (!Number.isInteger(patient) || patient < 0) {
    throw new OptionError(`patient: expected an integer from 0, got ${patient}`);
  }
  const shared = drawPatient(seed, patient);
  const index = patient * 2 + (eye === 'left' ? 0 : 1);
  const stream = (name: string): PhiloxStream => new PhiloxStream(seed, name, index);
  const camera = drawCamera(stream('phantom/camera'), shared, blur);
  // Seen from in front, the right eye's disc lies on the right and its temporal side on the left.
  const anatomy = drawAnatomy(stream('phantom/anatomy'), shared, eye === 'right' ? -1 : 1, camera);
  const signs = drawSigns(stream('phantom/signs'), shared.age, anatomy, camera, anatomy.vessels);
  const lesions = drawLesions(stream('phantom/lesions'), severity, anatomy, camera);
  return { simulated: true, spec: { ...spec }, anatomy, signs, lesions, camera };
}
