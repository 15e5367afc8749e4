import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { decodeImage } from '../../src/data/decode.ts';
import { importPackage } from '../../src/data/node.ts';
import { DataError, MissingPackageError, OptionError } from '../../src/errors.ts';

const red = [200, 30, 20];
const green = [20, 180, 40];

/** A 24 x 16 picture, left half red, right half green. */
function halves(): Buffer {
  const [width, height] = [24, 16];
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(i % width < width / 2 ? red : green, i * 3);
  return data;
}
const raw = { raw: { width: 24, height: 16, channels: 3 } } as const;

function pixel(image: { data: Uint8Array; width: number }, y: number, x: number): number[] {
  return [...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)];
}
function near(got: number[], expected: number[], tolerance: number): void {
  assert.ok(got.every((v, i) => Math.abs(v - expected[i]) <= tolerance), `${got} is not near ${expected}`);
}
async function rejects(promise: Promise<unknown>, type: new (m: string) => Error, pattern: RegExp) {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, type);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable('no error');
}

test('PNG: exact pixels, own size', async () => {
  const image = await decodeImage(await sharp(halves(), raw).png().toBuffer());
  assert.equal([image.height, image.width, image.data.length], [16, 24, 16 * 24 * 3]);
  assert.equal(image.data, new Uint8Array(halves()));
  assert.equal(image.original, { height: 16, width: 24, format: 'png' });
});

test('EXIF orientation: all eight, upright', async () => {
  // Where the stored picture's left (red) half lies once shown upright.
  const redSide = ['', 'left', 'right', 'right', 'left', 'top', 'top', 'bottom', 'bottom'];
  for (let orientation = 1; orientation <= 8; orientation++) {
    const file = await sharp(halves(), raw).jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .withMetadata({ orientation }).toBuffer();
    const image = await decodeImage(file);
    const turned = orientation >= 5;
    assert.equal([image.height, image.width], turned ? [24, 16] : [16, 24], `orientation ${orientation}`);
    assert.equal([image.original.height, image.original.width], turned ? [24, 16] : [16, 24]);
    const spots = {
      left: [8, 2], right: [8, image.width - 3], top: [2, 8], bottom: [image.height - 3, 8],
    } as Record<string, number[]>;
    for (const [side, [y, x]] of Object.entries(spots)) {
      if (turned !== ['top', 'bottom'].includes(side)) continue;
      near(pixel(image, y, x), side === redSide[orientation] ? red : green, 6);
    }
  }
});

test('pad, crop and stretch', async () => {
  const file = await sharp(halves(), raw).png().toBuffer();
  const pad = await decodeImage(file, { size: 24, fit: 'pad' });
  assert.equal([pad.height, pad.width], [24, 24]);
  assert.equal(pixel(pad, 1, 4), [0, 0, 0]);
  assert.equal(pixel(pad, 22, 20), [0, 0, 0]);
  assert.equal(pixel(pad, 12, 4), red);
  const crop = await decodeImage(file, { size: 16, fit: 'crop' });
  assert.equal([crop.height, crop.width], [16, 16]);
  assert.equal(pixel(crop, 1, 3), red);
  assert.equal(pixel(crop, 1, 12), green);
  const stretch = await decodeImage(file, { size: [8, 12], fit: 'stretch' });
  assert.equal([stretch.height, stretch.width], [8, 12]);
  near(pixel(stretch, 4, 1), red, 2);
});

test('shrinking averages: a fine checkerboard becomes grey, with every kernel but nearest', async () => {
  const side = 64;
  const data = Buffer.alloc(side * side * 3);
  for (let i = 0; i < side * side; i++) data.fill((i % side + Math.floor(i / side)) % 2 * 255, i * 3, i * 3 + 3);
  const file = await sharp(data, { raw: { width: side, height: side, channels: 3 } }).png().toBuffer();
  for (const kernel of ['lanczos3', 'lanczos2', 'mitchell', 'cubic', 'linear'] as const) {
    const small = await decodeImage(file, { size: 8, kernel });
    near(pixel(small, 4, 4), [128, 128, 128], 3);
  }
});

test('grey, palette, alpha, 16 bits and CMYK all become RGB bytes', async () => {
  const grey = await sharp(Buffer.alloc(64, 90), { raw: { width: 8, height: 8, channels: 1 } }).png().toBuffer();
  assert.equal(pixel(await decodeImage(grey), 3, 3), [90, 90, 90]);
  const palette = await sharp(halves(), raw).png({ palette: true }).toBuffer();
  near(pixel(await decodeImage(palette), 3, 3), red, 8);
  const clear = await sharp({ create: { width: 8, height: 8, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } })
    .png().toBuffer();
  assert.equal(pixel(await decodeImage(clear, { size: 4 }), 2, 2), [0, 0, 0]);
  const deep = await sharp(halves(), raw).toColourspace('rgb16').png().toBuffer();
  assert.is((await sharp(deep).metadata()).depth, 'ushort');
  assert.equal(pixel(await decodeImage(deep), 3, 3), red);
  const cmyk = await sharp(halves(), raw).toColourspace('cmyk').jpeg().toBuffer();
  const decoded = await decodeImage(cmyk);
  assert.is(decoded.data.length, 24 * 16 * 3);
  assert.ok(pixel(decoded, 3, 3)[0] > pixel(decoded, 3, 3)[1] + 60);
});

test('corrupt, truncated, empty, foreign and missing files are errors by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fovea-decode-'));
  try {
    const noise = Buffer.from(Array.from({ length: 200 * 200 * 3 }, (_, i) => (i * 7919) % 251));
    const image = sharp(noise, { raw: { width: 200, height: 200, channels: 3 } });
    const jpeg = await image.jpeg().toBuffer();
    const png = await image.png().toBuffer();
    const files: [string, Buffer, RegExp][] = [
      ['half.jpg', jpeg.subarray(0, jpeg.length >> 1), /half\.jpg: not a readable JPEG/],
      ['half.png', png.subarray(0, png.length >> 1), /half\.png: not a readable PNG/],
      ['header.jpg', jpeg.subarray(0, 12), /header\.jpg: not a readable JPEG/],
      ['empty.jpg', Buffer.alloc(0), /empty\.jpg: the file is empty/],
      ['text.jpg', Buffer.from('not an image'), /text\.jpg: neither JPEG nor PNG/],
      ['vector.png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /vector\.png: neither JPEG nor PNG/],
    ];
    for (const [name, bytes, pattern] of files) {
      await writeFile(join(folder, name), bytes);
      await rejects(decodeImage(join(folder, name), { size: 8 }), DataError, pattern);
    }
    await rejects(decodeImage(join(folder, 'absent.jpg')), DataError, /absent\.jpg: no such file/);
    await rejects(decodeImage(folder), DataError, /is a folder/);
    await rejects(decodeImage(jpeg, { maxPixels: 100 }, 'bomb.jpg'), DataError, /bomb\.jpg.*pixel/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('damage anywhere in a file is an error or an image, never a crash', async () => {
  const jpeg = await sharp(halves(), raw).jpeg().toBuffer();
  const png = await sharp(halves(), raw).png().toBuffer();
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  let errors = 0;
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(round % 2 ? jpeg : png);
    for (let k = 0; k < 1 + round % 5; k++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    try {
      assert.is((await decodeImage(bytes, { size: 8 })).data.length, 8 * 8 * 3);
    } catch (error) {
      assert.instance(error, DataError);
      errors++;
    }
  }
  assert.ok(errors > 30, `${errors} of 300 were noticed`);
});

test('options are checked', async () => {
  await rejects(decodeImage(new Uint8Array(4), { size: 0 }), OptionError, /image size.*got 0/);
  await rejects(decodeImage(new Uint8Array(4), { size: 2.5 }), OptionError, /2\.5/);
  await rejects(decodeImage(new Uint8Array(4), { fit: 'squash' as 'pad' }), OptionError, /'squash'.*pad, crop, stretch/);
  await rejects(decodeImage(new Uint8Array(4), { kernel: 'box' as 'cubic' }), OptionError, /'box'/);
});

test('a package that is not there is one line with the command', async () => {
  await rejects(importPackage('@fovea/not-there/part', 'reading X'), MissingPackageError,
    /^reading X needs the package '@fovea\/not-there': npm install @fovea\/not-there$/);
});

test.run();
