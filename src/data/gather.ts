/**
 * Copies samples together into batches, off the main thread where it can: worker threads read the cache file or shared
 * memory and hand whole buffers over (transferred, not copied; WebGPU's queue takes no shared memory, or they would
 * share it). Elsewhere, as in a browser, the copy is done on the calling thread: some 5 MB a batch.
 */
import { DataError } from '../errors.ts';
import type { Dataset } from './dataset.ts';
import { importNode, isNode } from './node.ts';

export interface Gatherer {
  /** Fills `buffer` with the samples, in order, and gives it back; the caller must not touch it until then. */
  gather(indices: Int32Array, buffer: ArrayBuffer): Promise<ArrayBuffer>;
  close(): void;
}

/**
 * A gatherer for a dataset.
 *
 * @param workers worker threads; 0 reads on the calling thread, and so does a dataset whose bytes no worker can reach.
 */
export async function makeGatherer(data: Dataset, workers: number): Promise<Gatherer> {
  if (workers > 0 && data.source && isNode) return workerGatherer(data, workers);
  const stride = data.shape[0] * data.shape[1] * data.shape[2];
  return {
    async gather(indices, buffer) {
      const target = new Uint8Array(buffer);
      for (let k = 0; k < indices.length; k++) data.readInto(indices[k], target, k * stride);
      return buffer;
    },
    close() {},
  };
}

/** The worker: plain script, so that no bundler or loader has to find a file for it. */
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const { readSync } = require('node:fs');
const { source, stride } = workerData;
const shared = source.kind === 'shared' ? new Uint8Array(source.buffer, source.byteOffset) : undefined;
parentPort.on('message', ({ id, indices, buffer }) => {
  let error;
  try {
    const target = new Uint8Array(buffer);
    for (let k = 0; k < indices.length; k++) {
      const i = indices[k];
      if (shared) {
        target.set(shared.subarray(i * stride, (i + 1) * stride), k * stride);
        continue;
      }
      for (let read = 0; read < stride;) {
        const at = source.slots[i] * stride + read;
        const got = readSync(source.fd, target, k * stride + read, stride - read, at);
        if (got === 0) throw new Error(source.path + ': ends before sample ' + i);
        read += got;
      }
    }
  } catch (caught) {
    error = caught.message;
  }
  parentPort.postMessage({ id, buffer, error }, [buffer]);
});
`;

interface Reply {
  id: number;
  buffer: ArrayBuffer;
  error?: string;
}
interface Pending {
  resolve(buffer: ArrayBuffer): void;
  reject(error: Error): void;
  worker: number;
}

async function workerGatherer(data: Dataset, count: number): Promise<Gatherer> {
  const { Worker } = await importNode<typeof import('node:worker_threads')>('node:worker_threads', 'loading batches');
  const stride = data.shape[0] * data.shape[1] * data.shape[2];
  const pending = new Map<number, Pending>();
  const load = new Array<number>(count).fill(0);
  let nextId = 0;
  let closed = false;
  const workers = Array.from({ length: count }, (_, index) => {
    const worker = new Worker(workerSource, {
      eval: true, workerData: { source: data.source, stride }, name: 'fovea-loader', execArgv: [], env: {},
    });
    worker.unref();
    worker.on('message', ({ id, buffer, error }: Reply) => {
      const task = pending.get(id);
      pending.delete(id);
      // A worker holds the process open only while something is asked of it.
      if (--load[index] === 0) worker.unref();
      if (error === undefined) task?.resolve(buffer);
      else task?.reject(new DataError(`${data.name}: ${error}`));
    });
    const fail = (error: Error) => {
      for (const [id, task] of pending) {
        if (task.worker !== index) continue;
        pending.delete(id);
        task.reject(error);
      }
    };
    worker.on('error', (cause) => fail(new DataError(`${data.name}: a loader thread failed`, { cause })));
    worker.on('exit', () => fail(new DataError(`${data.name}: the loader is closed`)));
    return worker;
  });
  return {
    gather(indices, buffer) {
      if (closed) return Promise.reject(new DataError(`${data.name}: the loader is closed`));
      return new Promise((resolve, reject) => {
        const index = load.indexOf(Math.min(...load));
        const id = nextId++;
        pending.set(id, { resolve, reject, worker: index });
        if (load[index]++ === 0) workers[index].ref();
        workers[index].postMessage({ id, indices, buffer }, [buffer]);
      });
    },
    close() {
      closed = true;
      for (const worker of workers) void worker.terminate();
    },
  };
}
