/** What a benchmark is made of: problems, contestants that solve them, peers that bring contestants, and rows of figures. */
import type { Device, HalfType, HostData, TensorType } from '../device/types.ts';
import type { Attrs } from '../graph/node.ts';
import type { ParameterArrays } from '../nn/parameters.ts';

export const groups = ['gemm', 'conv', 'pool', 'norm', 'softmax', 'update', 'step'] as const;
export type Group = (typeof groups)[number];

export interface InputSpec extends TensorType {
  /** Range of the random values, default [-1, 1); integers below `high` for int32. */
  readonly low?: number;
  readonly high?: number;
  readonly values?: HostData;
  /** The first output of this op over the inputs before it: the maxima that a pooling's gradient is given. */
  readonly from?: string;
}

/** One application of one op. */
export interface KernelProblem {
  readonly kind: 'kernel';
  readonly group: Exclude<Group, 'step'>;
  /** `conv2d 56x56x64 3x3 192`; unique in a run. */
  readonly name: string;
  /** Where networks have it: `inception-bn conv_2`. */
  readonly layers: readonly string[];
  readonly op: string;
  readonly inputs: readonly InputSpec[];
  readonly attrs: Attrs;
}

/** Training steps of a network by SGD with momentum, every one on the same batch. */
export interface StepProblem {
  readonly kind: 'step';
  readonly group: 'step';
  readonly name: string;
  readonly layers: readonly string[];
  /** MXNet's symbol JSON, with its softmax. */
  readonly symbol: string;
  readonly batch: number;
  readonly side: number;
  readonly classes: number;
  readonly learningRate: number;
  readonly momentum: number;
  /** As they lie in memory: convolution weights KRSC. */
  readonly parameters: ParameterArrays;
  /** Bytes, [batch, side, side, 3]; networks see them divided by 255. */
  readonly images: Uint8Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
}

export type Problem = KernelProblem | StepProblem;

/** By which runs are timed: kernels on CUDA by the GPU's, whoever queues them; all else by the host's, waits included. */
export type Clock = 'host' | 'gpu';

/** What solves a problem, again and again. */
export interface Contestant {
  /** `fovea, 2 threads`, `tfjs-wasm`. */
  readonly name: string;
  /**
   * Solves it `queued` times in a row (default 1), so many times; milliseconds of one, the work done when the clock stops. Who cannot begin
   * one before the last is done makes them one by one.
   *
   * @param clock `gpu`: milliseconds on the GPU's own clock, between events before the first and behind the last of those in a row, of those that
   *   stand beside our CUDA device; default `host`
   */
  run(times: number, queued?: number, clock?: Clock): Promise<number[]>;
  /** Outputs of the last run, contiguous, images NHWC; of a training step the losses of all runs so far. */
  result(): Promise<readonly ArrayLike<number>[]>;
  dispose(): void | Promise<void>;
  /** What there is to say beside times, asked for when all is measured. */
  facts?(): Promise<Facts>;
  /**
   * Rounds each sum to this dtype by itself, which ours do not: where results are float32, and before a bias is added. It is held to what that
   * loses.
   */
  readonly rounded?: HalfType;
  /** A limit that takes turns with the others: its results are not the problem's, and `result` throws where they are wrong. */
  readonly yardstick?: true;
  /**
   * Ends it at once, whatever it is doing. Contestants of other engines have it and are held to the limit; ours run in this very process,
   * where nothing ends a computation.
   */
  abandon?(): void;
}

/** Figures of a contestant that are no times of runs. */
export interface Facts {
  /** FLOP of the method chosen, where it is another than the op's own (minimal filtering). */
  readonly method?: string;
  readonly flop?: number;
  readonly step?: StepFacts;
  /** Anything that a reader must know to compare: fewer layers, other packing. */
  readonly note?: string;
}

export interface StepFacts {
  /** Seconds to open the device, to trace, rewrite and plan, to allocate, encode and compile, and of the first step. */
  readonly start: { readonly open: number; readonly plan: number; readonly compile: number; readonly first: number };
  /** Kernels, pipelines and command buffers made for it. */
  readonly compilations: number;
  readonly launches: number;
  /** The main thread's time a step: JavaScript, and what the driver does in its calls; a software adapter computes in them. */
  readonly mainThreadMs: number;
  /** Of it, the encoding of launches in JavaScript, without the driver's `submit`; undefined where nothing is encoded. */
  readonly encodeMs?: number;
  /** Bytes: the arena as planned, its bound by liveness, variables, what the Program owns; the device's own count at its peak. */
  readonly memory: {
    readonly arena: number; readonly bound: number; readonly variables: number; readonly own: number; readonly peak: number;
    /** What the Program uploads through; and, within the peak, textures of software adapters, which plans leave out. Not in older files. */
    readonly staging?: number; readonly textures?: number;
  };
  /** Bytes of the whole process, after the step. */
  readonly rss: number;
}

/** Another engine. */
export interface Peer {
  readonly name: string;
  /** Beside which devices of ours it stands. */
  readonly beside: readonly Device['kind'][];
  readonly versions: Readonly<Record<string, string | number | boolean>>;
  /** What it competes in: names of ops, and `step`. */
  readonly ops: readonly string[];
  /** Competes in products and convolutions of halves too. */
  readonly half?: boolean;
  /** How many times the roofline's least time it is likely to take: for the estimate that a run begins with. */
  readonly slowness?: number;
  /** A contestant, or why there is none. Throws where it should have been able to. */
  enter(problem: Problem, inputs: readonly HostData[]): Promise<Contestant | { readonly absent: string }>;
  /** Ends it at once, with its contestant; the next `enter` starts it again. */
  abandon(): void;
  dispose(): void | Promise<void>;
}

export interface AbsentPeer {
  readonly name: string;
  /** Why, with the command that installs it. */
  readonly absent: string;
}

export interface PeerOptions {
  readonly beside: readonly Device['kind'][];
  /** Threads of the cpu's contestants; peers that can have threads enter once for each. */
  readonly threads: readonly number[];
  /** Python interpreters, each with MXNet or PyTorch. */
  readonly python: readonly string[];
  /** As it was asked for, `webgpu:NAME`, by which the first of our webgpu devices was found; undefined: by the same preference. */
  readonly adapter: string | undefined;
  /** Parts of the names of those to open, the end of a name where a part ends in `$`; all where absent. */
  readonly only?: readonly string[] | undefined;
  readonly log: (line: string) => void;
}

/** Opens the peers that are installed; handed in, since the package itself has none. */
export type PeerSource = (options: PeerOptions) => Promise<readonly (Peer | AbsentPeer)[]>;

/** One contestant's part of a row. */
export interface Entry {
  readonly contestant: string;
  /** Milliseconds of every run counted, in order. Empty where it did not run. */
  readonly milliseconds: readonly number[];
  /** Of runs that do not count: not all of the processor's cores were there before and after them (gate.ts). */
  readonly disturbed?: readonly number[];
  /** Too few runs had all cores, so all are counted. */
  readonly shared?: true;
  readonly absent?: string;
  /** Why it does not count: it threw, or its outputs are wrong. */
  readonly failed?: string;
  /** Least milliseconds by the roofline, of our own contestants. */
  readonly attainable?: number;
  /** Attainable follows from a peak whose probe does not count, or a bandwidth that some row beats: it is shown with a question mark, and explains nothing. */
  readonly unproven?: true;
  readonly facts?: Facts;
}

export interface Row {
  readonly group: Group;
  /** Which of our devices it is about: `cpu`, `webgpu` or `cuda`. */
  readonly device: string;
  readonly name: string;
  readonly layers: readonly string[];
  /** Of the op as it is defined; 0 for steps. */
  readonly flop: number;
  /** Compulsory: every input read and every output written once. */
  readonly bytes: number;
  /** Images of a training step. */
  readonly batch?: number;
  /** Runs in a row, of which milliseconds are of one; 1 where absent. */
  readonly queued?: number;
  /** The host's where absent. */
  readonly clock?: Clock;
  readonly entries: readonly Entry[];
}

/** A limit measured in the same run. */
export interface Probe {
  readonly device: string;
  /** `multiply-add`, `read`, `write`, `copy`, `clock`. */
  readonly what: string;
  /** GFLOP/s, GB/s or GHz: of the fastest run. */
  readonly value: number;
  readonly unit: 'GFLOP/s' | 'GB/s' | 'GHz';
  /** Of clock times lanes and units, or of the vendor's own product of matrices; undefined where none of them is known. */
  readonly share?: number;
  /** Whether the figure may stand for the machine's limit: a share of 0.9 or more. */
  readonly counts?: boolean;
  /** What the share assumes, or why there is none. */
  readonly note?: string;
  readonly milliseconds: readonly number[];
}

export interface DeviceFacts {
  readonly name: string;
  /** Ours on it: `fovea, 2 threads`. */
  readonly contestant: string;
  /** Of the cpu device; 1 elsewhere. */
  readonly threads: number;
  readonly kind: string;
  /** An adapter that computes on the processor, in the driver's calls. */
  readonly software: boolean;
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
  readonly openSeconds: number;
}

/** Everything that a run found: what the JSON file holds. */
export interface Report {
  readonly format: 1;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly devices: readonly DeviceFacts[];
  readonly peers: readonly (AbsentPeer | Pick<Peer, 'name' | 'versions' | 'ops'>)[];
  /** Entries that do not count, and why. */
  readonly failures: readonly string[];
  readonly probes: readonly Probe[];
  readonly rows: readonly Row[];
}
