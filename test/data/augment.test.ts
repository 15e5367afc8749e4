import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { augment } from '../../src/data/augment.ts';
import type { Augmentation, ImageShape, MeanLevels, TracedTransform } from '../../src/data/augment.ts';
import { parseAugmentations } from '../../src/data/augment-text.ts';
import { Augmenter } from '../../src/data/augmenter.ts';
import type { Drawn } from '../../src/data/augmenter.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { TrainLoader } from '../../src/data/loader.ts';
import { recordAugmentation } from '../../src/data/record-augmentation.ts';
import type { RecordAugmentationOptions } from '../../src/data/record-augmentation.ts';
import { Sampler } from '../../src/data/sampler.ts';
import { flipLeftRight, gaussianNoise, rotate180 } from '../../src/data/transforms.ts';
import { OptionError } from '../../src/errors.ts';
import { compile, tensor, wrap } from '../../src/fovea.ts';
import { interpolations, warpAffine } from '../../src/ops/warp-affine.ts';
import { where } from '../../src/ops/where.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { Device } from '../../src/device/types.ts';
import { setDefaultDevice } from '../../src/device/index.ts';
import { throws } from '../support/errors.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

const classes = ['healthy', 'infected'];
const shape: ImageShape = [6, 8, 3];
const size = 6 * 8 * 3;
const { present, absent } = await runners('cpu,webgpu');
const devices = present.map(({ device }) => device as Device);
setDefaultDevice(devices[0]);

/** Image `i` is different for every i; grey levels. */
const pixelsOf = (ids: readonly number[]): Float32Array =>
  Float32Array.from(ids.flatMap((id) => Array.from({ length: size }, (_, k) => (k * 37 + id * 11) % 256)));

async function run(
  list: readonly Augmentation[], drawn: Partial<Drawn> & { draws: Int32Array }, mean: readonly number[] | MeanLevels = [0, 0, 0], seed = 3,
): Promise<Float32Array[]> {
  const n = drawn.draws.length;
  const whole: Drawn = { epoch: 0, labels: new Int32Array(n), ...drawn };
  const augmenter = new Augmenter(list, { classes, shape, seed });
  const keys = { seed: tensor(seed, [], 'int32'), epoch: tensor(whole.epoch, [], 'int32'), draws: wrap(whole.draws, [n], 'int32') };
  const x = wrap(pixelsOf([...whole.draws]), [n, ...shape], 'float32');
  const settings = wrap(augmenter.settings(whole), [n, augmenter.columns], 'float32');
  const y = await augmenter.apply(x, settings, keys, 'mean' in mean ? mean : { mean }).data() as Float32Array;
  return Array.from({ length: n }, (_, k) => y.slice(k * size, (k + 1) * size));
}

const record = (options: RecordAugmentationOptions): Augmentation[] => [augment({ tensor: recordAugmentation(options) })];
const ids = (...all: number[]): Int32Array => Int32Array.from(all);
const range = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);
const at = (image: Float32Array, row: number, column: number, channel = 0): number => image[(row * 8 + column) * 3 + channel];

test('what falls on a sample follows from seed, epoch and sample, not from its place in the batch', async () => {
  const list = [augment({ probability: 0.5, tensor: flipLeftRight }), augment({ tensor: gaussianNoise(3) })];
  const forward = await run(list, { draws: ids(0, 1, 2, 3, 4, 5) });
  assert.equal((await run(list, { draws: ids(5, 4, 3, 2, 1, 0) })).reverse(), forward);
  assert.equal(await run(list, { draws: ids(2, 3) }), forward.slice(2, 4));
  assert.not.equal(await run(list, { draws: ids(0, 1, 2, 3, 4, 5), epoch: 1 }), forward);
  assert.not.equal(await run(list, { draws: ids(0, 1, 2, 3, 4, 5) }, [0, 0, 0], 4), forward);
});

test('a class and a probability', () => {
  const n = 2000;
  const augmenter = new Augmenter(
    [augment({ class: 'infected', probability: 0.25, tensor: rotate180 }), augment({ class: [0], tensor: flipLeftRight })],
    { classes, shape, seed: 1 },
  );
  const labels = range(n).map((i) => i % 2);
  const settings = augmenter.settings({ epoch: 0, labels, draws: range(n) });
  const share = (column: number, label: number): number =>
    labels.reduce((sum, l, i) => sum + (l === label ? settings[i * 2 + column] : 0), 0) / (n / 2);
  assert.is(share(0, 0), 0);
  assert.ok(Math.abs(share(0, 1) - 0.25) < 0.05, `${share(0, 1)}`);
  assert.equal([share(1, 0), share(1, 1)], [1, 0]);
});

test('transforms that an epoch asks for take the place of chance', () => {
  const list = [augment({ tensor: rotate180 }), augment({ probability: 0, tensor: flipLeftRight })];
  const augmenter = new Augmenter(list, { classes, shape, seed: 1 });
  const chosen = [['flipLeftRight'], [], undefined, ['rotate180', 'flipLeftRight']];
  assert.equal([...augmenter.settings({ epoch: 0, labels: ids(0, 0, 0, 0), draws: range(4), chosen })], [0, 1, 0, 0, 1, 0, 1, 1]);
  throws(() => augmenter.settings({ epoch: 0, labels: ids(0), draws: range(1), chosen: [['rotate18']] }), OptionError,
    /asked for the transform 'rotate18'.*did you mean 'rotate180'/);
  const none = new Augmenter([], { classes, shape, seed: 1 });
  throws(() => none.settings({ epoch: 0, labels: ids(0), draws: range(1), chosen: [['rotate180']] }), OptionError, /fit's list augment has none/);
});

test('noise is in grey levels: its deviation is the one asked for, and it is drawn anew for every element', async () => {
  const before = pixelsOf([...range(40)]);
  const after = (await run([augment({ tensor: gaussianNoise(2) })], { draws: range(40) })).flatMap((x) => [...x]);
  const noise = after.map((v, i) => v - before[i]);
  const mean = noise.reduce((a, b) => a + b, 0) / noise.length;
  const deviation = Math.sqrt(noise.reduce((a, b) => a + (b - mean) ** 2, 0) / noise.length);
  assert.ok(Math.abs(mean) < 4 * 2 / Math.sqrt(noise.length), `mean ${mean}`);
  assert.ok(Math.abs(deviation - 2) < 0.1, `deviation ${deviation}`);
  assert.ok(new Set(noise.map((v) => v.toFixed(4))).size > noise.length / 3);
});

test('turned by 180 degrees, also by the record iterator, every pixel is where its opposite was', async () => {
  const [before] = [pixelsOf([4])];
  for (const list of [[augment({ tensor: rotate180 })], record({ rotateList: [180] }), record({ rotate: 540 })]) {
    const [after] = await run(list, { draws: ids(4) });
    after.forEach((v, i) => assert.is(v, before[(47 - Math.floor(i / 3)) * 3 + (i % 3)]));
  }
});

test('rotateList takes one of its angles', async () => {
  const before = pixelsOf([...range(24)]);
  const after = await run(record({ rotateList: [0, 180] }), { draws: range(24) });
  const kept = after.filter((image, k) => image.every((v, i) => v === before[k * size + i])).length;
  assert.ok(kept > 4 && kept < 20, `${kept} of 24 stayed as they were`);
});

test('padding and a crop anywhere shift an image by whole pixels; what comes in is filled', async () => {
  const before = pixelsOf([...range(30)]);
  const shifts = new Set<string>();
  const after = await run(record({ pad: 2, randCrop: true, fillValue: 200 }), { draws: range(30) });
  after.forEach((image, k) => {
    const source = (row: number, column: number): number =>
      (row < 0 || row > 5 || column < 0 || column > 7 ? 200 : before[k * size + (row * 8 + column) * 3]);
    const fits: string[] = [];
    for (let dy = -2; dy <= 2; dy++) {
      for (let dx = -2; dx <= 2; dx++) {
        let same = true;
        for (let r = 0; r < 6; r++) for (let c = 0; c < 8; c++) same &&= at(image, r, c) === source(r + dy, c + dx);
        if (same) fits.push(`${dy},${dx}`);
      }
    }
    assert.is(fits.length, 1, `image ${k}`);
    shifts.add(fits[0]);
  });
  assert.ok(shifts.size > 10, `${shifts.size} of 25 shifts`);
});

test('a crop in the middle is scaled to the whole; scaling up and cropping is the same', async () => {
  const [before] = [pixelsOf([1])];
  // 4 x 4 of 6 x 8, rows 1 to 4 and columns 2 to 5: column j is column (j + 1/2) 4/8 - 1/2 + 2 of the image.
  const [cropped] = await run(record({ minCropSize: 4, maxCropSize: 4 }), { draws: ids(1) });
  const bilinear = (y: number, x: number): number => {
    const [top, left] = [Math.floor(y), Math.floor(x)];
    const [b, a] = [y - top, x - left];
    const p = (r: number, c: number): number => at(before, r, c);
    return (1 - b) * ((1 - a) * p(top, left) + a * p(top, left + 1)) + b * ((1 - a) * p(top + 1, left) + a * p(top + 1, left + 1));
  };
  for (const [row, column] of [[0, 0], [2, 3], [5, 7]]) {
    const want = bilinear((row + 0.5) * 4 / 6 - 0.5 + 1, (column + 0.5) * 4 / 8 - 0.5 + 2);
    assert.ok(Math.abs(at(cropped, row, column) - want) < 1e-3, `${row},${column}: ${at(cropped, row, column)}, expected ${want}`);
  }
  // Twice as large, cut to 6 x 8 about the middle: column j is (j - 3.5) / 2 + 3.5.
  const [scaled] = await run(record({ minRandomScale: 2, maxRandomScale: 2 }), { draws: ids(1) });
  const want = bilinear((1 - 2.5) / 2 + 2.5, (2 - 3.5) / 2 + 3.5);
  assert.ok(Math.abs(at(scaled, 1, 2) - want) < 1e-3, `${at(scaled, 1, 2)}, expected ${want}`);
});

// cv2.warpAffine (WARP_INVERSE_MAP, a constant border of 255) of OpenCV 5.0.0 on these pixels, at (0, 0), (1, 2), (3, 4) and (5, 7).
const ofOpenCv: Readonly<Record<string, readonly number[]>> = {
  nearest: [97, 72, 47, 22], bilinear: [147.25, 126.25, 101.25, 67.75], cubic: [132.4727, 113.1719, 88.1719, 38.1016],
  lanczos4: [133.9759, 112.0092, 84.693, 34.6445],
};
const someOf = (image: Float32Array): number[] => [[0, 0], [1, 2], [3, 4], [5, 7]].map(([row, column]) => at(image, row, column));
const close = (got: readonly number[], want: readonly number[], what: string): void =>
  got.forEach((v, i) => assert.ok(Math.abs(v - want[i]) < 1e-3, `${what}: ${got.join(' ')}, expected ${want.join(' ')}`));

for (const [interMethod, want] of Object.entries(ofOpenCv)) {
  test(`inter_method ${interMethod}: OpenCV's pixels, twice as large`, async () => {
    const options = { minRandomScale: 2, maxRandomScale: 2, interMethod } as RecordAugmentationOptions;
    close(someOf((await run(record(options), { draws: ids(1) }))[0]), want, interMethod);
  });
}

test('inter_method area is the mean over what a pixel covers, where the image shrinks along its axes', async () => {
  // cv2.resize (INTER_AREA) to 5 x 4 of the same pixels: its upper row and its last pixel.
  const map = tensor([8 / 5, 0, 0.3, 0, 6 / 4, 0.25, interpolations.indexOf('area')], [1, 7]);
  const y = await warpAffine(wrap(pixelsOf([1]), [1, ...shape], 'float32'), map, { fill: 255 }).data() as Float32Array;
  close([0, 1, 2, 3, 4].map((column) => at(y, 0, column)), [92.625, 173.7917, 140.8333, 107.875, 82.375], 'area');
  close([at(y, 3, 4)], [175.7083], 'area');
  const half = { minRandomScale: 0.5, maxRandomScale: 0.5 };
  const [area, auto, bilinear] = await Promise.all((['area', 'auto', 'bilinear'] as const).map(async (interMethod) =>
    (await run(record({ ...half, interMethod }), { draws: ids(1) }))[0]));
  // Half as large, in the middle of what is filled: the means of 2 x 2 pixels.
  const before = pixelsOf([1]);
  const mean = (r: number, c: number): number => (at(before, r, c) + at(before, r, c + 1) + at(before, r + 1, c) + at(before, r + 1, c + 1)) / 4;
  close([at(area, 2, 3), at(area, 3, 5), at(area, 0, 0)], [mean(2, 2), mean(4, 6), 255], 'half as large');
  assert.equal(auto, area);
  close([...bilinear], [...area], 'whose corners are those four');
  const [turned, slanted] = await Promise.all((['area', 'bilinear'] as const).map(async (interMethod) =>
    (await run(record({ ...half, rotate: 30, interMethod }), { draws: ids(1) }))[0]));
  assert.equal(turned, slanted);
});

for (const { name, kind } of devices) {
  test(`${name}: places that are no numbers, or beyond all integers, are outside of the image`, async () => {
    const device = devices.find((d) => d.kind === kind)!;
    const maps = interpolations.flatMap((_, k) => [[NaN, 0, 0, 0, 1, 0, k], [1, 0, Infinity, 0, 1, 0, k], [1, 0, 0, 0, 1, -3e38, k]]);
    const images = wrap(new Float32Array(maps.length * size), [maps.length, ...shape], 'float32');
    const warped = compile((x: Tensor, m: Tensor) => warpAffine(x, m, { fill: 9 }), { device });
    const y = await (await warped(images, wrap(Float32Array.from(maps.flat()), [maps.length, 7], 'float32'))).data() as Float32Array;
    assert.equal(y.findIndex((v) => v !== 9), -1);
  });
}

test('inter_method auto is cubic for what grows, bilinear for what does neither; random is each of the five; nothing leaves 0 to 255', async () => {
  const twice = { minRandomScale: 2, maxRandomScale: 2 };
  const [auto] = await run(record({ ...twice, interMethod: 'auto' }), { draws: ids(1) });
  close(someOf(auto), ofOpenCv.cubic, 'auto');
  const turned = { rotate: 20, interMethod: 'auto' } as const;
  assert.equal(await run(record(turned), { draws: ids(1) }), await run(record({ ...turned, interMethod: 'bilinear' }), { draws: ids(1) }));
  const seen = (await run(record({ ...twice, interMethod: 'random' }), { draws: range(40) })).map(([v], k) => v - (pixelsOf([k])[0] - pixelsOf([0])[0]));
  assert.ok(new Set(seen.map((v) => v.toFixed(1))).size >= 4, `${seen.join(' ')}`);
  const edge: TracedTransform = (x) => where(x.greater(128), 255, 0);
  const list = [augment({ name: 'edge', tensor: edge }), augment({ name: 'record', tensor: recordAugmentation({ ...twice, interMethod: 'lanczos4' }) })];
  const sharp = (await run(list, { draws: ids(1) }))[0];
  assert.ok(Math.min(...sharp) === 0 && Math.max(...sharp) === 255, `${Math.min(...sharp)} to ${Math.max(...sharp)}`);
});

test('a crop begins where cropXStart and cropYStart say, wherever there is more than the crop', async () => {
  const before = pixelsOf([...range(6)]);
  const source = (k: number, row: number, column: number): number =>
    (row < 0 || row > 5 || column < 0 || column > 7 ? 255 : before[k * size + (row * 8 + column) * 3]);
  const after = await run(record({ pad: 3, randCrop: true, cropXStart: 1, cropYStart: 4 }), { draws: range(6) });
  after.forEach((image, k) => {
    for (let r = 0; r < 6; r++) for (let c = 0; c < 8; c++) assert.is(at(image, r, c), source(k, r + 1, c - 2), `image ${k}, ${r}, ${c}`);
  });
  assert.equal(await run(record({ pad: 3, cropXStart: 99, cropYStart: 4 }), { draws: ids(2) }),
    await run(record({ pad: 3, cropXStart: 6, cropYStart: 4 }), { draws: ids(2) }), 'at most as far as there is room');
  const [whole] = await run(record({ cropXStart: 5, cropYStart: 5 }), { draws: ids(0) });
  assert.equal(whole, before.slice(0, size), 'nothing is to be cut');
});

test('the map of angle, shear, scale and aspect is the iterator\'s', () => {
  const settingsOf = (options: RecordAugmentationOptions): number[] => {
    const augmenter = new Augmenter(record(options), { classes, shape, seed: 5 });
    return [...augmenter.settings({ epoch: 0, labels: ids(0), draws: ids(9) })].slice(1, 7);
  };
  // Forward, columns and rows about the centre: [[hs cos - s sin ws, hs sin + s cos ws], [-ws sin, ws cos]].
  const [a, b, , c, d] = settingsOf({ rotate: 30, minRandomScale: 1.5, maxRandomScale: 1.5 });
  const [cos, sin] = [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6)];
  [[a, cos / 1.5], [b, -sin / 1.5], [c, sin / 1.5], [d, cos / 1.5]].forEach(([got, want]) => assert.ok(Math.abs(got - want) < 1e-6));
  // The centre stays where it is.
  for (const options of [{ maxRotateAngle: 90 }, { maxShearRatio: 0.5 }, { maxAspectRatio: 0.4 }, { minRandomScale: 0.5, maxRandomScale: 2 }]) {
    const m = settingsOf(options);
    assert.ok(Math.abs(m[0] * 3.5 + m[1] * 2.5 + m[2] - 3.5) < 0.51 && Math.abs(m[3] * 3.5 + m[4] * 2.5 + m[5] - 2.5) < 0.51, JSON.stringify(options));
  }
  const [m0, m1, , m3, m4] = settingsOf({ maxShearRatio: 0.5 });
  assert.ok(m0 === 1 && m3 === 0 && m4 === 1 && Math.abs(m1) > 0.01 && Math.abs(m1) <= 0.5, 'shear moves columns by rows alone');
  const [e, , , , f] = settingsOf({ maxAspectRatio: 0.4 });
  assert.ok(Math.abs(1 / e + 1 / f - 2) < 1e-6, 'the mean of both scales stays');
});

test('contrast about the mean, illumination in grey levels, mirroring', async () => {
  const before = pixelsOf([...range(20)]);
  const mean = [100, 50, 10];
  const contrasted = await run(record({ maxRandomContrast: 0.5 }), { draws: range(20) }, mean);
  const factors = contrasted.map((image, k) => {
    const factor = (image[0] - 100) / (before[k * size] - 100);
    image.forEach((v, i) => {
      const want = (before[k * size + i] - mean[i % 3]) * factor + mean[i % 3];
      assert.ok(Math.abs(v - want) < 2e-2, `image ${k}, element ${i}: ${v}, expected ${want}`);
    });
    return factor;
  });
  assert.ok(Math.min(...factors) >= 0.5 && Math.max(...factors) <= 1.5 && Math.max(...factors) - Math.min(...factors) > 0.4);
  const lit = await run(record({ maxRandomIllumination: 30 }), { draws: range(20) }, mean);
  const moved = lit.map((image, k) => image[5] - before[k * size + 5]);
  lit.forEach((image, k) => image.forEach((v, i) => assert.ok(Math.abs(v - before[k * size + i] - moved[k]) < 1e-3)));
  assert.ok(Math.max(...moved) > 10 && Math.min(...moved) < -10 && Math.max(...moved.map(Math.abs)) <= 30);
  const [mirrored] = await run(record({ mirror: true }), { draws: ids(3) });
  mirrored.forEach((v, i) => assert.is(v, pixelsOf([3])[(Math.floor(i / 24) * 8 + 7 - (Math.floor(i / 3) % 8)) * 3 + (i % 3)]));
});

test('contrast about the pixels of a mean image, where that is what is taken off', async () => {
  const before = pixelsOf([...range(6)]);
  const image = { shape, data: Float32Array.from({ length: size }, (_, i) => 60 + (i * 7) % 120) };
  const images = await run(record({ maxRandomContrast: 0.5 }), { draws: range(6) }, { mean: [0, 0, 0], image });
  const factors = images.map((x, k) => {
    const far = image.data.findIndex((m, i) => Math.abs(m - before[k * size + i]) > 50);
    const factor = (x[far] - image.data[far]) / (before[k * size + far] - image.data[far]);
    x.forEach((v, i) => {
      const want = (before[k * size + i] - image.data[i]) * factor + image.data[i];
      assert.ok(Math.abs(v - want) < 2e-2, `image ${k}, element ${i}: ${v}, expected ${want}`);
    });
    return factor;
  });
  assert.ok(Math.max(...factors) - Math.min(...factors) > 0.1, `${factors}`);
  let mean: readonly number[] = [];
  const look: TracedTransform = (x, context) => {
    mean = context.mean;
    return x;
  };
  await run([augment({ tensor: look })], { draws: ids(0) }, { mean: [0, 0, 0], image });
  mean.forEach((m, c) => {
    const own = image.data.filter((_, i) => i % 3 === c);
    assert.ok(Math.abs(m - own.reduce((a, b) => a + b) / own.length) < 1e-9);
  });
});

test('a mean image is taken off before an image is mirrored, as MXNet does: the mean is mirrored with it', async () => {
  const image = { shape, data: Float32Array.from({ length: size }, (_, i) => 60 + (i * 7) % 120) };
  const opposite = (i: number): number => (Math.floor(i / 24) * 8 + 7 - (Math.floor(i / 3) % 8)) * 3 + (i % 3);
  const taken = async (options: RecordAugmentationOptions, draws: Int32Array): Promise<number[][]> =>
    (await run(record(options), { draws }, { mean: [0, 0, 0], image })).map((x) => [...x].map((v, i) => v - image.data[i]));
  const plain = await taken({}, range(20));
  const close = (got: readonly number[], want: readonly number[]): boolean => got.every((v, i) => Math.abs(v - want[i]) < 1e-2);
  const mirrored = (x: readonly number[]): number[] => x.map((_, i) => x[opposite(i)]);
  assert.ok((await taken({ mirror: true }, range(20))).every((x, k) => close(x, mirrored(plain[k]))));
  const either = (await taken({ randMirror: true }, range(20))).map((x, k) => [close(x, plain[k]), close(x, mirrored(plain[k]))]);
  assert.ok(either.every(([a, b]) => a !== b) && either.some(([a]) => a) && either.some(([, b]) => b), 'each is one or the other');
  // With contrast, and turned on its head by the map.
  const lit = await taken({ mirror: true, maxRandomContrast: 0.5 }, range(20));
  const contrasted = await taken({ maxRandomContrast: 0.5 }, range(20));
  assert.ok(lit.every((x, k) => close(x, mirrored(contrasted[k]))));
  const [turned, both] = [await taken({ rotate: 180 }, ids(3)), await taken({ rotate: 180, mirror: true }, ids(3))];
  assert.ok(close(both[0], mirrored(turned[0])));
});

test('lightness and saturation move by whole grey levels within their bounds, grey stays grey', async () => {
  const augmenter = new Augmenter(record({ randomH: 3, randomL: 20, randomS: 7 }), { classes, shape, seed: 5 });
  const settings = augmenter.settings({ epoch: 0, labels: new Int32Array(50), draws: range(50) });
  for (const [column, most, unit] of [[8, 6, 2], [9, 20, 1], [10, 7, 1]]) {
    const values = range(50).map((k) => settings[k * augmenter.columns + column]);
    assert.ok(values.every((v) => Math.abs(v) <= most && v % unit === 0) && new Set(values).size > 2, `column ${column}: ${values}`);
  }
});

const everything = [
  ...record({
    maxRotateAngle: 20, maxShearRatio: 0.2, maxAspectRatio: 0.2, minRandomScale: 0.8, maxRandomScale: 1.3, pad: 1, randCrop: true,
    randomH: 10, randomS: 30, randomL: 30, maxRandomContrast: 0.2, maxRandomIllumination: 20, randMirror: true,
  }),
  augment({ probability: 0.5, tensor: gaussianNoise(2) }), augment({ probability: 0.5, tensor: rotate180 }),
];
for (const other of devices.slice(1)) {
  test(`${other.name}: the images of the cpu, but for rounding`, async () => {
    const image = { shape, data: Float32Array.from({ length: size }, (_, i) => 60 + (i * 7) % 120) };
    for (const mean of [[90, 80, 70], { mean: [0, 0, 0], image }]) {
      const images: Float32Array[][] = [];
      for (const device of [devices[0], other]) {
        setDefaultDevice(device);
        images.push(await run(everything, { draws: range(16) }, mean));
      }
      setDefaultDevice(devices[0]);
      images[0].forEach((x, k) => x.forEach((v, i) =>
        assert.ok(Math.abs(v - images[1][k][i]) < 0.01, `image ${k}, element ${i}: ${v} and ${images[1][k][i]}`)));
    }
  });
}
for (const [name, why] of absent) skip(`${name}: the images of the cpu, but for rounding`, why);

test('a plain function changes bytes, the same ones whatever the loader', async () => {
  const data = memoryDataset({ shape, bytes: Uint8Array.from(pixelsOf([...range(12)])), labels: range(12).map((i) => i % 2) });
  const list = [augment({
    name: 'speck', class: 'infected', probability: 0.5,
    pixels: (pixels, [, width, channels], rng) => pixels.fill(255, 0, channels * rng.int(width)),
  })];
  const batches = async (batch: number, prefetch: number): Promise<Map<number, number[]>> => {
    const augmenter = new Augmenter(list, { classes, shape, seed: 2 });
    const loader = new TrainLoader(data, new Sampler(data.labels, range(12), { batch, seed: 2 }), { workers: 0, prefetch }, augmenter);
    const out = new Map<number, number[]>();
    for (let k = 0; k < 12 / batch; k++) {
      const { pixels, sampleIds } = await loader.next();
      sampleIds.forEach((id, i) => out.set(id, [...pixels.slice(i * size, (i + 1) * size)]));
    }
    loader.close();
    return out;
  };
  const whole = await batches(4, 2);
  assert.equal(await batches(3, 0), whole);
  const changed = [...whole].filter(([id, pixels]) => pixels.some((v, i) => v !== pixelsOf([id])[i])).map(([id]) => id);
  assert.ok(changed.length > 0 && changed.length < 6 && changed.every((id) => id % 2 === 1), `${changed}`);
});

test('text: words, values, probabilities, classes', () => {
  const forms = (text: string): unknown[] => parseAugmentations(text).map(({ name, classes: on, probability }) => [name, on ?? 'all', probability]);
  assert.equal(forms('none'), []);
  assert.equal(forms('flips'), [['flipUpDown', 'all', 0.5], ['flipLeftRight', 'all', 0.5]]);
  assert.equal(forms('noise=2@infected, rotate180:0.25@infected'), [['noise@infected', ['infected'], 0.5], ['rotate180@infected', ['infected'], 0.25]]);
  assert.equal(forms('noise=1,rotate=15,scale=0.9-1.1,hue=3:0.1@healthy'), [
    ['record', 'all', 1], ['record@healthy:0.1', ['healthy'], 0.1], ['noise', 'all', 0.5],
  ]);
});

for (const [text, says] of [
  ['flip', /'flip' is none of none, flips, .*mean 'flips'/], ['noise', /noise takes a value/], ['flips=2', /flips takes no value/],
  ['noise=2,noise=3', /'noise' is there twice/], ['noise=1.2.3', /a number was expected/], ['', /'' is no augmentation/],
  ['flips:2', /probability: expected a number from 0 to 1, got 2/], ['scale=1.2-0.8', /maxRandomScale: expected a number of minRandomScale 1.2/],
  ['rotate=1.5', /maxRotateAngle: expected an integer/], ['aspect=1', /maxAspectRatio/], ['crop=0', /minCropSize/],
  ['noise=1-3', /'noise=1-3': noise takes one value, as in noise=3; scale and crop take a range/],
  ['flips,rotate=5-15', /'rotate=5-15': rotate takes one value/],
  ['scale=0.9-1.1,inter=cubi', /interMethod: 'cubi' is none of nearest, .*mean 'cubic'/], ['inter', /inter takes a value, as in inter=cubic/],
  ['inter=cubic-2', /inter takes one value, as in inter=cubic;/], ['rotate=fast', /a number was expected/], ['noise=0x10', /is no augmentation/],
  ['noise=1e2', /is no augmentation/], ['inter=cubic', /'inter=cubic' has nothing to resample: it goes with rotate, .*, pad of the same @CLASS/],
  ['inter=cubic,scale=0.5-2:0.5', /'inter=cubic' has nothing/], ['fill=0,hue=3', /'fill=0' has nothing/],
  ['rotate=15@infected,inter=area', /'inter=area' has nothing/],
  ['pad=1,fill=999', /fillValue: expected a grey level from 0 to 255, got 999/],
] as const) {
  test(`the text '${text}' is refused`, () => {
    throws(() => parseAugmentations(text), OptionError, says);
  });
}

test('text: an interpolation by name', async () => {
  const [byText] = await run(parseAugmentations('scale=2-2,crop=3-3,inter=cubic'), { draws: ids(1) });
  const options = { minRandomScale: 2, maxRandomScale: 2, minCropSize: 3, maxCropSize: 3, randCrop: true } as const;
  assert.equal(byText, (await run(record({ ...options, interMethod: 'cubic' }), { draws: ids(1) }))[0]);
  assert.not.equal(byText, (await run(record(options), { draws: ids(1) }))[0]);
});

test('what cannot be an augmentation is refused', () => {
  const fit = (list: readonly Augmentation[]): Augmenter => new Augmenter(list, { classes, shape, seed: 0 });
  throws(() => augment({}), OptionError, /one of tensor and pixels/);
  throws(() => augment({ tensor: rotate180, pixels: () => {} }), OptionError, /one of tensor and pixels/);
  throws(() => augment({ tensor: (() => (x: Tensor) => x)() }), OptionError, /has no name/);
  throws(() => recordAugmentation({ cropXStart: -1 }), OptionError, /cropXStart: expected an integer of 0 or more, got -1/);
  throws(() => recordAugmentation({ interMethod: 'bicubic' as 'cubic' }), OptionError, /interMethod: 'bicubic' is none of .*mean 'cubic'/);
  throws(() => gaussianNoise(-1), OptionError, /grey levels, got -1/);
  throws(() => fit([augment({ tensor: rotate180 }), augment({ tensor: rotate180 })]), OptionError, /two are named 'rotate180'/);
  throws(() => fit([augment({ class: 'infectd', tensor: rotate180 })]), OptionError, /one of healthy, infected, got 'infectd'.*mean 'infected'/);
  const shrinks = fit([augment({ name: 'shrink', tensor: (x) => x.slice([0, 0, 0, 0], [-1, 2, 2, -1]) })]);
  const keys = { seed: 0, epoch: 0, draws: tensor([0], [1], 'int32') };
  const images = wrap(pixelsOf([0]), [1, ...shape], 'float32');
  throws(() => shrinks.apply(images, tensor([1], [1, 1]), keys, { mean: [0, 0, 0] }), OptionError, /shrink.*the form should stay/);
});

test.run();
