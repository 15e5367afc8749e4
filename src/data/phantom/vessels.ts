/**
 * The retinal vessel tree, grown in the eye's own frame: disc at the origin, temporal along +x, up along -y, mm.
 * Trunks follow the arcades around the macula; branches leave them at 35 to 65 degrees, calibres by Murray's law
 * (the cube of the parent's diameter is the sum of the children's cubes), and none enters the fovea's avascular zone.
 */
import type { PhiloxStream } from '../../random/philox.ts';
import type { VesselSegment } from './types.ts';

type Kind = VesselSegment['kind'];
type Point = readonly [number, number];

/** Step of the growth. */
const STEP = 0.12;
/** Vessels thinner than this are left to the texture. */
const THINNEST = 0.016;
/** Radius around the fovea without vessels. */
const AVASCULAR = 0.42;
/** Branches end this far from the disc: beyond any field drawn here. */
const REACH = 13;

interface Growth {
  random: PhiloxStream;
  fovea: Point;
  tortuosity: number;
  /** Stretches the distance between branchings. */
  sparse: number;
  out: VesselSegment[];
}

/** A point of the Catmull-Rom spline through `points`, at t in [0, points.length - 1]. */
function spline(points: readonly Point[], t: number): Point {
  const last = points.length - 1;
  const i = Math.min(Math.floor(t), last - 1);
  const f = t - i;
  const p0 = points[Math.max(i - 1, 0)];
  const p1 = points[i];
  const p2 = points[i + 1];
  const p3 = points[Math.min(i + 2, last)];
  const at = (k: 0 | 1): number => {
    const slope = p2[k] - p0[k];
    const square = 2 * p0[k] - 5 * p1[k] + 4 * p2[k] - p3[k];
    const cube = 3 * (p1[k] - p2[k]) + p3[k] - p0[k];
    return p1[k] + 0.5 * f * (slope + f * (square + f * cube));
  };
  return [at(0), at(1)];
}

/** A branch that wanders from (x, y) along `heading`, thins, and branches again. */
function branch(g: Growth, kind: Kind, order: number, x: number, y: number, heading: number, diameter: number): void {
  const { random, fovea, out } = g;
  const length = diameter * random.uniform(38, 75);
  const steps = Math.max(4, Math.round(length / STEP));
  const inside = Math.hypot(x - fovea[0], y - fovea[1]) < 3.2 && Math.abs(y) < 3.4;
  let curl = random.normal(0, 0.16) * g.tortuosity;
  let next = random.uniform(0.35, 1.1) * g.sparse;
  let side = random.chance(0.5) ? 1 : -1;
  let d = diameter;
  for (let i = 0; i < steps; i++) {
    curl = 0.9 * curl + random.normal(0, 0.11) * g.tortuosity;
    // Macular branches drift towards the fovea, the others away from the posterior pole.
    const toX = inside ? fovea[0] - x : x - 1.5;
    const toY = inside ? fovea[1] - y : y;
    const want = Math.atan2(toY, toX);
    const turn = Math.atan2(Math.sin(want - heading), Math.cos(want - heading));
    heading += curl * STEP * 2 + turn * STEP * (inside ? 0.22 : 0.3);
    const x1 = x + Math.cos(heading) * STEP;
    const y1 = y + Math.sin(heading) * STEP;
    const d1 = Math.max(d - (diameter * 0.5) / steps, THINNEST);
    if (Math.hypot(x1 - fovea[0], y1 - fovea[1]) < AVASCULAR || Math.hypot(x1, y1) > REACH) return;
    out.push({ kind, order, x0: x, y0: y, x1, y1, d0: d, d1 });
    x = x1;
    y = y1;
    d = d1;
    next -= STEP;
    if (next < 0 && order < 3 && d > 0.026) {
      const child = d * random.uniform(0.5, 0.85);
      if (child > THINNEST) {
        branch(g, kind, order + 1, x, y, heading + side * random.uniform(0.45, 0.95), child);
        d = Math.cbrt(Math.max(d ** 3 - child ** 3, (0.7 * d) ** 3));
        heading -= side * random.uniform(0.05, 0.25);
      }
      side = random.chance(0.8) ? -side : side;
      next = random.uniform(0.5, 1.4) * g.sparse;
    }
  }
}

/** A trunk along the spline through `points`, with branches to both sides. */
function trunk(g: Growth, kind: Kind, points: readonly Point[], diameter: number): void {
  const { random, out } = g;
  const wave1 = random.uniform(0, 7);
  const wave2 = random.uniform(0, 7);
  let [x, y] = points[0];
  let d = diameter;
  let travelled = 0;
  let next = random.uniform(1.2, 1.8);
  let side = random.chance(0.5) ? 1 : -1;
  const last = points.length - 1;
  const samples = last * 18;
  for (let i = 1; i <= samples; i++) {
    const [sx, sy] = spline(points, (i / samples) * last);
    const fade = Math.min(1, travelled / 1.5) * g.tortuosity;
    const heading0 = Math.atan2(sy - y, sx - x);
    const bend = fade * (0.05 * Math.sin(travelled * 2.1 + wave1) + 0.035 * Math.sin(travelled * 4.7 + wave2));
    const x1 = sx - Math.sin(heading0) * bend;
    const y1 = sy + Math.cos(heading0) * bend;
    const step = Math.hypot(x1 - x, y1 - y);
    if (step < 1e-6) continue;
    const heading = Math.atan2(y1 - y, x1 - x);
    const d1 = Math.max(d - 0.0035 * step, 0.035);
    out.push({ kind, order: 0, x0: x, y0: y, x1, y1, d0: d, d1 });
    x = x1;
    y = y1;
    d = d1;
    travelled += step;
    next -= step;
    if (next < 0) {
      const child = d * random.uniform(0.4, 0.78);
      branch(g, kind, 1, x, y, heading + side * random.uniform(0.55, 1.1), child);
      d = Math.max(Math.cbrt(d ** 3 - 0.8 * child ** 3), 0.035);
      side = random.chance(0.75) ? -side : side;
      next = random.uniform(0.55, 1.3) * g.sparse;
    }
  }
}

/**
 * The tree of one eye.
 *
 * @param fovea the fovea's place in the eye's frame, mm
 * @param discRadius mm
 * @returns segments of at most 0.3 mm, trunks before their branches' ends
 */
export function growVessels(random: PhiloxStream, fovea: Point, discRadius: number): VesselSegment[] {
  const out: VesselSegment[] = [];
  const calibre = random.uniform(0.78, 1.22);
  const sparse = Math.min(Math.max(Math.exp(random.normal(0.05, 0.35)), 0.6), 2.2);
  const g: Growth = { random, fovea, tortuosity: random.uniform(0.55, 1.5), sparse, out };
  const j = (spread: number): number => random.normal(0, spread);
  const nasalShift = -random.uniform(0.05, 0.25) * discRadius;
  for (const up of [-1, 1]) {
    const arch = random.uniform(2.7, 3.9);
    const nasal = random.uniform(1.7, 3);
    const veinOutside = random.chance(0.5) ? 1 : -1;
    for (const kind of ['vein', 'artery'] as const) {
      const d0 = calibre * (kind === 'vein' ? random.uniform(0.13, 0.165) : random.uniform(0.09, 0.115));
      const off = (kind === 'vein' ? veinOutside : -veinOutside) * random.uniform(0.08, 0.28);
      const rootX = nasalShift + (kind === 'vein' ? 0.08 : -0.04) + j(0.05);
      const root: Point = [rootX, j(0.08)];
      const exitY = up * discRadius * random.uniform(0.75, 1);
      trunk(
        g,
        kind,
        [
          root,
          [rootX + j(0.06) + 0.08, exitY * 0.55],
          [0.12 + j(0.12), exitY * 1.35],
          [1.15 + j(0.2) - off, up * (arch * 0.74 + off) + j(0.1)],
          [2.9 + j(0.25), up * (arch + off) + j(0.15)],
          [5 + j(0.3), up * (arch * random.uniform(0.88, 1.08) + off * 1.6) + j(0.2)],
          [7.2 + j(0.4), up * (arch * random.uniform(0.55, 1.05) + off * 2) + j(0.35)],
          [9.6 + j(0.5), up * (arch * random.uniform(0.35, 1.2) + off * 2) + j(0.5)],
        ],
        d0,
      );
      trunk(
        g,
        kind,
        [
          root,
          [rootX - 0.02 + j(0.05), exitY * 0.5],
          [-0.35 + j(0.1), exitY * 1.15],
          [-1.4 + j(0.25) + off, up * (nasal * 0.62 + off) + j(0.1)],
          [-3 + j(0.35), up * (nasal + off) + j(0.25)],
          [-5.2 + j(0.5), up * (nasal * 1.25 + off) + j(0.5)],
          [-8 + j(0.7), up * (nasal * 1.5 + off) + j(0.7)],
        ],
        d0 * random.uniform(0.6, 0.85),
      );
    }
  }
  const small = 3 + random.int(4);
  for (let i = 0; i < small; i++) {
    const temporal = i < 2 || random.chance(0.5);
    const angle = temporal ? random.uniform(-0.75, 0.75) : Math.PI + random.uniform(-0.7, 0.7);
    const from = discRadius * random.uniform(0.5, 0.8);
    const kind = random.chance(0.5) ? 'vein' : 'artery';
    branch(g, kind, 1, Math.cos(angle) * from, Math.sin(angle) * from, angle + j(0.15), random.uniform(0.035, 0.06));
  }
  return out;
}
