/**
 * What a fundus phantom is made of. Lengths are millimetres on the retina, angles radians, in the frame of the picture:
 * x to the right, y down, the origin in the middle of the camera's field. Nothing here knows of pixels.
 */

/** Said by every output and on every picture that uses phantoms. */
export const SIMULATED_NOTICE = 'Simulated: procedural fundus phantoms, not photographs of patients';

export type Eye = 'left' | 'right';

/** The little that a scene is drawn from; plain data, so it may be posted to a worker. */
export interface PhantomSpec {
  /** Integer from 0 to 2^53 - 1: the cohort's seed. */
  seed: number;
  /** Number of the patient in the cohort, from 0. */
  patient: number;
  eye: Eye;
  /** True severity: 0 is a healthy eye, (0, 1] an infected one, from few lesions to many. */
  severity: number;
  /** Multiplies the width of the optics' point spread; 1 is a usual camera, 0 perfect focus. */
  blur: number;
}

export type LesionKind = 'microaneurysm' | 'haemorrhage' | 'hardExudate' | 'cottonWoolSpot';

/** The bit of each kind of lesion in a mask. */
export const LESION_BITS: Readonly<Record<LesionKind, number>> = {
  microaneurysm: 1,
  haemorrhage: 2,
  hardExudate: 4,
  cottonWoolSpot: 8,
};

/**
 * A spot with an uneven outline: an ellipse whose radius at the angle t is multiplied by
 * 1 + sum over i of `waves[i][0] cos(t (i + 2) + waves[i][1])`.
 */
export interface Blob {
  x: number;
  y: number;
  /** Half axes. */
  rx: number;
  ry: number;
  /** Direction of the first half axis. */
  angle: number;
  /** Amplitude and phase of each wave of the outline. */
  waves: readonly (readonly [number, number])[];
  /** Width of the edge as a part of the radius, half of it inside and half outside: 0 sharp, 2 a bell. */
  soft: number;
}

/** How a spot changes the light that comes back. */
export interface Optical {
  /** `paint` covers what lies below with its colour, `absorb` multiplies by exp(-density), a channel each. */
  mode: 'paint' | 'absorb';
  /** Reflectance of red, green and blue (paint), or optical density (absorb). */
  rgb: readonly [number, number, number];
  /** Opacity at full cover, 0 to 1. */
  opacity: number;
}

export interface Lesion extends Blob, Optical {
  kind: LesionKind;
  /** `flame` lies along the nerve fibres. */
  form: 'dot' | 'blot' | 'flame' | 'deposit' | 'fluffy';
}

export type SignKind =
  | 'drusen'
  | 'pigment'
  | 'naevus'
  | 'stray'
  | 'scar'
  | 'reflection'
  | 'glint'
  | 'dust';

/** What a healthy eye or a camera shows and no reader would call diabetic. */
export interface Sign extends Blob, Optical {
  kind: SignKind;
}

/** A stretch of vessel between two points, with the calibre at both ends. */
export interface VesselSegment {
  kind: 'artery' | 'vein';
  /** 0 for a trunk, rising with each branching. */
  order: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  /** Diameters. */
  d0: number;
  d1: number;
}

/** A smooth random field of mean 0 and values within [-1, 1]: a lattice of values, interpolated. */
export interface NoiseField {
  /** Lattice cells a side (a power of two; the field repeats) and width of one. */
  cells: number;
  pitch: number;
  values: Float32Array;
}

export interface Anatomy {
  /** Optic disc; half axes some 0.9 mm. `cup` is the cup-to-disc ratio. */
  disc: { x: number; y: number; rx: number; ry: number; angle: number; cup: number; pale: number; crescent: number };
  /** The fovea and how dark the macula is, 0 to 1. */
  fovea: { x: number; y: number; dark: number; reflex: number };
  /** Direction from the disc to the fovea: +1 to the right, -1 to the left; and the eye's torsion. */
  temporal: 1 | -1;
  torsion: number;
  vessels: VesselSegment[];
  /** Light returned by the bare fundus, red, green, blue. */
  base: [number, number, number];
  /** Contrast of the blood in vessels and haemorrhages, about 1, and of the finest branches. */
  blood: number;
  capillaries: number;
  /** How much choroidal vessels show, nerve fibres shine and pigment mottles, 0 to 1. */
  tessellation: number;
  fibres: number;
  mottle: number;
  textures: { coarse: NoiseField; middle: NoiseField; fine: NoiseField; warp: NoiseField };
  /** Strength of granular pigment about the macula, 0 to 1. */
  granular: number;
}

export interface Camera {
  /** Side of the square frame. */
  frame: number;
  /** Radius of the field stop, its centre, and the height cut off the circle above and below. */
  field: { x: number; y: number; radius: number; cut: number; notch: number };
  /** Standard deviation of the point spread. */
  blur: number;
  /** Light on the retina: brightest at (x, y), falling by `fall` to the rim, with a slant. */
  light: { x: number; y: number; fall: number; slantX: number; slantY: number };
  /** Scattered light: strength over all, and of a crescent at the rim from the direction `angle`. */
  haze: { veil: number; rim: number; angle: number; rgb: [number, number, number] };
  gain: [number, number, number];
  gamma: number;
  saturation: number;
  /** Standard deviation of the sensor's noise at a pitch of 0.1 mm, of full scale 1. */
  noise: number;
  /** Strength of unsharp masking in the camera. */
  sharpen: number;
  /** Quality 1 to 100 as libjpeg counts it. */
  jpegQuality: number;
}

export interface PhantomScene {
  simulated: true;
  spec: PhantomSpec;
  anatomy: Anatomy;
  signs: Sign[];
  /** Empty in a healthy eye. */
  lesions: Lesion[];
  camera: Camera;
}
