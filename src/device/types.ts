/**
 * What every device understands: dtypes, placed values, launches, and the Device contract itself.
 *
 * A device allocates memory, moves bytes, and runs lists of launches. It knows nothing of graphs or gradients: graph/ plans where
 * each value lies, ops/ say which kernels compute it, and the device encodes those launches once and replays them.
 */

/**
 * Element types. `bool` is stored on devices as float32 0 or 1 and read back as bytes. `float16` and `bfloat16` are ways to store, on devices that
 * `supports` it: kernels compute in float32, and the host sees float32.
 */
export type DType = 'float32' | HalfType | 'int32' | 'uint8' | 'bool';

/** Floats of 16 bits (half.ts). */
export type HalfType = 'float16' | 'bfloat16';

export const isHalfType = (dtype: DType): dtype is HalfType => dtype === 'float16' || dtype === 'bfloat16';

/** Lengths of the axes, outermost first. Images are NHWC, convolution filters KRSC (out, height, width, in). */
export type Shape = readonly number[];

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Bytes of one element as a device stores it. */
export const bytesPerElement: Readonly<Record<DType, number>> = { float32: 4, float16: 2, bfloat16: 2, int32: 4, uint8: 1, bool: 4 };

export type HostData<D extends DType = DType> =
  D extends 'float32' | HalfType ? Float32Array : D extends 'int32' ? Int32Array : Uint8Array;

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** A piece of device memory. Who allocated it disposes of it. */
export interface DeviceBuffer {
  readonly bytes: number;
  readonly label: string;
  dispose(): void;
}

/**
 * Where a value lies: rows of `channels` elements (channels = the last axis, 1 for a scalar), the first at element `offset` of
 * `buffer`, each next row `stride` elements further. `stride === channels` means contiguous. Concatenations and channel slices
 * cost nothing because every kernel reads and writes in this form.
 */
export interface Placed extends TensorType {
  readonly buffer: DeviceBuffer;
  /** In elements. */
  readonly offset: number;
  readonly rows: number;
  readonly channels: number;
  /** In elements, at least `channels`. */
  readonly stride: number;
}

/** True when a kernel that handles `width` elements at a time may address the value. */
export function isVectorizable(v: Placed, width = 4): boolean {
  return v.channels % width === 0 && v.stride % width === 0 && v.offset % width === 0;
}

export function isContiguous(v: Placed): boolean {
  return v.stride === v.channels || v.rows <= 1;
}

/** Scratch memory that a launch list asked for before planning; shared by all launches of that op, contents undefined. */
export interface Scratch {
  readonly buffer: DeviceBuffer;
  /** In bytes, a multiple of 256. */
  readonly byteOffset: number;
  readonly bytes: number;
}

/** Which of its kernels an adapter takes: those for processors or those for GPUs. */
export type AdapterKind = 'software' | 'hardware';

/** The kernels that a device takes, by its features; software adapters' where these are not known. */
export const adapterKind = (features?: GpuFeatures): AdapterKind => (features?.hardware ? 'hardware' : 'software');

/** What a GPU offers beyond what all have: kernels are chosen by it, so it is part of the fingerprint where bits depend on it. */
export interface GpuFeatures {
  /** It takes the kernels for hardware. */
  readonly hardware?: boolean;
  /** Threads of a subgroup, where all subgroups have as many and kernels may exchange values within one. */
  readonly subgroup?: number;
  /** What matrix units multiply at once: M x K by K x N, of float16 with sums in float32. */
  readonly matrices?: { readonly M: number; readonly N: number; readonly K: number };
  /** On a CUDA device, the GPU. */
  readonly cuda?: {
    /** Compute capability, ten times the major version plus the minor: 90 for 9.0. */
    readonly capability: number;
    readonly multiprocessors: number;
    /** Most bytes of shared memory that a block can have, declared and the launch's own. */
    readonly sharedBytes: number;
    /** Products of float32 may round their operands to TF32, of 10 bits of mantissa: asked for by `cuda({ tf32: true })`. */
    readonly tf32?: boolean;
    /**
     * The highest rung that products may take: multiply-adds fed through registers, the same fed by cp.async, matrix units by mma.sync,
     * Hopper's own by wgmma. By default all but Hopper's, which is taken only where it is asked for.
     */
    readonly rung?: 'simt' | 'async' | 'tensor' | 'hopper';
    /** Convolutions normalize their image, and make the gradient of batch norm, as they read them: asked for by `cuda({ prologues: true })`. */
    readonly prologues?: boolean;
    /** Asked for by tests: which of a rung's tiles all products take, from the largest on. By default it follows from each shape. */
    readonly tile?: number;
  };
}

/** What an op's lowering sees: where its inputs, outputs and scratch lie. */
export interface LowerContext<A> {
  readonly attrs: A;
  readonly inputs: readonly Placed[];
  readonly outputs: readonly Placed[];
  /** In the order that the op's `scratch` asked for. */
  readonly scratch: readonly Scratch[];
  /** The device's own. */
  readonly features?: GpuFeatures | undefined;
}

/** An argument word of a WASM kernel: an integer, a float, or the byte address of a value or scratch region. */
export type CpuArg = number | { readonly f32: number } | { readonly address: Placed | Scratch };

/**
 * One WASM kernel over `tiles` independent tiles. Threads take tiles by an atomic counter; the next launch begins when all are done.
 * The kernel is `(args: usize, tile: i32, scratch: usize) => void` and reads its words with `load<i32>(args + 4 * i)`.
 */
export interface CpuLaunch {
  readonly kernel: string;
  readonly tiles: number;
  readonly args: readonly CpuArg[];
  readonly label?: string;
}

/**
 * One compute dispatch. Bindings of group 0: binding 0 is the uniform block made of `uniforms`; the storage buffers follow in
 * order from binding 1. Each value is bound from the last multiple of 256 bytes at or before it; kernels add what is left of the
 * offset, given in a uniform (`boundOffset` of device/webgpu/launch.ts). Outputs of one launch lie in distinct 256-byte ranges,
 * and no buffer is both read and written by a launch, except in place.
 */
export interface WebgpuLaunch {
  /** Name of a file under shaders/, without its ending. */
  readonly shader: string;
  /** Text substitutions `${NAME}` in the shader: only the scalar expression of elementwise kernels, and tile choices. */
  readonly replace?: Readonly<Record<string, string | number>>;
  /** 32-bit words; wrap in {f32} for floats. */
  readonly uniforms: readonly (number | { readonly f32: number })[];
  readonly bindings: readonly {
    readonly value: Placed | Scratch;
    /** `texture`: read through a texture of vec4f (shaders/texel.wgsl), into which the device copies what is bound before the launch. */
    readonly access: 'read' | 'write' | 'read-write' | 'texture';
  }[];
  /** Workgroups along x, y, z. */
  readonly grid: readonly [number, number, number];
  readonly label?: string;
  /** Ways to compute the same bits, the default (the launch as it stands) first; the device takes the fastest it knows of. */
  readonly variants?: readonly {
    readonly name: string;
    readonly grid: readonly [number, number, number];
    readonly replace: Readonly<Record<string, string | number>>;
  }[];
  /** The class of shapes for which one variant is expected to be fastest. */
  readonly tuning?: string;
  /** For that kind of adapter only, left out on the other; for both when absent. */
  readonly adapter?: AdapterKind;
}

/**
 * How Hopper's copy engine (TMA) sees a value of 16-bit elements. It writes lines of 128 bytes with the 128-byte swizzle, and zeros for what
 * lies outside. The value's address, and all strides, are multiples of 16 bytes.
 */
export interface TensorMap {
  readonly value: Placed;
  /** Elements along each axis, the innermost first. */
  readonly lengths: readonly number[];
  /** Bytes from one element to the next along each axis but the innermost. */
  readonly strides: readonly number[];
  /** What one copy brings: a box of so many elements along each axis. */
  readonly box?: readonly number[];
  /**
   * Or, of axes [channels, width, height, images], so many channels of so many pixels that follow each other (im2col mode): their
   * windows' first places run from `lower` to `upper` past the last along width and height.
   */
  readonly windows?: {
    readonly lower: readonly [number, number];
    readonly upper: readonly [number, number];
    readonly channels: number;
    readonly pixels: number;
    /** Pixels from one first place to the next along width and height: 1 to 8, as a rule 1. */
    readonly strides?: readonly [number, number];
  };
}

/**
 * An argument of a CUDA kernel, in the order of its parameters: an i32, a float, memory, or a map for the copy engine. A kernel sees memory as
 * a `Span<T>` (kernels/cuda/lib/fovea.cuh) that begins at the value's first element and ends after its last, or holds the whole scratch
 * region, and a map as 128 bytes at a multiple of 64 (TENSOR_MAP of lib/hopper.cuh).
 */
export type CudaArg = number | { readonly f32: number } | { readonly address: Placed | Scratch } | { readonly tensorMap: TensorMap };

/** One launch of the kernel that kernels/cuda/NAME.cu has under the file's own name. Blocks are one-dimensional. */
export interface CudaLaunch {
  /** Name of a file under kernels/cuda, without its ending. */
  readonly kernel: string;
  /** Macros with which it is compiled: storage types, tile choices, the scalar expression of elementwise kernels. Never shapes. */
  readonly define?: Readonly<Record<string, string | number>>;
  readonly args: readonly CudaArg[];
  /** Blocks along x, y, z. */
  readonly grid: readonly [number, number, number];
  /** Threads of a block. */
  readonly block: number;
  /** Bytes of shared memory beside what the kernel declares. */
  readonly shared?: number;
  readonly label?: string;
  /** Ways to compute the same bits, the default (the launch as it stands) first; the device takes the fastest it knows of. */
  readonly variants?: readonly (Required<Pick<CudaLaunch, 'define' | 'grid' | 'block' | 'shared'>> & { readonly name: string })[];
  /** The class of shapes for which one variant is expected to be fastest. */
  readonly tuning?: string;
}

/** The kernels of an op on each device. `scratch` gives byte counts from shapes and the device's kind, before anything is placed. */
export interface Lowering<A, L> {
  scratch?(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A, features?: GpuFeatures): number[];
  launches(context: LowerContext<A>): L[];
  /** The method that these shapes are computed by and its FLOP, where they are not those that the op states: minimal filtering. */
  work?(
    inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A, features?: GpuFeatures,
  ): { readonly method: string; readonly flop: number } | undefined;
}

export interface Lowerings<A> {
  readonly cpu?: Lowering<A, CpuLaunch>;
  readonly webgpu?: Lowering<A, WebgpuLaunch>;
  readonly cuda?: Lowering<A, CudaLaunch>;
}

export type Launch = CpuLaunch | WebgpuLaunch | CudaLaunch;

/** A launch with what an error message needs: the node it computes and the caller's line. */
export interface PlacedLaunch {
  readonly launch: Launch;
  readonly node: string;
  readonly site?: string;
  /** Estimated cost, by which long programs are cut into segments. */
  readonly flop: number;
}

/** Launches made ready to replay. */
export interface Executable {
  /** Device memory that the encoding itself holds, as the counters have it. */
  readonly bytes: number;
  /** Resolves when the device has taken the work and its inputs may be written again (not necessarily when it is done). */
  run(): Promise<void>;
  /** Runs launch by launch and times each. */
  profile(): Promise<{ readonly label: string; readonly node: string; readonly ms: number }[]>;
  /** Milliseconds on the GPU of one run, in one piece. GPUs alone have it. */
  time?(): Promise<number>;
  dispose(): void;
}

/** Counts since the device was made; tests assert on them. */
export interface DeviceCounters {
  allocations: number;
  bytesAllocated: number;
  /** Of these, in the textures through which software adapters read, shared by all Programs; plans leave them out. */
  textureBytes: number;
  /** Highest value that `bytesAllocated` has had. */
  peakBytes: number;
  launches: number;
  /** Kernels, pipelines or command buffers made. */
  compilations: number;
  runs: number;
  /** Milliseconds in which launches were encoded in JavaScript, without the driver's `submit`. 0 where nothing is encoded. */
  encodeMs: number;
}

/** A machine that runs kernels. Implementations: cpu (WASM SIMD and threads), webgpu (WGSL), cuda (CUDA C++). */
export interface Device {
  readonly kind: 'cpu' | 'webgpu' | 'cuda';
  /** Unique in the process, for messages: `cpu (2 threads, relaxed SIMD)`. */
  readonly name: string;
  /** What determines the bits that this device computes; recorded in runs. */
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
  readonly counters: DeviceCounters;
  /** None on the CPU. */
  readonly features?: GpuFeatures;
  readonly memory: {
    /** `slab`: values of one arena share a buffer. `slots`: several, for APIs that refuse to read and write one buffer in a launch. */
    readonly arena: 'slab' | 'slots';
    /** Values start at multiples of this many bytes. */
    readonly alignment: number;
    /** Largest buffer that a kernel can bind, in bytes. */
    readonly maxBuffer: number;
  };
  /** Sees again how much memory there is, where others may have taken or given back some since: `memory.maxBuffer` follows. */
  lookAtMemory?(): void;
  /** Whether kernels read and write values of the dtype; only those of 16 bits are in question. */
  supports(dtype: DType): boolean;
  /** What mixed precision stores values in; undefined where the device has neither. */
  readonly half?: HalfType | undefined;
  /** Zero-filled. Throws OutOfMemoryError with what was asked for and what is in use. */
  allocate(bytes: number, label: string): DeviceBuffer;
  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView): void;
  /** Waits for the work submitted before it. The bytes returned are the caller's own. */
  read(buffer: DeviceBuffer, byteOffset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Device-side copy in queue order: buffers may be equal only where the ranges do not overlap. */
  copy(from: DeviceBuffer, fromByte: number, to: DeviceBuffer, toByte: number, bytes: number): void;
  /** Encodes launches once; compiles what they need, in parallel where the API can. */
  build(launches: readonly PlacedLaunch[]): Promise<Executable>;
  /** Resolves when all submitted work is done. */
  synchronize(): Promise<void>;
  /** Whether `dispose` was called: nothing can be done with it any more. */
  readonly disposed: boolean;
  dispose(): void;
  [Symbol.dispose](): void;
}
