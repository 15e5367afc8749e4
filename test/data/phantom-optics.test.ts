import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gaussianBlur, jpegLoss } from '../../src/data/phantom/optics.ts';
import { coverOf } from '../../src/data/phantom/raster.ts';
import { PhiloxStream } from '../../src/random/philox.ts';

function picture(size: number): Uint8Array {
  const random = new PhiloxStream(5, 'picture');
  return Uint8Array.from({ length: 3 * size * size }, (_, i) => 120 + 60 * Math.sin(i / 37) + random.normal(0, 12));
}

function rms(a: Uint8Array, b: Uint8Array): number {
  return Math.sqrt(a.reduce((s, v, i) => s + (v - b[i]) ** 2, 0) / a.length);
}

test('jpegLoss at quality 100 changes a picture by rounding alone, and more the lower the quality', () => {
  for (const size of [32, 37]) {
    const before = picture(size);
    const losses = [100, 90, 60, 20].map((quality) => {
      const after = before.slice();
      jpegLoss(after, size, quality);
      return rms(after, before);
    });
    assert.ok(losses[0] < 1, `quality 100: ${losses[0]}`);
    for (let i = 1; i < losses.length; i++) assert.ok(losses[i] > losses[i - 1], losses.join(' '));
  }
});

test('jpegLoss is near what libjpeg does at the same quality without chroma subsampling', async () => {
  const sharp = await import('sharp').then((m) => m.default, () => undefined);
  if (sharp === undefined) {
    console.log('SKIP jpegLoss against libjpeg: sharp is not installed (npm install sharp)');
    return;
  }
  const size = 64;
  const before = picture(size);
  for (const quality of [50, 75, 90]) {
    const jpeg = await sharp(before, { raw: { width: size, height: size, channels: 3 } })
      .jpeg({ quality, chromaSubsampling: '4:4:4' })
      .toBuffer();
    const theirs = new Uint8Array(await sharp(jpeg).raw().toBuffer());
    const ours = before.slice();
    jpegLoss(ours, size, quality);
    // libjpeg's transform is in integers, so a coefficient half-way between two steps may fall to the other side.
    // Unrelated errors would differ by 1.4 of the loss; a table or a quality scale that is off changes the loss.
    const loss = rms(theirs, before);
    assert.ok(Math.abs(rms(ours, before) / loss - 1) < 0.02, `${quality}: lost ${rms(ours, before)}, libjpeg ${loss}`);
    assert.ok(rms(ours, theirs) < 0.3 * loss, `${quality}: ${rms(ours, theirs)} apart, of ${loss}`);
  }
});

test('gaussianBlur keeps the sum and spreads by its deviation', () => {
  const size = 41;
  const plane = new Float32Array(size * size);
  plane[20 * size + 20] = 1;
  gaussianBlur(plane, size, 2, new Float32Array(size * size));
  let sum = 0;
  let variance = 0;
  plane.forEach((v, p) => {
    sum += v;
    variance += v * ((p % size) - 20) ** 2;
  });
  assert.ok(Math.abs(sum - 1) < 1e-5);
  assert.ok(Math.abs(variance - 4) < 0.4, `variance ${variance}`);
});

test('cover is area: a spot smaller than a pixel covers its part of it, wherever it lies', () => {
  const shape = { rx: 0.03, ry: 0.03, angle: 0, waves: [], soft: 0 };
  for (const [x, y] of [[0.05, 0.05], [0.1, 0], [0.013, 0.027]]) {
    const cover = coverOf({ x, y, ...shape }, { size: 32, pitch: 0.1 });
    const area = cover.values.reduce((s, v) => s + v, 0) * 0.01;
    assert.ok(Math.abs(area / (Math.PI * 0.0009) - 1) < 0.15, `${area} mm2`);
  }
  const blob = { x: 0, y: 0, rx: 0.5, ry: 0.3, angle: 0.4, waves: [[0.2, 1]] as const, soft: 1 };
  const [fine, coarse] = [0.01, 0.1].map((pitch) => {
    const cover = coverOf(blob, { size: Math.round(2 / pitch), pitch });
    return cover.values.reduce((s, v) => s + v, 0) * pitch * pitch;
  });
  assert.ok(Math.abs(coarse / fine - 1) < 0.02, `${coarse} against ${fine} mm2`);
});

test.run();
