/** Launches made ready for replay: one CUDA graph an executable, a node a launch, each after the one before it. */
import { DeviceError } from '../../errors.ts';
import type { Tuner } from '../tuner.ts';
import type { CudaLaunch, DeviceCounters, Executable, Placed, PlacedLaunch, Scratch } from '../types.ts';
import type { Bindings } from './bindings.ts';
import type { Kernel, Kernels } from './kernels.ts';
import { describeLaunch } from './pack.ts';
import type { LaunchBlock } from './pack.ts';
import type { WorkQueue } from './queue.ts';

/** What a device lends its executables. */
export interface ExecutableHost {
  readonly cuda: Bindings;
  readonly stream: bigint;
  readonly queue: WorkQueue;
  readonly kernels: Kernels;
  readonly tuner: Tuner<CudaLaunch>;
  readonly block: LaunchBlock;
  readonly counters: DeviceCounters;
  /** Launch one by one, waiting for each, so that a failure has a name. */
  readonly checkLaunches: boolean;
  addressOf(value: Placed | Scratch): bigint;
  /** Forgets an executable that is being disposed of, and makes the device's context the thread's. */
  released(executable: CudaExecutable): void;
}

/** Launches of a graph that is profiled, each with an event behind it. */
const PROFILED = 1024;

export async function buildExecutable(host: ExecutableHost, asked: readonly PlacedLaunch[]): Promise<CudaExecutable> {
  for (const { launch, node } of asked) {
    if (!('block' in launch)) throw new DeviceError(`cuda: ${node} was lowered for another device`);
  }
  // What is there in one way alone is compiled while others are tried; a failure is told below.
  for (const placed of asked) if ((placed.launch as CudaLaunch).variants === undefined) host.kernels.get(placed).catch(() => undefined);
  const chosen = await host.tuner.choose(asked.map((placed) => placed.launch as CudaLaunch));
  const launches = asked.map((placed, i) => ({ ...placed, launch: chosen[i] }));
  const made = await Promise.allSettled(launches.map((placed) => host.kernels.get(placed)));
  const kernels = made.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
  return host.queue.guard(() => {
    const began = performance.now();
    const graph = launches.length === 0 ? undefined : makeGraph(host, launches, kernels);
    host.counters.encodeMs += performance.now() - began;
    return new CudaExecutable(host, launches, kernels, graph);
  });
}

/**
 * @param events recorded before the first launch, and behind each: one more than launches
 * @returns a graph that can be launched
 */
function makeGraph(host: ExecutableHost, launches: readonly PlacedLaunch[], made: readonly Kernel[], events?: readonly bigint[]): bigint {
  const { cuda, kernels, block, addressOf } = host;
  const graph = cuda.handle('cuGraphCreate', [0]);
  try {
    const before = new BigUint64Array(1);
    const node = new BigUint64Array(1);
    let count = 0;
    const add = (call: 'cuGraphAddKernelNode_v2' | 'cuGraphAddEventRecordNode', what: bigint, about: string): void => {
      cuda.call(call, [node, graph, count === 0 ? null : before, count === 0 ? 0 : 1, what], about);
      before[0] = node[0];
      count++;
    };
    if (events !== undefined) add('cuGraphAddEventRecordNode', events[0], 'timing');
    launches.forEach((placed, i) => {
      const about = describeLaunch(placed);
      kernels.prepare(made[i], placed);
      block.set(made[i].handle, placed.launch as CudaLaunch, addressOf, about);
      add('cuGraphAddKernelNode_v2', block.node, about);
      if (events !== undefined) add('cuGraphAddEventRecordNode', events[i + 1], about);
    });
    const about = `${launches.length} launches, the first ${describeLaunch(launches[0])}`;
    return cuda.handle('cuGraphInstantiateWithFlags', [graph, 0], about);
  } finally {
    cuda.attempt('cuGraphDestroy', [graph]);
  }
}

export class CudaExecutable implements Executable {
  /** What the driver keeps for a graph is not told. */
  readonly bytes = 0;
  readonly #host: ExecutableHost;
  readonly #launches: readonly PlacedLaunch[];
  readonly #kernels: readonly Kernel[];
  readonly #graph: bigint | undefined;
  #disposed = false;

  constructor(host: ExecutableHost, launches: readonly PlacedLaunch[], kernels: readonly Kernel[], graph: bigint | undefined) {
    this.#host = host;
    this.#launches = launches;
    this.#kernels = kernels;
    this.#graph = graph;
  }

  /** Resolves when the driver has the work; where much is under way already, when less is. */
  async run(): Promise<void> {
    const { queue, counters, checkLaunches } = this.#host;
    this.#usable();
    if (checkLaunches) return this.#runChecked();
    queue.guard(() => this.#submit());
    counters.runs++;
    counters.launches += this.#launches.length;
    return queue.throttle();
  }

  #submit(): void {
    const { cuda, stream, queue } = this.#host;
    if (this.#graph === undefined) return;
    queue.submit(this.#launches, () => cuda.call('cuGraphLaunch', [this.#graph!, stream], describeLaunch(this.#launches[0])));
  }

  #runChecked(): void {
    const { cuda, stream, queue, counters } = this.#host;
    counters.runs++;
    this.#launches.forEach((placed, i) => {
      queue.guard(() => {
        try {
          this.#launch(i);
          cuda.call('cuStreamSynchronize', [stream], describeLaunch(placed));
        } catch (error) {
          throw queue.failure(error, placed);
        }
      });
      counters.launches++;
    });
  }

  #launch(i: number): void {
    const { cuda, stream, block, addressOf } = this.#host;
    const placed = this.#launches[i];
    const { grid, block: threads, shared = 0 } = placed.launch as CudaLaunch;
    const about = describeLaunch(placed);
    const { handle } = this.#kernels[i];
    block.set(handle, placed.launch as CudaLaunch, addressOf, about);
    cuda.call('cuLaunchKernel', [handle, ...grid, threads, 1, 1, shared, stream, 0n, block.extra], about);
  }

  /**
   * Milliseconds on the GPU that one run takes, in one piece. Another goes ahead, so that the GPU has work while the host hands it the one that
   * is timed, and does not wait for it within.
   */
  async time(): Promise<number> {
    this.#usable();
    const { cuda, stream } = this.#host;
    const [ms] = await this.#between(1, (events) => {
      this.#submit();
      cuda.call('cuEventRecord', [events[0], stream]);
      this.#submit();
      cuda.call('cuEventRecord', [events[1], stream]);
    });
    return ms;
  }

  /**
   * Milliseconds of each launch, by events between the nodes of a graph: launched one by one, a kernel of some microseconds would have waited
   * for the host.
   */
  async profile(): Promise<{ label: string; node: string; ms: number }[]> {
    this.#usable();
    const { cuda, stream } = this.#host;
    const rows: { label: string; node: string; ms: number }[] = [];
    for (let start = 0; start < this.#launches.length; start += PROFILED) {
      const launches = this.#launches.slice(start, start + PROFILED);
      let graph: bigint | undefined;
      const times = await this.#between(launches.length, (events) => {
        graph = makeGraph(this.#host, launches, this.#kernels.slice(start, start + PROFILED), events);
        cuda.call('cuGraphLaunch', [graph, stream], describeLaunch(launches[0]));
      }).finally(() => {
        if (graph !== undefined) cuda.attempt('cuGraphExecDestroy', [graph]);
      });
      times.forEach((ms, i) => {
        const { launch, node } = launches[i];
        rows.push({ label: launch.label ?? (launch as CudaLaunch).kernel, node, ms });
      });
    }
    return rows;
  }

  /** Makes events before, between and after `count` pieces of work, which `submit` records; milliseconds from each to the next. */
  async #between(count: number, submit: (events: readonly bigint[]) => void): Promise<number[]> {
    const { cuda, queue } = this.#host;
    const events: bigint[] = [];
    try {
      queue.guard(() => {
        for (let i = 0; i <= count; i++) events.push(cuda.handle('cuEventCreate', [0]));
        queue.submit(this.#launches, () => submit(events));
      });
      await queue.wait(events[count], 'timing');
      return queue.guard(() => {
        const ms = new Float32Array(1);
        return Array.from({ length: count }, (_, i) => {
          cuda.call('cuEventElapsedTime', [ms, events[i], events[i + 1]]);
          return ms[0];
        });
      });
    } finally {
      for (const event of events) cuda.attempt('cuEventDestroy_v2', [event]);
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#host.released(this);
    // One that is under way is freed when it is done.
    if (this.#graph !== undefined) this.#host.cuda.attempt('cuGraphExecDestroy', [this.#graph]);
  }

  #usable(): void {
    if (this.#disposed) throw new DeviceError('an executable was run after dispose()');
  }
}
