/** The embedded data as a dataset: a cohort of simulated fundus photographs, rendered once into the cache of bytes. */
import type * as Fs from 'node:fs';
import { DataError, OptionError } from '../errors.ts';
import { cacheBytes, openCache } from './cache.ts';
import { checkLabelled, memoryDataset } from './dataset.ts';
import type { Dataset, Labelled } from './dataset.ts';
import { importNode, isNode } from './node.ts';
import { phantomCohort, renderPhantom } from './phantom/index.ts';
import type { PhantomCohortOptions, PhantomEye, PhantomSpec } from './phantom/index.ts';

export interface PhantomDatasetOptions extends PhantomCohortOptions {
  /** Side of the square images, in pixels. */
  size: number;
  /** Eyes of one's own in place of a cohort drawn from the other options. */
  eyes?: readonly PhantomEye[];
  /** Threads that render. Default: one a processor; 0 renders on the calling thread. The bytes do not depend on it. */
  workers?: number;
  /** Folder of the cache, as in `cacheImages`; `false` renders into memory. */
  cacheDir?: string | false;
  /** Called after each image, in any order; not where the cache is there already. */
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface PhantomDataset extends Dataset {
  readonly simulated: true;
  /** The eye of each sample, with its true label and all that its scene is drawn from. */
  readonly eyes: readonly PhantomEye[];
}

/**
 * A cohort of phantoms. In Node they are rendered by worker threads, once, into the cache of bytes, which is keyed by
 * the eyes, the size and the generator's own sources; in a browser into memory, on the calling thread.
 *
 * @throws OptionError naming the option that is out of range.
 */
export async function phantomDataset(options: PhantomDatasetOptions): Promise<PhantomDataset> {
  const { size, cacheDir, onProgress, signal } = options;
  if (!Number.isInteger(size) || size < 16 || size > 4096) {
    throw new OptionError(`size of phantoms must be 16 to 4096 pixels, got ${size}`);
  }
  const eyes = options.eyes ?? phantomCohort(cohortOptions(options));
  if (eyes.length === 0) throw new OptionError('a cohort of phantoms needs a patient at least');
  const labelled: Labelled = checkLabelled('phantoms', {
    length: eyes.length,
    classes: ['healthy', 'infected'],
    labels: Int32Array.from(eyes, (eye) => eye.label),
    ids: eyes.map((eye) => eye.id),
    patients: eyes.map((eye) => eye.patient),
  });
  const about = { name: 'phantoms (simulated)', simulated: true } as const;
  const sources = isNode && cacheDir !== false ? await generatorSources() : undefined;
  if (sources === undefined) {
    const bytes = await renderToMemory(eyes, options);
    return { ...memoryDataset({ ...labelled, ...about, shape: [size, size, 3], bytes }), simulated: true, eyes };
  }
  const renderers = await startRenderers(options.workers, eyes.length);
  try {
    const opened = await cacheBytes({
      name: about.name, shape: [size, size, 3], samples: eyes.length,
      key: { phantoms: eyes.map((eye) => eye.spec), size, sources },
      cacheDir: cacheDir || undefined, onProgress, signal,
      concurrency: Math.max(1, 2 * renderers.count),
      render: (index) => renderers.render(eyes[index].spec, size),
    });
    return { ...await openCache(labelled, opened, about), simulated: true, eyes };
  } finally {
    renderers.close();
  }
}

function cohortOptions({ seed, patients, prevalence, blur, labelNoise, firstPatient }: PhantomDatasetOptions) {
  const given = { seed, patients, prevalence, blur, labelNoise, firstPatient };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as PhantomCohortOptions;
}

async function renderToMemory(eyes: readonly PhantomEye[], options: PhantomDatasetOptions): Promise<Uint8Array> {
  const { size, onProgress, signal } = options;
  const stride = size * size * 3;
  const total = eyes.length * stride;
  // Shared where that is allowed, so that loader workers reach it.
  const bytes = new Uint8Array(typeof SharedArrayBuffer === 'undefined' ? new ArrayBuffer(total)
    : new SharedArrayBuffer(total));
  for (let i = 0; i < eyes.length; i++) {
    signal?.throwIfAborted();
    bytes.set(renderPhantom(eyes[i].spec, { size }).pixels, i * stride);
    onProgress?.(i + 1, eyes.length);
    await new Promise((resolve) => setTimeout(resolve, 0)); // a page must stay alive meanwhile
  }
  return bytes;
}

/** TypeScript in a checkout, JavaScript in the package. Asked in Node alone: not every bundle has an import.meta. */
const extension = () => (import.meta.url.endsWith('.ts') ? 'ts' : 'js');
const generatorUrl = () => new URL(`./phantom/index.${extension()}`, import.meta.url);

/** A hash of the generator's code, so that another version of it makes another cache; undefined once bundled away. */
async function generatorSources(): Promise<string | undefined> {
  const fs = await importNode<typeof Fs>('node:fs', 'a cache of phantoms');
  const { createHash } = await importNode<typeof import('node:crypto')>('node:crypto', 'a cache of phantoms');
  const hash = createHash('sha256');
  try {
    const folder = new URL('./', generatorUrl());
    const files = [...fs.readdirSync(folder).sort().map((name) => new URL(name, folder)),
      new URL(`../random/philox.${extension()}`, import.meta.url)];
    if (!fs.existsSync(generatorUrl())) return undefined;
    for (const file of files) if (file.pathname.endsWith(`.${extension()}`)) hash.update(fs.readFileSync(file));
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}

interface Renderers {
  readonly count: number;
  render(spec: PhantomSpec, size: number): Promise<Uint8Array>;
  close(): void;
}

/** The worker. In a checkout its modules are TypeScript, which Node 20 reads with tsx's help alone. */
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const { url, tsx } = workerData;
const generator = (async () => {
  if (tsx && !process.features.typescript) (await import(tsx)).register();
  return import(url);
})();
generator.catch(() => {});
parentPort.on('message', async ({ id, spec, size }) => {
  try {
    const { renderPhantom } = await generator;
    const pixels = renderPhantom(spec, { size }).pixels.slice();
    parentPort.postMessage({ id, pixels }, [pixels.buffer]);
  } catch (error) {
    parentPort.postMessage({ id, error: error.message });
  }
});
`;

/** Threads that render, started when the first image is asked for: a cache that is there needs none. */
async function startRenderers(asked: number | undefined, images: number): Promise<Renderers> {
  const { availableParallelism } = await importNode<typeof import('node:os')>('node:os', 'rendering');
  const { Worker } = await importNode<typeof import('node:worker_threads')>('node:worker_threads', 'rendering');
  const count = Math.min(asked ?? availableParallelism(), images);
  if (!Number.isInteger(count) || count < 0) throw new OptionError(`workers must be 0 or more, got ${asked}`);
  if (count === 0) {
    return {
      count,
      async render(spec, size) {
        await new Promise((resolve) => setImmediate(resolve));
        return renderPhantom(spec, { size }).pixels;
      },
      close() {},
    };
  }
  const pending = new Map<number, { resolve(pixels: Uint8Array): void; reject(error: Error): void }>();
  const workers: InstanceType<typeof Worker>[] = [];
  const tsx = extension() === 'ts' ? import.meta.resolve('tsx/esm/api') : undefined;
  let next = 0;
  const fail = (cause: Error) => {
    for (const task of pending.values()) task.reject(new Error(`rendering phantoms: ${cause.message}`, { cause }));
    pending.clear();
  };
  return {
    count,
    render(spec, size) {
      if (workers.length < count) {
        const worker = new Worker(workerSource, {
          eval: true, workerData: { url: generatorUrl().href, tsx }, name: 'fovea-phantom',
        });
        worker.on('message', ({ id, pixels, error }: { id: number; pixels?: Uint8Array; error?: string }) => {
          const task = pending.get(id);
          pending.delete(id);
          if (pixels) task?.resolve(pixels);
          else task?.reject(new Error(`rendering phantoms: ${error}`));
        });
        worker.on('error', fail);
        worker.on('exit', () => fail(new DataError('a rendering thread ended')));
        workers.push(worker);
      }
      const id = next++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        workers[id % workers.length].postMessage({ id, spec, size });
      });
    },
    close() {
      for (const worker of workers) {
        worker.removeAllListeners('exit');
        void worker.terminate();
      }
    },
  };
}
