/**
 * NVRTC in worker threads: a compilation blocks its thread for 50 ms to some seconds, and several modules compile at once. Workers start
 * with the first of a batch of compilations and end soon after the last. Node only; reach it by dynamic import.
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { DeviceError } from '../../errors.ts';
import type { Koffi } from './bindings.ts';

export interface NvrtcInfo {
  /** `13.0` */
  readonly version: string;
  /** Architectures that it compiles for, as 90 for sm_90. */
  readonly architectures: readonly number[];
}

/** Loads the library and asks it. @throws DeviceError where it does not load or is no NVRTC */
export function nvrtcInfo(koffi: Koffi, path: string): NvrtcInfo {
  try {
    const library = koffi.load(path);
    const call = (name: string, parameters: string[], ...values: unknown[]): void => {
      const result = library.func(name, 'int', parameters)(...values) as number;
      if (result !== 0) throw new Error(`${name} returned ${result}`);
    };
    const major = new Int32Array(1), minor = new Int32Array(1), count = new Int32Array(1);
    call('nvrtcVersion', ['void *', 'void *'], major, minor);
    call('nvrtcGetNumSupportedArchs', ['void *'], count);
    const architectures = new Int32Array(Math.max(1, count[0]));
    call('nvrtcGetSupportedArchs', ['void *'], architectures);
    return { version: `${major[0]}.${minor[0]}`, architectures: [...architectures].slice(0, count[0]) };
  } catch (cause) {
    throw new DeviceError(`NVRTC at ${path} cannot be used: ${(cause as Error).message}`, { cause });
  }
}

export interface Job {
  /** For NVRTC's messages: `copy.cu`. */
  readonly name: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

export interface Compiled {
  readonly cubin: Uint8Array;
  /** What the compiler says of code that it took; mostly nothing, as where its words cannot be had. */
  readonly log: string;
}

type Answer = Compiled | { readonly failed: string } | { readonly ready: true };

/**
 * What runs in a worker; plain JavaScript in a string, so that no bundler has to know of a second file. Koffi runs what it calls on a
 * stack of its own, which the compiler needs deeper than usual.
 */
const program = `
const { parentPort, workerData } = require('node:worker_threads');
const koffi = require(workerData.koffi);
koffi.config({ ...koffi.config(), sync_stack_size: 16 << 20 });
const library = koffi.load(workerData.library);
const bind = (name, ...parameters) => library.func(name, 'int', parameters);
const create = bind('nvrtcCreateProgram', 'void *', 'str', 'str', 'int', 'const char **', 'const char **');
const compile = bind('nvrtcCompileProgram', 'uint64', 'int', 'const char **');
const destroy = bind('nvrtcDestroyProgram', 'void *');
const text = library.func('nvrtcGetErrorString', 'str', ['int']);
const sizeOf = { Log: bind('nvrtcGetProgramLogSize', 'uint64', 'void *'), CUBIN: bind('nvrtcGetCUBINSize', 'uint64', 'void *') };
const get = { Log: bind('nvrtcGetProgramLog', 'uint64', 'void *'), CUBIN: bind('nvrtcGetCUBIN', 'uint64', 'void *') };
const check = (call, result) => { if (result !== 0) throw new Error(call + ': ' + text(result)); };
const fetch = (what, program) => {
  const size = new BigUint64Array(1);
  check('nvrtcGet' + what + 'Size', sizeOf[what](program, size));
  const bytes = new Uint8Array(Number(size[0]));
  if (bytes.length > 0) check('nvrtcGet' + what, get[what](program, bytes));
  return bytes;
};
// Without it there is still the cubin, or the error.
const logOf = (program) => {
  try {
    return Buffer.from(fetch('Log', program)).toString('utf8').replace(/\\0+$/, '').trim();
  } catch {
    return '';
  }
};
parentPort.on('message', ({ name, source, options, headers }) => {
  const handle = new BigUint64Array(1);
  let answer;
  try {
    const names = Object.keys(headers);
    check('nvrtcCreateProgram', create(handle, source, name, names.length, names.map((n) => headers[n]), names));
    const result = compile(handle[0], options.length, options);
    const cubin = result === 0 ? fetch('CUBIN', handle[0]) : undefined;
    const log = logOf(handle[0]);
    if (result !== 0) throw new Error('nvrtcCompileProgram: ' + text(result) + (log === '' ? '' : '\\n' + log));
    answer = { cubin, log };
  } catch (error) {
    answer = { failed: error.message };
  }
  if (handle[0] !== 0n) destroy(handle);
  parentPort.postMessage(answer, answer.cubin === undefined ? [] : [answer.cubin.buffer]);
});
parentPort.postMessage({ ready: true });
`;

interface Pending {
  readonly job: Job;
  resolve(compiled: Compiled): void;
  reject(error: Error): void;
}

/** Workers at most: each holds some 100 MB while it compiles. */
const MOST_WORKERS = 8;
/** Milliseconds after the last compilation in which workers wait for another. */
const LINGER = 1000;

export class NvrtcPool {
  readonly #library: string;
  readonly #most: number;
  readonly #queue: Pending[] = [];
  readonly #workers = new Map<Worker, Pending | 'idle' | 'starting' | 'leaving'>();
  #linger: ReturnType<typeof setTimeout> | undefined;
  /** What is said of every job, once the pool is disposed of. */
  #gone: DeviceError | undefined;

  constructor(library: string, workers: number = Math.min(MOST_WORKERS, availableParallelism())) {
    this.#library = library;
    this.#most = workers;
  }

  /** Rejects with NVRTC's log. */
  compile(job: Job): Promise<Compiled> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    clearTimeout(this.#linger);
    for (const [worker, state] of this.#workers) {
      if (state !== 'idle') continue;
      const pending = this.#queue.shift();
      if (pending === undefined) break;
      this.#workers.set(worker, pending);
      worker.ref();
      worker.postMessage(pending.job);
    }
    const starting = [...this.#workers.values()].filter((state) => state === 'starting').length;
    for (let i = starting; i < this.#queue.length && this.#workers.size < this.#most; i++) this.#start();
    if (this.#queue.length > 0 || [...this.#workers.values()].some((state) => state !== 'idle')) return;
    this.#linger = setTimeout(() => this.#end(), LINGER);
    this.#linger.unref();
  }

  #start(): void {
    const koffi = createRequire(import.meta.url).resolve('koffi');
    const worker = new Worker(program, { eval: true, execArgv: [], workerData: { koffi, library: this.#library } });
    this.#workers.set(worker, 'starting');
    worker.on('message', (answer: Answer) => {
      const state = this.#workers.get(worker);
      if (state === 'leaving') {
        this.#workers.delete(worker);
        void worker.terminate();
        return;
      }
      this.#workers.set(worker, 'idle');
      worker.unref();
      if (typeof state === 'object') {
        if ('cubin' in answer) state.resolve(answer);
        else if ('failed' in answer) state.reject(new DeviceError(answer.failed));
      }
      this.#next();
    });
    const lost = (why: string): void => {
      const state = this.#workers.get(worker);
      if (state === undefined) return;
      this.#workers.delete(worker);
      const error = new DeviceError(`NVRTC's thread ended: ${why}`);
      if (state === 'leaving') return;
      if (typeof state === 'object') state.reject(error);
      // One that cannot even start would be started for ever.
      else if (state === 'starting') for (const pending of this.#queue.splice(0)) pending.reject(error);
      this.#next();
    };
    worker.on('error', (error: Error) => lost(error.message));
    worker.on('exit', (code) => lost(`code ${code}`));
  }

  #end(): void {
    for (const [worker, state] of this.#workers) {
      if (state !== 'idle') continue;
      this.#workers.delete(worker);
      void worker.terminate();
    }
  }

  dispose(): void {
    clearTimeout(this.#linger);
    const error = this.#gone = new DeviceError('the device was disposed of while kernels were compiled');
    for (const pending of this.#queue.splice(0)) pending.reject(error);
    for (const [worker, state] of this.#workers) {
      if (typeof state === 'object') state.reject(error);
      if (state === 'idle') {
        this.#workers.delete(worker);
        void worker.terminate();
      } else {
        // A thread that is ended while it loads koffi, or is in NVRTC, would take the process with it: it ends with its next message.
        this.#workers.set(worker, 'leaving');
      }
    }
  }
}
