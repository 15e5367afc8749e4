/** From a scene in millimetres to bytes: the only file of the phantom that counts pixels, with those below it. */
import { OptionError } from '../../errors.ts';
import { philox4x32Into, keyOfSeed, hashName } from '../../random/philox.ts';
import { drawBackground } from './background.ts';
import { gaussianBlur, jpegLoss } from './optics.ts';
import { applyCover, coverOf, drawVessels, type Cover, type Grid, type Planes } from './raster.ts';
import { phantomScene } from './scene.ts';
import { LESION_BITS, type Camera, type Lesion, type PhantomScene, type PhantomSpec } from './types.ts';

export interface RenderOptions {
  /** Side of the picture in pixels, 16 to 4096. */
  size: number;
  /** False renders the healthy twin: the same eye, camera, noise and compression without its lesions. Default true. */
  lesions?: boolean;
  /** False leaves the compression out. Default true. */
  jpeg?: boolean;
}

/** One lesion's mask: the pixels it touches and how much of each, 0 to 255. */
export interface LesionMask {
  lesion: Lesion;
  x: number;
  y: number;
  width: number;
  height: number;
  cover: Uint8Array;
}

export interface PhantomImage {
  simulated: true;
  size: number;
  /** Millimetres a pixel. */
  pitch: number;
  /** size x size x 3 bytes, RGB, rows from the top. */
  pixels: Uint8Array;
  /** size x size: bits of `LESION_BITS` where a lesion covers some 4 % of a pixel or more; 0 elsewhere. */
  mask: Uint8Array;
  /** size x size: 1 where a lesion could lie, inside the field and off the disc. */
  retina: Uint8Array;
  /** Standard deviation of the point spread, pixels. */
  blur: number;
  /** One mask a lesion, in the scene's order. */
  lesionMasks: LesionMask[];
}

/** Cover from which a pixel counts as a lesion's. */
const TOUCHED = 0.04;

function isSpec(scene: PhantomScene | PhantomSpec): scene is PhantomSpec {
  return !('anatomy' in scene);
}

function applyVessels(planes: Planes, grid: Grid, scene: PhantomScene): void {
  const n = grid.size * grid.size;
  const vein = new Float32Array(n);
  const artery = new Float32Array(n);
  const reflex = new Float32Array(n);
  const { vessels } = scene.anatomy;
  const { blood, capillaries } = scene.anatomy;
  drawVessels(vein, vessels, 'vein', grid, 1, 0.09, capillaries);
  drawVessels(artery, vessels, 'artery', grid, 1, 0.08, capillaries);
  drawVessels(reflex, vessels, 'artery', grid, 0.3, 0.12, 0);
  const [red, green, blue] = planes;
  for (let p = 0; p < n; p++) {
    const v = vein[p] * blood;
    const a = artery[p] * blood;
    if (v === 0 && a === 0) continue;
    red[p] *= (1 - 0.27 * v) * (1 - 0.12 * a);
    green[p] *= (1 - 0.55 * v) * (1 - 0.42 * a);
    blue[p] *= (1 - 0.5 * v) * (1 - 0.42 * a);
    const l = reflex[p] * 0.22;
    red[p] += (0.95 - red[p]) * l;
    green[p] += (0.62 - green[p]) * l;
    blue[p] += (0.4 - blue[p]) * l;
  }
}

/** A film's shoulder, so that no highlight clips at once, then gamma: a table over [0, 2), interpolated. */
function toneCurve(gamma: number): (v: number) => number {
  const perUnit = 512;
  const last = 2 * perUnit;
  const table = Float32Array.from({ length: last + 2 }, (_, i) => {
    const v = i / perUnit;
    return (v > 0.8 ? 0.8 + 0.2 * Math.tanh((v - 0.8) * 5) : v) ** gamma;
  });
  return (v) => {
    const t = v <= 0 ? 0 : v >= 2 ? last : v * perUnit;
    const i = t | 0;
    return table[i] + (table[i + 1] - table[i]) * (t - i);
  };
}

/** Light, scatter and colour of the camera, on what the retina returns. */
function applyCamera(planes: Planes, grid: Grid, camera: Camera): void {
  const [red, green, blue] = planes;
  const { size, pitch } = grid;
  const { light, haze, field, gain, gamma, saturation } = camera;
  const half = size / 2;
  const curve = toneCurve(gamma);
  const inverse = 1 / (field.radius * field.radius);
  const hazeX = Math.cos(haze.angle);
  const hazeY = Math.sin(haze.angle);
  for (let j = 0, p = 0; j < size; j++) {
    const y = (j + 0.5 - half) * pitch;
    for (let i = 0; i < size; i++, p++) {
      const r0 = red[p];
      if (r0 === 0) continue;
      const x = (i + 0.5 - half) * pitch;
      const lx = x - light.x;
      const ly = y - light.y;
      const slant = light.slantX * x + light.slantY * y;
      const bright = Math.max(0.1, 1 - light.fall * (lx * lx + ly * ly) * inverse + slant);
      let veil = haze.veil;
      if (haze.rim > 0) {
        const t = (x * hazeX + y * hazeY) / field.radius;
        if (t > 0) veil += haze.rim * t * t * t * t * Math.min(1, (x * x + y * y) * inverse);
      }
      const keep = 1 - veil;
      let r = (r0 * keep + haze.rgb[0] * veil) * bright * gain[0];
      let g = (green[p] * keep + haze.rgb[1] * veil) * bright * gain[1];
      let b = (blue[p] * keep + haze.rgb[2] * veil) * bright * gain[2];
      const grey = 0.3 * r + 0.55 * g + 0.15 * b;
      r = grey + (r - grey) * saturation;
      g = grey + (g - grey) * saturation;
      b = grey + (b - grey) * saturation;
      red[p] = curve(r);
      green[p] = curve(g);
      blue[p] = curve(b);
    }
  }
}

/** How much of a pixel at (x, y) mm from the field's middle the field stop lets through, 0 to 1. */
function fieldCover(camera: Camera, x: number, y: number, pitch: number): number {
  const { field } = camera;
  const fx = x - field.x;
  const fy = y - field.y;
  let inside = (field.radius - Math.sqrt(fx * fx + fy * fy)) / pitch + 0.5;
  if (field.cut > 0) inside = Math.min(inside, (field.radius - field.cut - Math.abs(fy)) / pitch + 0.5);
  if (field.notch !== 0) {
    // A tab in the stop, some cameras' mark of which way is up.
    const nx = fx - field.notch * field.radius * 0.925;
    const ny = fy + field.radius * 0.36;
    inside = Math.max(inside, (0.16 - Math.max(Math.abs(nx) - field.radius * 0.012, Math.abs(ny))) / pitch + 0.5);
  }
  return inside <= 0 ? 0 : inside >= 1 ? 1 : inside;
}

function toBytes(planes: Planes, grid: Grid, scene: PhantomScene): Uint8Array {
  const { size, pitch } = grid;
  const { camera, spec } = scene;
  const n = size * size;
  const pixels = new Uint8Array(3 * n);
  const [k0, k1] = keyOfSeed(spec.seed);
  const index = spec.patient * 2 + (spec.eye === 'left' ? 0 : 1);
  const name = hashName('phantom/noise') | 0;
  const words = new Uint32Array(4);
  // Noise is given at a pitch of 0.1 mm; smaller pixels catch less light each.
  const sigma = camera.noise * 255 * Math.min(2, 0.1 / pitch);
  // A sum of two bytes has the deviation 255 / sqrt(6) about; this brings it to 1.
  const unit = Math.sqrt(6) / 256;
  const half = size / 2;
  for (let p = 0; p < n; p++) {
    if ((p & 1) === 0) philox4x32Into(words, p >> 1, index, name, size, k0, k1);
    const w = words[(p & 1) * 2];
    const v = words[(p & 1) * 2 + 1];
    const x = ((p % size) + 0.5 - half) * pitch;
    const y = (((p / size) | 0) + 0.5 - half) * pitch;
    const cover = fieldCover(camera, x, y, pitch);
    const grain = ((w & 255) + ((w >>> 8) & 255) - 255) * unit;
    const level = sigma * (0.25 + 0.75 * cover);
    for (let c = 0; c < 3; c++) {
      const own = (((v >>> (8 * c)) & 255) + ((w >>> (16 + 4 * c)) & 255) - 255) * unit;
      const value = planes[c][p] * 255 * cover + 1.5 + level * (0.75 * grain + 0.66 * own);
      pixels[3 * p + c] = value <= 0 ? 0 : value >= 255 ? 255 : Math.round(value);
    }
  }
  return pixels;
}

function sharpen(planes: Planes, size: number, amount: number, sigma: number, scratch: Float32Array): void {
  const soft = new Float32Array(size * size);
  for (const plane of planes) {
    soft.set(plane);
    gaussianBlur(soft, size, sigma, scratch);
    for (let p = 0; p < soft.length; p++) plane[p] = Math.max(0, plane[p] + amount * (plane[p] - soft[p]));
  }
}

function byteMask(lesion: Lesion, cover: Cover): LesionMask {
  const bytes = new Uint8Array(cover.values.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.round(cover.values[i] * 255);
  return { lesion, x: cover.x, y: cover.y, width: cover.width, height: cover.height, cover: bytes };
}

function retinaMask(grid: Grid, scene: PhantomScene): Uint8Array {
  const { size, pitch } = grid;
  const { disc } = scene.anatomy;
  const out = new Uint8Array(size * size);
  for (let p = 0; p < out.length; p++) {
    const x = ((p % size) + 0.5 - size / 2) * pitch;
    const y = (((p / size) | 0) + 0.5 - size / 2) * pitch;
    const onDisc = Math.hypot(x - disc.x, y - disc.y) < disc.ry + 0.1;
    if (!onDisc && fieldCover(scene.camera, x, y, pitch) === 1) out[p] = 1;
  }
  return out;
}

/**
 * Renders a phantom. Same scene and options, same bytes. The masks are those of the scene's lesions also where
 * `lesions: false` leaves them out of the picture, so that a twin's mask says where they would be.
 *
 * @throws OptionError where size is no integer from 16 to 4096
 */
export function renderPhantom(sceneOrSpec: PhantomScene | PhantomSpec, options: RenderOptions): PhantomImage {
  const { size, lesions: withLesions = true, jpeg = true } = options;
  if (!Number.isInteger(size) || size < 16 || size > 4096) {
    throw new OptionError(`size: expected an integer from 16 to 4096 pixels, got ${size}`);
  }
  const scene = isSpec(sceneOrSpec) ? phantomScene(sceneOrSpec) : sceneOrSpec;
  const { anatomy, camera, signs, lesions } = scene;
  const pitch = camera.frame / size;
  const grid: Grid = { size, pitch };
  const n = size * size;
  const planes: Planes = [new Float32Array(n), new Float32Array(n), new Float32Array(n)];
  const mask = new Uint8Array(n);
  const lesionMasks: LesionMask[] = [];
  const covers = lesions.map((lesion) => coverOf(lesion, grid));
  lesions.forEach((lesion, i) => {
    const cover = covers[i];
    lesionMasks.push(byteMask(lesion, cover));
    for (let j = 0; j < cover.height; j++) {
      for (let k = 0; k < cover.width; k++) {
        if (cover.values[j * cover.width + k] < TOUCHED) continue;
        mask[(cover.y + j) * size + cover.x + k] |= LESION_BITS[lesion.kind];
      }
    }
  });
  const drawSigns = (kinds: readonly string[]): void => {
    for (const sign of signs) if (kinds.includes(sign.kind)) applyCover(planes, size, coverOf(sign, grid), sign);
  };
  const drawLesions = (kinds: readonly string[]): void => {
    if (!withLesions) return;
    lesions.forEach((lesion, i) => {
      if (kinds.includes(lesion.kind)) applyCover(planes, size, covers[i], lesion);
    });
  };

  // From deep to shallow.
  drawBackground(planes, grid, anatomy, camera);
  drawSigns(['naevus', 'drusen', 'scar', 'pigment']);
  drawLesions(['hardExudate']);
  applyVessels(planes, grid, scene);
  drawSigns(['stray']);
  drawLesions(['microaneurysm', 'haemorrhage', 'cottonWoolSpot']);
  drawSigns(['reflection', 'glint']);

  applyCamera(planes, grid, camera);
  const scratch = new Float32Array(n);
  const sigma = camera.blur / pitch;
  for (const plane of planes) gaussianBlur(plane, size, sigma, scratch);
  if (camera.sharpen > 0) sharpen(planes, size, camera.sharpen, Math.max(0.6, 0.08 / pitch), scratch);
  drawSigns(['dust']);
  const pixels = toBytes(planes, grid, scene);
  if (jpeg && camera.jpegQuality < 100) jpegLoss(pixels, size, camera.jpegQuality);
  const retina = retinaMask(grid, scene);
  return { simulated: true, size, pitch, pixels, mask, retina, blur: sigma, lesionMasks };
}
