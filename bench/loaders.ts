/**
 * Loaders: from a folder and from a record file of the same photographs, in images a second.
 *
 *     npm run bench -- loaders [--data FOLDER] [--images N] [--side PIXELS] [--size PIXELS] [--runs N] [--seconds N] [--out FILE]
 *
 * Cold is decoding and resizing into an empty cache, warm is batches from a cache that is there; sharp alone does the same to the same
 * files with as many under way and keeps nothing. They take turns. Then batches are asked for by a step that takes as long as one of so
 * many images a second would, while the cpu device trains a small network on all threads beside: the rate that is kept up, and the share
 * of the time that the step waited for its batch. Without --data the photographs are simulated.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { renderTable } from '../src/cli/terminal.ts';
import { packImages, listImages } from '../src/data/im2rec.ts';
import { Sampler, TrainLoader, allIndices, cacheImages, openFolder, openRecords, phantomCohort, renderPhantom } from '../src/data/index.ts';
import type { CachedDataset, Listing } from '../src/data/index.ts';
import { formatList } from '../src/formats/record-list.ts';
import { compile, device, grad, softmaxCrossEntropy, tensor } from '../src/index.ts';
import type { Tensor } from '../src/index.ts';
import { inceptionBNSmall } from '../src/models/index.ts';
import { createVariables, initialize, internals } from '../src/nn/index.ts';
import { sgd } from '../src/optim/index.ts';

const { values: given } = parseArgs({
  args: process.argv.slice(2),
  options: {
    data: { type: 'string' }, images: { type: 'string', default: '240' }, side: { type: 'string', default: '768' },
    size: { type: 'string', default: '224' }, runs: { type: 'string', default: '5' }, seconds: { type: 'string', default: '8' }, out: { type: 'string' },
  },
});
const [images, side, size, runs, seconds] = [given.images, given.side, given.size, given.runs, given.seconds].map((text) => {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`expected a whole number above 0, got ${text}`);
  process.exit(2);
});
const BATCH = 32;
const RATES = [50, 500, 3000];

const root = mkdtempSync(join(tmpdir(), 'fovea-loaders-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

/** Simulated photographs, each encoded as JPEG with a brightness of its own: few are rendered, for that takes long. */
async function simulate(folder: string): Promise<void> {
  const eyes = phantomCohort({ seed: 1, patients: 6 });
  const rendered = eyes.map((eye) => renderPhantom(eye.spec, { size: side }).pixels);
  for (let i = 0; i < images; i++) {
    const eye = i % eyes.length;
    const path = join(folder, eyes[eye].label === 1 ? 'infected' : 'healthy', `${i}.jpg`);
    mkdirSync(join(path, '..'), { recursive: true });
    const picture = sharp(rendered[eye], { raw: { width: side, height: side, channels: 3 } }).linear(0.8 + (i % 37) / 100);
    writeFileSync(path, await picture.jpeg({ quality: 92 }).toBuffer());
  }
}

const photos = join(root, 'photos');
if (given.data === undefined) await simulate(photos);
else cpSync(given.data, photos, { recursive: true });
const recordFile = join(root, 'photos.rec');
const { lists: [{ entries }] } = await listImages(photos, { recursive: true });
await packImages({ text: formatList(entries), file: 'photos.lst' }, photos, recordFile, { passThrough: true });
const files = readdirSync(photos, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(jpe?g|png)$/i.test(name)).map((name) => join(photos, name));
const sources: [name: string, listing: Listing][] = [
  ['folder', await openFolder(photos)], ['.rec', await openRecords(recordFile)],
];

/** What decodeImage asks of it, with as many images under way as the cache has, and nothing kept. */
async function sharpAlone(): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < files.length) {
      await sharp(files[next++], { failOn: 'error' }).autoOrient()
        .resize({ width: size, height: size, fit: 'contain', kernel: 'lanczos3', fastShrinkOnLoad: false, background: { r: 0, g: 0, b: 0, alpha: 1 } })
        .flatten({ background: { r: 0, g: 0, b: 0 } }).toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, lane));
}

function loaderOf(data: CachedDataset): TrainLoader {
  return new TrainLoader(data, new Sampler(data.labels, allIndices(data), { batch: BATCH, seed: 1 }));
}

async function warm(data: CachedDataset): Promise<Rate> {
  const loader = loaderOf(data);
  const batches = 100;
  await loader.next();
  const rate = await timed(async () => {
    for (let i = 0; i < batches; i++) await loader.next();
  }, batches * BATCH);
  loader.close();
  return rate;
}

interface Rate {
  /** Images a second by the clock. */
  readonly wall: number;
  /** And by the processor's time of all threads, which others on the machine do not lengthen. */
  readonly cpu: number;
}

async function timed(work: () => Promise<unknown>, count: number): Promise<Rate> {
  const [begun, used] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(used);
  return { wall: count / (performance.now() - begun) * 1000, cpu: count / (user + system) * 1e6 };
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];
const samples = new Map<string, Rate[]>();
const note = (name: string, rate: Rate): void => void samples.set(name, [...samples.get(name) ?? [], rate]);
const caches = new Map<string, CachedDataset>();
await sharpAlone();
for (let run = 0; run < runs; run++) {
  note('sharp alone', await timed(sharpAlone, files.length));
  for (const [name, listing] of sources) {
    let data: CachedDataset | undefined;
    const cacheDir = join(root, `cache-${name}-${run}`);
    note(`${name}, cold`, await timed(async () => (data = await cacheImages(listing, { size, cacheDir })), files.length));
    note(`${name}, warm`, await warm(data!));
    caches.get(name)?.close();
    caches.set(name, data!);
  }
  console.error(`round ${run + 1} of ${runs}`);
}
const alone = samples.get('sharp alone')!;
const rows = [...samples].map(([name, rates]) => {
  const ratios = (by: keyof Rate): number => median(rates.map((rate, i) => rate[by] / alone[i][by]));
  return { name, imagesPerSecond: median(rates.map(({ wall }) => wall)), wall: ratios('wall'), cpu: ratios('cpu'), rates };
});
console.log(`${files.length} photographs to ${size} x ${size}; medians of ${runs}`);
console.log(`${cpus()[0].model}, ${availableParallelism()} cores, Node ${process.version}`);
console.log(await renderTable({
  head: ['', 'images/s', 'of sharp alone, by the clock', "by the processor's time"],
  rows: rows.map(({ name, imagesPerSecond, wall, cpu }) => [name, imagesPerSecond.toFixed(0), wall.toFixed(2), cpu.toFixed(2)]),
}));

/** Training on the cpu device that goes on until it is told to end. */
interface Beside {
  /** Ends it. @returns images that it trained on since it was begun */
  end(): Promise<number>;
}

/** Begins with the step compiled and warm. */
async function trainBeside(): Promise<Beside> {
  const cpu = await device('cpu');
  const network = internals(inceptionBNSmall({ classes: 2, width: 0.5 })).fc1_output;
  const { all, trainable } = createVariables(network, initialize(network, { data: [16, 3, 28, 28] }, { seed: 1 }));
  const optimizer = sgd(trainable, { momentum: 0.9, device: cpu });
  const step = compile((pixels: Tensor, labels: Tensor) => {
    const loss = softmaxCrossEntropy(network.apply(all, pixels.cast('float32').div(255), { training: true }), labels).losses.mean();
    optimizer.update(grad(loss, trainable), 0.01);
    return loss;
  }, { device: cpu });
  const pixels = tensor(Uint8Array.from({ length: 16 * 28 * 28 * 3 }, (_, i) => i % 251), [16, 28, 28, 3]);
  const labels = tensor(Int32Array.from({ length: 16 }, (_, i) => i % 2));
  const once = async (): Promise<unknown> => (await step(pixels, labels)).item();
  for (let i = 0; i < 3; i++) await once();
  let [trained, ended] = [0, false];
  const going = (async () => {
    for (; !ended; trained += 16) await once();
    cpu.dispose();
  })();
  return {
    async end() {
      ended = true;
      await going;
      return trained;
    },
  };
}

const sleepUntil = async (end: number): Promise<void> => {
  const left = end - performance.now();
  // Timers are late by a millisecond or two: the last of it is waited out in turns of the event loop.
  if (left > 3) await new Promise((resolve) => setTimeout(resolve, left - 2));
  while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
};

interface Fed {
  readonly source: string;
  readonly rate: number;
  readonly sustained: number;
  readonly waiting: number;
  /** Share of the time that the step itself ended late: the machine, not the loader. */
  readonly late: number;
  readonly trainedBeside: number;
}

async function feed(source: string, data: CachedDataset, rate: number): Promise<Fed> {
  const loader = loaderOf(data);
  await loader.next();
  const beside = await trainBeside();
  const begun = performance.now();
  let [fed, waited, late] = [0, 0, 0];
  while (performance.now() - begun < seconds * 1000) {
    const asked = performance.now();
    await loader.next();
    const got = performance.now();
    waited += got - asked;
    fed += BATCH;
    const due = got + BATCH / rate * 1000;
    await sleepUntil(due);
    late += performance.now() - due;
  }
  const took = performance.now() - begun;
  loader.close();
  return { source, rate, sustained: fed / took * 1000, waiting: waited / took, late: late / took, trainedBeside: await beside.end() / took * 1000 };
}

const fed: Fed[] = [];
for (const rate of RATES) for (const [name, data] of caches) fed.push(await feed(name, data, rate));
console.log(`batches of ${BATCH} to a step of so many images a second, ${seconds} s each, while the cpu device trains on all threads`);
console.log(await renderTable({
  head: ['step, images/s', 'from', 'sustained', 'of the step', 'waiting', 'step late', 'trained beside, images/s'],
  rows: fed.map(({ source, rate, sustained, waiting, late, trainedBeside }) =>
    [String(rate), source, sustained.toFixed(0), (sustained / rate).toFixed(2), percent(waiting), percent(late), trainedBeside.toFixed(0)]),
}));
for (const data of caches.values()) data.close();
if (given.out !== undefined) {
  const machine = { processor: cpus()[0].model, cores: availableParallelism(), node: process.version, sharp: sharp.versions };
  writeFileSync(given.out, `${JSON.stringify({ machine, options: { images: files.length, side, size, runs, seconds, batch: BATCH }, rows, fed }, null, 1)}\n`);
  console.log(given.out);
}
const cold = rows.filter(({ name }) => name.endsWith('cold'));
console.log(cold.every(({ wall }) => wall >= 0.9) ? 'goal met: 0.9 of sharp alone' : 'goal missed: 0.9 of sharp alone');
process.exit(0);
