import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  growMask,
  LESION_BITS,
  paintPhantom,
  phantomCohort,
  phantomScene,
  renderPhantom,
  sceneOf,
} from '../../src/data/phantom/index.ts';

const eyes = phantomCohort({ seed: 7, patients: 24, prevalence: 0.5 });
const infected = eyes.filter((e) => e.trueLabel === 1);
const healthy = eyes.filter((e) => e.trueLabel === 0);

test('a cohort has two eyes a patient and exactly the prevalence asked for', () => {
  for (const [patients, prevalence] of [[24, 0.5], [101, 3 / 203], [10, 0], [10, 1], [7, 0.9]] as const) {
    const cohort = phantomCohort({ seed: 3, patients, prevalence });
    assert.is(cohort.length, 2 * patients);
    assert.is(new Set(cohort.map((e) => e.id)).size, 2 * patients);
    assert.is(new Set(cohort.map((e) => e.patient)).size, patients);
    assert.is(cohort.filter((e) => e.trueLabel === 1).length, Math.round(prevalence * 2 * patients));
    assert.ok(cohort.every((e) => e.simulated && e.label === e.trueLabel));
  }
});

test('label noise flips about its share of labels and changes no picture', () => {
  const clean = phantomCohort({ seed: 3, patients: 500 });
  const noisy = phantomCohort({ seed: 3, patients: 500, labelNoise: 0.1 });
  const wrong = noisy.filter((e) => e.label !== e.trueLabel).length;
  assert.ok(wrong > 70 && wrong < 130, `${wrong} of 1000 wrong`);
  assert.equal(noisy.map((e) => e.spec), clean.map((e) => e.spec));
});

test('cohorts of disjoint patient numbers share no eye', () => {
  const a = phantomCohort({ seed: 3, patients: 5 });
  const b = phantomCohort({ seed: 3, patients: 5, firstPatient: 5 });
  assert.is(new Set([...a, ...b].map((e) => e.id)).size, 20);
  const first = (c: typeof a): Uint8Array => renderPhantom(c[0].spec, { size: 32 }).pixels;
  assert.not.equal(first(a), first(b));
});

test('the same spec gives the same bytes; another seed, patient or eye does not', () => {
  const spec = infected[0].spec;
  const picture = renderPhantom(spec, { size: 64 });
  assert.equal(renderPhantom(phantomScene(JSON.parse(JSON.stringify(spec))), { size: 64 }).pixels, picture.pixels);
  const other = spec.eye === 'left' ? 'right' : 'left';
  for (const change of [{ seed: 8 }, { patient: 999 }, { eye: other }] as const) {
    assert.not.equal(renderPhantom({ ...spec, ...change }, { size: 64 }).pixels, picture.pixels);
  }
});

test('twins differ in lesions alone', () => {
  for (const eye of infected.slice(0, 6)) {
    const scene = sceneOf(eye);
    const bare = phantomScene({ ...eye.spec, severity: 0 });
    assert.equal(bare.lesions, []);
    assert.equal(bare.anatomy, scene.anatomy);
    assert.equal(bare.signs, scene.signs);
    assert.equal(bare.camera, scene.camera);
    const size = 96;
    const withLesions = renderPhantom(scene, { size, jpeg: false });
    const without = renderPhantom(scene, { size, jpeg: false, lesions: false });
    assert.equal(without.pixels, renderPhantom(bare, { size, jpeg: false }).pixels);
    // Optics spread a lesion by some deviations; beyond that not one byte may differ.
    const reach = growMask(withLesions.mask, size, 4 * withLesions.blur + 6);
    let changed = 0;
    for (let p = 0; p < size * size; p++) {
      const same = [0, 1, 2].every((c) => withLesions.pixels[3 * p + c] === without.pixels[3 * p + c]);
      if (!same) changed++;
      if (reach[p] === 0) assert.ok(same, `pixel ${p} of ${eye.id} differs off the lesions`);
    }
    assert.ok(changed > 20);
  }
});

test('lesions keep their sizes in millimetres, lie on the retina, and healthy eyes have none', () => {
  for (const eye of healthy) assert.is(sceneOf(eye).lesions.length, 0);
  const kinds = new Set<string>();
  for (const eye of infected) {
    const { lesions, anatomy, camera } = sceneOf(eye);
    assert.ok(lesions.length >= 6, `${eye.id} has ${lesions.length} lesions`);
    for (const l of lesions) {
      kinds.add(l.kind);
      const across = 2 * Math.max(l.rx, l.ry);
      if (l.kind === 'microaneurysm') assert.ok(across <= 0.125);
      if (l.kind === 'cottonWoolSpot') assert.ok(across >= 0.4 && across <= 0.6);
      if (l.kind === 'hardExudate') assert.ok(across <= 0.3);
      assert.ok(Math.hypot(l.x - camera.field.x, l.y - camera.field.y) < camera.field.radius);
      assert.ok(Math.hypot(l.x - anatomy.disc.x, l.y - anatomy.disc.y) > anatomy.disc.rx);
    }
  }
  assert.equal([...kinds].sort(), Object.keys(LESION_BITS).sort());
});

test('the disc is 1.8 mm, the field 13.5 mm, the fovea 4.5 mm to the temporal side', () => {
  const mean = (f: (e: (typeof eyes)[0]) => number): number => eyes.reduce((s, e) => s + f(e), 0) / eyes.length;
  const disc = mean((e) => sceneOf(e).anatomy.disc.rx + sceneOf(e).anatomy.disc.ry);
  assert.ok(Math.abs(disc - 1.8) < 0.1, `disc ${disc} mm`);
  const field = mean((e) => 2 * sceneOf(e).camera.field.radius);
  assert.ok(Math.abs(field - 13.5) < 0.25, `field ${field} mm`);
  for (const e of eyes) {
    const { anatomy } = sceneOf(e);
    const towards = (anatomy.fovea.x - anatomy.disc.x) * (e.eye === 'right' ? -1 : 1);
    assert.ok(towards > 3.7 && towards < 5.2, `fovea ${towards} mm`);
    for (const v of anatomy.vessels) {
      if (v.order > 0) assert.ok(Math.hypot(v.x1 - anatomy.fovea.x, v.y1 - anatomy.fovea.y) > 0.41);
    }
  }
});

test('masks say where the picture differs from its twin, at any size and by area', () => {
  const scene = sceneOf(infected[1]);
  const areas = [64, 128, 256].map((size) => {
    const { lesionMasks, pitch, mask } = renderPhantom(scene, { size, jpeg: false });
    assert.is(lesionMasks.length, scene.lesions.length);
    const union = new Uint8Array(size * size);
    let area = 0;
    for (const m of lesionMasks) {
      m.cover.forEach((v, i) => {
        area += v / 255;
        if (v > 12) union[(m.y + Math.floor(i / m.width)) * size + m.x + (i % m.width)] = 1;
      });
    }
    assert.ok(union.every((v, p) => v === 0 || mask[p] !== 0));
    return area * pitch * pitch;
  });
  // Cover is area: it does not change with resolution.
  for (const a of areas) assert.ok(Math.abs(a / areas[2] - 1) < 0.03, areas.join(' '));
});

test('painting out brings the picture to its healthy twin, elsewhere it does not', () => {
  const size = 128;
  let sumBefore = 0;
  let sumAfter = 0;
  for (const eye of infected.slice(0, 8)) {
    const scene = sceneOf(eye);
    const image = renderPhantom(scene, { size });
    const twin = renderPhantom(scene, { size, lesions: false });
    const { painted, control, mask, controlMask } = paintPhantom(image);
    const count = (m: Uint8Array): number => m.reduce((s, v) => s + (v === 0 ? 0 : 1), 0);
    assert.is(count(mask), count(controlMask));
    assert.ok(mask.every((v, p) => v === 0 || controlMask[p] === 0));
    // By lesion, weighted by cover: grain, which no painter can restore, averages out.
    const distance = (pixels: Uint8Array): number => {
      let total = 0;
      for (const m of image.lesionMasks) {
        let sum = 0;
        let weight = 0;
        m.cover.forEach((v, i) => {
          const p = (m.y + Math.floor(i / m.width)) * size + m.x + (i % m.width);
          sum += v * (pixels[3 * p + 1] - twin.pixels[3 * p + 1]);
          weight += v;
        });
        total += weight === 0 ? 0 : Math.abs(sum / weight);
      }
      return total / image.lesionMasks.length;
    };
    const before = distance(image.pixels);
    assert.is(distance(control), before);
    const after = distance(painted);
    assert.ok(after < before, `${eye.id}: ${before} to ${after} levels`);
    sumBefore += before;
    sumAfter += after;
  }
  assert.ok(sumAfter < 0.35 * sumBefore, `${sumBefore} to ${sumAfter} levels`);
});

test('options out of range are refused by name', () => {
  assert.throws(() => phantomCohort({ patients: 1.5 }), /patients: expected/);
  assert.throws(() => phantomCohort({ prevalence: 2 }), /prevalence: expected 0 to 1, got 2/);
  assert.throws(() => phantomCohort({ labelNoise: -1 }), /labelNoise: expected/);
  assert.throws(() => phantomCohort({ blur: Number.NaN }), /blur: expected/);
  assert.throws(() => phantomCohort({ seed: -1 }), /seed: expected/);
  assert.throws(() => renderPhantom(infected[0].spec, { size: 8 }), /size: expected/);
});

test.run();
