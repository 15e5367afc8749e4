/**
 * Draws the sheet of phantoms for the docs: healthy eyes, infected ones, and the latter with their masks laid over.
 * Usage: npx tsx tools/phantom-sheet.ts [output = docs/images/phantom-sheet.jpg] [seed = 2016] [size = 256]
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import sharp from 'sharp';
import {
  LESION_BITS,
  phantomCohort,
  renderPhantom,
  SIMULATED_NOTICE,
  type LesionKind,
  type PhantomEye,
  type PhantomImage,
} from '../src/data/phantom/index.ts';

const [output = 'docs/images/phantom-sheet.jpg', seedText = '2016', sizeText = '256'] = process.argv.slice(2);
const size = Number(sizeText);
const columns = 4;
const gap = 6;
const caption = 24;
const title = 34;

const COLOURS: Record<LesionKind, [number, number, number]> = {
  microaneurysm: [0, 220, 255],
  haemorrhage: [60, 110, 255],
  hardExudate: [0, 255, 90],
  cottonWoolSpot: [255, 0, 255],
};

/** The outline of the mask in each kind's colour, on the picture at half its brightness. */
function overlay(image: PhantomImage): Uint8Array {
  const out = image.pixels.map((v) => v * 0.55);
  for (let p = 0; p < image.mask.length; p++) {
    for (const [kind, bit] of Object.entries(LESION_BITS) as [LesionKind, number][]) {
      if ((image.mask[p] & bit) !== 0) out.set(COLOURS[kind], 3 * p);
    }
  }
  return out;
}

const eyes = phantomCohort({ seed: Number(seedText), patients: 40 });
const one = (label: 0 | 1): PhantomEye[] => {
  const seen = new Set<string>();
  return eyes.filter((e) => e.trueLabel === label && !seen.has(e.patient) && seen.add(e.patient)).slice(0, columns);
};
const healthy = [...one(0), ...eyes.filter((e) => e.trueLabel === 0).slice(-columns)];
const infected = one(1);
const draw = (e: PhantomEye): Uint8Array => renderPhantom(e.spec, { size }).pixels;
const cells: { pixels: Uint8Array; text: string }[] = [
  ...healthy.map((e) => ({ pixels: draw(e), text: `simulated, healthy, ${e.eye} eye` })),
  ...infected.map((e) => ({ pixels: draw(e), text: `simulated, infected, ${e.eye} eye` })),
  ...infected.map((e) => {
    const image = renderPhantom(e.spec, { size });
    return { pixels: overlay(image), text: `simulated, ground truth: ${image.lesionMasks.length} lesions` };
  }),
];

const pitch = size + gap;
const width = columns * pitch + gap;
const height = title + Math.ceil(cells.length / columns) * (pitch + caption) + gap + caption;
const texts = cells.map((cell, i) => {
  const x = gap + (i % columns) * pitch + size / 2;
  const y = title + Math.floor(i / columns) * (pitch + caption) + size + 17;
  return `<text x="${x}" y="${y}" text-anchor="middle" font-size="14">${cell.text}</text>`;
});
const legend = (Object.keys(COLOURS) as LesionKind[]).map((kind, i) => {
  const x = gap + 10 + i * (width / 4);
  const name = kind.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);
  return `<rect x="${x}" y="${height - 22}" width="12" height="12" fill="rgb(${COLOURS[kind].join(',')})"/>`
    + `<text x="${x + 18}" y="${height - 11}" font-size="14">${name}</text>`;
});
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" `
  + 'font-family="sans-serif" fill="#ddd">'
  + `<text x="${width / 2}" y="23" text-anchor="middle" font-size="18">${SIMULATED_NOTICE}</text>`
  + `${texts.join('')}${legend.join('')}</svg>`;

await mkdir(dirname(output), { recursive: true });
const { size: bytes } = await sharp({ create: { width, height, channels: 3, background: '#101010' } })
  .composite([
    ...cells.map((cell, i) => ({
      input: Buffer.from(cell.pixels),
      raw: { width: size, height: size, channels: 3 as const },
      left: gap + (i % columns) * pitch,
      top: title + Math.floor(i / columns) * (pitch + caption),
    })),
    { input: Buffer.from(svg), left: 0, top: 0 },
  ])
  .toFormat(output.endsWith('.png') ? 'png' : 'jpeg', { quality: 82 })
  .toFile(output);
console.log(`${output}: ${bytes} bytes. ${SIMULATED_NOTICE}`);
