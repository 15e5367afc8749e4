/**
 * The thread pool. Workers live inside WASM: they wait on a word of shared memory, take tiles of the run's launches, and wait again.
 * The main thread hands out the first launch and hears of the end by a message from whoever has done the last tile. A worker's program
 * is a string, so that no bundler has to know of a second file.
 */
import { DeviceError } from '../../errors.ts';
import { COMMAND_BYTES, CONTROL_ADDRESS, control } from './layout.ts';

/** What runs in a worker, in Node (evaluated) and in browsers (from a Blob); plain JavaScript, no imports. */
const source = `
const node = typeof require === 'function';
const port = node ? require('node:worker_threads').parentPort : self;
const start = (data) => {
  const { module, memory, kernels, base, scratch } = data;
  const { exports } = new WebAssembly.Instance(module, { env: { memory, now: () => performance.timeOrigin + performance.now() } });
  const first = exports.table.grow(kernels.length + 1);
  const sleeper = first + kernels.length;
  kernels.forEach((name, i) => exports.table.set(first + i, exports[name]));
  exports.table.set(sleeper, exports.sleep);
  port.postMessage({ ready: first });
  let seen = 0;
  for (;;) {
    seen = exports.awaitWork(base, seen, sleeper);
    if (exports.walk(base, scratch, sleeper)) port.postMessage({ done: true });
  }
};
if (node) port.once('message', start);
else self.onmessage = (event) => start(event.data);
`;

type Message = { ready?: number; done?: boolean };

/** Milliseconds by a clock that all threads share. */
const now = (): number => performance.timeOrigin + performance.now();

/** The few methods that Node's and the browsers' workers share here, under one name each. */
interface Thread {
  post(data: unknown): void;
  ref(): void;
  unref(): void;
  terminate(): void;
}

/** True where memory can be shared with workers. */
export function canShareMemory(): boolean {
  if (isNode()) return true;
  return (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true && typeof Worker === 'function';
}

export function isNode(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string';
}

async function spawn(onMessage: (m: Message) => void, onError: (e: Error) => void): Promise<Thread> {
  if (isNode()) {
    const { Worker: NodeWorker } = await import('node:worker_threads');
    const worker = new NodeWorker(source, { eval: true, execArgv: [], name: 'fovea cpu' } as object);
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', (code) => onError(new Error(`a worker thread ended with code ${code}`)));
    return {
      post: (data) => worker.postMessage(data),
      ref: () => worker.ref(),
      unref: () => worker.unref(),
      terminate: () => void worker.terminate(),
    };
  }
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'fovea cpu' });
  worker.onmessage = (event) => onMessage(event.data as Message);
  worker.onerror = (event) => onError(new Error(event.message || 'a worker could not be started'));
  const nothing = (): void => {};
  return { post: (data) => worker.postMessage(data), ref: nothing, unref: nothing, terminate: () => worker.terminate() };
}

/** Commands to walk: the address of the first, how many; `times` is the address of (count + 1) doubles, or 0. */
export interface Walk {
  readonly commands: number;
  readonly count: number;
  readonly times: number;
}

export interface Pool {
  /** Table index of the first kernel; the others follow in the order of their names. */
  readonly firstKernel: number;
  /** Walks them on all threads; one call at a time. */
  walk(run: Walk): Promise<void>;
  terminate(): void;
}

/** Starts `threads` workers over the memory. `scratch[i]` is the address of thread i's own memory. */
export async function startPool(
  module: WebAssembly.Module, memory: WebAssembly.Memory, kernels: readonly string[], scratch: readonly number[],
): Promise<Pool> {
  let failed: Error | undefined;
  let ended = false;
  let settle: { resolve(): void; reject(e: Error): void } | undefined;
  const shared = new Int32Array(memory.buffer, CONTROL_ADDRESS, control.bytes >> 2);
  const { begin } = new WebAssembly.Instance(module, { env: { memory, now } }).exports as unknown as { begin(base: number): number };
  const pool: Thread[] = [];
  const fail = (error: Error): void => {
    if (ended || failed) return;
    failed = error;
    for (const t of pool) t.terminate();
    settle?.reject(error);
    settle = undefined;
  };
  let firstKernel = 0;
  await Promise.all(scratch.map((address, thread) => new Promise<void>((resolve, reject) => {
    const onMessage = (m: Message): void => {
      if (m.ready !== undefined) {
        firstKernel = m.ready;
        resolve();
      } else if (m.done !== undefined) {
        pool[0].unref();
        const s = settle;
        settle = undefined;
        s?.resolve();
      }
    };
    const onError = (e: Error): void => {
      const error = new DeviceError(`cpu device: thread ${thread}: ${e.message}`, { cause: e });
      reject(error);
      fail(error);
    };
    spawn(onMessage, onError).then((t) => {
      pool[thread] = t;
      t.post({ module, memory, kernels, base: CONTROL_ADDRESS, scratch: address });
    }, onError);
  })));
  for (const t of pool) t.unref();
  return {
    firstKernel,
    walk({ commands, count, times }) {
      if (failed) return Promise.reject(failed);
      return new Promise<void>((resolve, reject) => {
        shared[control.commands >> 2] = commands;
        shared[control.end >> 2] = commands + count * COMMAND_BYTES;
        shared[control.times >> 2] = times;
        if (begin(CONTROL_ADDRESS)) {
          resolve();
          return;
        }
        settle = { resolve, reject };
        // A run that is not awaited by the event loop's own means must still keep the process alive.
        pool[0].ref();
        Atomics.add(shared, control.generation >> 2, 1);
        Atomics.notify(shared, control.generation >> 2);
      });
    },
    terminate() {
      ended = true;
      for (const t of pool) t.terminate();
      settle?.reject(new DeviceError('cpu device: disposed while a run was pending'));
      settle = undefined;
    },
  };
}

/**
 * The same without workers, for pages that may not share memory: this thread walks, in slices of some 20 ms, between which the page
 * breathes.
 */
export function startInline(module: WebAssembly.Module, memory: WebAssembly.Memory, kernels: readonly string[],
  scratch: number): Pool {
  const instance = new WebAssembly.Instance(module, { env: { memory, now } });
  const exports = instance.exports as unknown as { table: WebAssembly.Table; launch(command: number, scratch: number): void };
  const firstKernel = exports.table.grow(kernels.length);
  kernels.forEach((name, i) => exports.table.set(firstKernel + i, instance.exports[name]));
  const current = (CONTROL_ADDRESS + control.current) >> 2;
  let ended = false;
  return {
    firstKernel,
    async walk({ commands, count, times }) {
      let slice = now();
      if (times !== 0) new Float64Array(memory.buffer, times, 1)[0] = slice;
      for (let i = 0; i < count; i++) {
        if (ended) throw new DeviceError('cpu device: disposed while a run was pending');
        new Int32Array(memory.buffer)[current] = i;
        exports.launch(commands + i * COMMAND_BYTES, scratch);
        if (times !== 0) new Float64Array(memory.buffer, times, count + 1)[i + 1] = now();
        if (now() - slice > 20) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          slice = now();
        }
      }
    },
    terminate() {
      ended = true;
    },
  };
}
