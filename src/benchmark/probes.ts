/** The limits of a device, from probe kernels that are launched as all others are: kernels/wasm/probe.ts, shaders/probe_*.wgsl, kernels/cuda/probe_*.cu. */
import { at, f32, linearGrid as cudaGrid } from '../device/cuda/launch.ts';
import type { CpuLaunch, CudaLaunch, Device, DeviceBuffer, Launch, Placed, WebgpuLaunch } from '../device/types.ts';
import { linearGrid, read, write } from '../device/webgpu/launch.ts';
import { BenchmarkError } from '../errors.ts';
import { timed } from './contest.ts';
import type { Probe } from './types.ts';

export interface ProbeOptions {
  /** Runs of each probe; the fastest counts, since a limit is what was reached once. */
  readonly runs: number;
  /** Of each array that is streamed: larger than any cache, as far as bindings go. */
  readonly streamBytes: number;
  /** GHz of the processor on which a software adapter computes, from the cpu device's probe. */
  readonly processor?: { readonly clock: number; readonly threads: number };
  /** GHz of the fastest clock that was seen so far, by fewer threads. */
  readonly fastest?: number;
  /** GFLOP/s of one of the processor's threads. */
  readonly single?: number;
  /** A GPU: its clock rises while it works, and a launch is over in less time than the wait for it takes. */
  readonly hardware?: boolean;
  /** GFLOP/s of the vendor's own product of matrices in this run, which a peak must reach nearly. */
  readonly vendor?: number | undefined;
}

/** On a GPU: launches of a probe in a row, and seconds that it works before it is measured. */
const ROW = 16;
/** Seconds for which the cpu's peak is looked for while something else has some of its cores. */
const PATIENCE_SECONDS = 8;
const RISE_SECONDS = 0.3;

interface Kernel {
  readonly what: string;
  readonly unit: Probe['unit'];
  readonly launch: Launch;
  /** Operations, bytes or cycles of one run, in units of 1e9. */
  readonly work: number;
  /** What must lie there after it: a probe that did nothing would be fast. */
  readonly leaves: readonly Left[];
}

interface Left {
  readonly buffer: DeviceBuffer;
  readonly byte: number;
  readonly expected: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  /** Relative error of the sums' rounding; exact where absent. */
  readonly within?: number;
}

/** Memory of the probes. */
interface Memory {
  /** The streams' source. `periodic` gives its values. */
  readonly from: Placed;
  readonly to: Placed;
  /** The multiply-adds' operands, then a region of REGION bytes for each probe's results. */
  readonly out: Placed;
  readonly bytes: number;
}

/** Pieces that each thread gets: enough that one which wakes late does not decide. */
export const PIECES = 16;

/** Bytes of a probe's results: a float for each of the shader's threads. */
const REGION = 1 << 18;
const REGIONS = { clock: 1, multiplyAdd: 2, read: 3 } as const;

/**
 * Values of the stream's source. They repeat after a workgroup of the shader, so that what its threads sum is the same in all of them; and
 * after a prime number on the cpu, so that bits which are laid one over the other do not cancel.
 */
const PERIOD = { cpu: 4099, gpu: 4096 } as const;
const periodic = (i: number, kind: keyof typeof PERIOD): number => 1 + i % PERIOD[kind];

function repeated(length: number, kind: keyof typeof PERIOD): Float32Array<ArrayBuffer> {
  const values = Float32Array.from({ length: Math.min(length, PERIOD[kind]) }, (_, i) => periodic(i, kind));
  const all = new Float32Array(length);
  for (let at = 0; at < length; at += values.length) all.set(values.subarray(0, length - at), at);
  return all;
}

/** Operands of the cpu's multiply-adds: four rows', then two columns' values, a vector each. */
const operands = Float32Array.from({ length: 24 }, (_, i) => 1 / (1 + i));

/**
 * Measures a device. The clock, and so the share of what it could do at most, is known where the probe runs on the processor itself.
 *
 * @throws BenchmarkError where a probe computes something else than it should
 */
export async function probe(device: Device, threads: number, options: ProbeOptions): Promise<Probe[]> {
  const bytes = Math.min(options.streamBytes, Math.floor(device.memory.maxBuffer / 2)) & ~0xfffff;
  const held = [device.allocate(bytes, 'probe'), device.allocate(bytes, 'probe'), device.allocate(4 * REGION, 'probe')];
  const [from, to, out] = held.map((buffer): Placed =>
    ({ shape: [buffer.bytes / 4], dtype: 'float32', buffer, offset: 0, rows: 1, channels: buffer.bytes / 4, stride: buffer.bytes / 4 }));
  // Memory is there only when it was written: a page that never was is read from one that is all zeros.
  const source = repeated(bytes / 4, device.kind === 'cpu' ? 'cpu' : 'gpu');
  device.write(from.buffer, 0, source);
  device.write(to.buffer, 0, new Float32Array(bytes / 4).fill(-1));
  device.write(out.buffer, 0, new Float32Array(out.buffer.bytes / 4).fill(-1));
  device.write(out.buffer, 0, operands);
  try {
    const memory: Memory = { from, to, out, bytes };
    const kernels = device.kind === 'cpu' ? cpuKernels(device, threads, memory, source) : gpuKernels(device.kind, memory, source, options.hardware === true);
    const inRow = options.hardware ? ROW : 1;
    const probes: Probe[] = [];
    for (const { what, unit, launch, work, leaves } of kernels) {
      const executable = await device.build(Array.from({ length: inRow }, () => ({ launch, node: `probe ${what}`, flop: 0 })));
      const run = (times: number): Promise<number[]> => timed(times, () => executable.run(), 1, () => device.synchronize());
      const until = performance.now() + 1000 * (options.hardware ? RISE_SECONDS : 0);
      do await run(2); while (performance.now() < until);
      const milliseconds = await run(options.runs);
      const reached = (): number => inRow * work / (Math.min(...milliseconds) / 1000);
      if (what === 'multiply-add' && device.kind === 'cpu' && options.single !== undefined) {
        const last = performance.now() + 1000 * PATIENCE_SECONDS;
        while (reached() < ALONE * threads * options.single && performance.now() < last) milliseconds.push(...await run(options.runs));
      }
      executable.dispose();
      for (const left of leaves) await verify(device, what, left);
      probes.push({ device: device.name, what, unit, value: reached(), milliseconds });
    }
    return judge(device, threads, probes, options);
  } finally {
    for (const buffer of held) buffer.dispose();
  }
}

function cpuKernels(device: Device, threads: number, { from, to, out, bytes }: Memory, source: Float32Array<ArrayBuffer>): Kernel[] {
  const tiles = threads * PIECES;
  const rounds = 200_000;
  const fused = device.fingerprint.relaxedSimd === true;
  const cut = Math.floor(bytes / tiles / 128) * 128;
  const region = (place: number): { address: Placed } => ({ address: { ...out, offset: place * REGION / 4 } });
  const left = (place: number, lanes: (tile: number) => Int32Array | Float32Array): Left[] => [0, tiles - 1].map((tile) => {
    const expected = lanes(tile);
    return { buffer: out.buffer, byte: place * REGION + 16 * tile, expected: expected as Left['expected'] };
  });
  const kernel = (what: string, unit: Probe['unit'], work: number, name: string, args: CpuLaunch['args'], leaves: readonly Left[]): Kernel =>
    ({ what, unit, work: work / 1e9, launch: { kernel: name, tiles, args }, leaves });
  const [y, z, half] = [0x9e3779b9, 0x5bd1e995, 0x3f000000];
  const written = { buffer: to.buffer, expected: new Float32Array(1024).fill(0.5) };
  return [
    kernel('clock', 'GHz', rounds * 16 * PIECES, 'probeClock', [rounds, region(REGIONS.clock), y, z],
      left(REGIONS.clock, (tile) => Int32Array.of(chain(tile, y, z, 8 * rounds)))),
    kernel('multiply-add', 'GFLOP/s', rounds * (fused ? 96 : 64) * tiles, 'probeMultiplyAdd', [rounds, region(REGIONS.multiplyAdd), { address: out }],
      // A sum of so many positive terms in float32 errs by its length times half an epsilon at most.
      left(REGIONS.multiplyAdd, () => sumsOf(rounds, fused)).map((l) => ({ ...l, within: (rounds + 16) * 2 ** -24 }))),
    kernel('read', 'GB/s', cut * tiles, 'probeRead', [{ address: from }, region(REGIONS.read), cut],
      left(REGIONS.read, (tile) => xorOf(source, tile * cut / 4, cut / 4))),
    kernel('write', 'GB/s', cut * tiles, 'probeWrite', [{ address: to }, half, cut],
      [{ ...written, byte: 0 }, { ...written, byte: cut * tiles - 4096 }]),
    kernel('copy', 'GB/s', 2 * cut * tiles, 'probeCopy', [{ address: from }, { address: to }, cut], copied(to, source, cut * tiles)),
  ];
}

/** The chain of probeClock. */
function chain(x: number, y: number, z: number, times: number): number {
  for (let i = 0; i < times; i++) x = ((x + y) | 0) ^ z;
  return x;
}

/** What probeMultiplyAdd adds up, lane by lane. */
function sumsOf(rounds: number, fused: boolean): Float32Array {
  return Float32Array.from({ length: 4 }, (_, lane) => {
    const [p, q, r, s, x, y] = [0, 1, 2, 3, 4, 5].map((vector) => operands[4 * vector + lane]);
    return rounds * (fused ? 12 * p * x : (p + q + r + s) * (x + y));
  });
}

/** What probeRead leaves of a part: its vectors' bits, one over the other. */
function xorOf(source: Float32Array<ArrayBuffer>, start: number, length: number): Int32Array {
  const bits = new Int32Array(source.buffer, source.byteOffset + 4 * start, length);
  const out = new Int32Array(4);
  for (let i = 0; i < length; i++) out[i & 3] ^= bits[i];
  return out;
}

/** The first and the last of what was copied. */
function copied({ buffer }: Placed, source: Float32Array<ArrayBuffer>, bytes: number): Left[] {
  return [0, bytes - 4096].map((byte) => ({ buffer, byte, expected: source.slice(byte / 4, byte / 4 + 1024) }));
}

/** Vectors that a workgroup of probe_stream has, and its threads. */
const STREAM = { vectors: 1024, threads: 64 } as const;

/** The launch of a probe: it streams from one value to another, or multiplies and adds into one. */
interface GpuProbes {
  stream(from: Placed, to: Placed, vectors: number, reads: number, writes: number): Launch;
  multiplyAdd(out: Placed, rounds: number, threads: number): Launch;
}

/** The kernels that measure a GPU's limits. */
export const gpuProbes: Readonly<Record<Exclude<Device['kind'], 'cpu'>, GpuProbes>> = {
  webgpu: {
    stream: (from, to, vectors, reads, writes): WebgpuLaunch => ({
      shader: 'probe_stream', replace: { READ: reads, WRITE: writes }, uniforms: [vectors], bindings: [read(from), write(to)],
      grid: linearGrid(vectors, STREAM.vectors),
    }),
    multiplyAdd: (out, rounds, threads): WebgpuLaunch => ({
      shader: 'probe_multiply_add', uniforms: [rounds, { f32: 1 }, { f32: 1 }], bindings: [write(out)], grid: linearGrid(threads),
    }),
  },
  cuda: {
    stream: (from, to, vectors, reads, writes): CudaLaunch => ({
      kernel: 'probe_stream', define: { READ: reads, WRITE: writes }, args: [at(from), at(to), vectors], grid: cudaGrid(vectors, STREAM.vectors),
      block: STREAM.threads,
    }),
    multiplyAdd: (out, rounds, threads): CudaLaunch => ({
      kernel: 'probe_multiply_add', args: [at(out), rounds, f32(1), f32(1)], grid: cudaGrid(threads, STREAM.threads), block: STREAM.threads,
    }),
  },
};

function gpuKernels(kind: keyof typeof gpuProbes, { from, to, out, bytes }: Memory, source: Float32Array<ArrayBuffer>, hardware: boolean): Kernel[] {
  const rounds = hardware ? 32768 : 4096;
  const threads = REGION / 4;
  const vectors = bytes / 16;
  const region = (place: number): Placed => ({ ...out, offset: place * REGION / 4, channels: REGION / 4, stride: REGION / 4, shape: [REGION / 4] });
  const stream = (what: string, reads: number, writes: number, leaves: readonly Left[]): Kernel => ({
    what, unit: 'GB/s', work: (reads + writes) * bytes / 1e9, leaves,
    launch: gpuProbes[kind].stream(from, writes ? to : region(REGIONS.read), vectors, reads, writes),
  });
  const lane = (i: number): number => (i >> 2) % STREAM.threads;
  const written = { buffer: to.buffer, expected: Float32Array.from({ length: 1024 }, (_, i) => lane(i)) };
  /** A thread's index, and its vectors' sum: all are whole numbers that float32 has. */
  const summed = Float32Array.from({ length: 4 * STREAM.threads }, (_, i) => {
    let sum = lane(i);
    for (let v = 0; v < STREAM.vectors; v += STREAM.threads) sum += periodic(4 * v + i, 'gpu');
    return sum;
  });
  return [
    {
      what: 'multiply-add', unit: 'GFLOP/s', work: rounds * 96 * threads / 1e9,
      launch: gpuProbes[kind].multiplyAdd(region(REGIONS.multiplyAdd), rounds, threads),
      // Multiplied by one, plus one: whole numbers again.
      leaves: [{
        buffer: out.buffer, byte: REGIONS.multiplyAdd * REGION, expected: Float32Array.from({ length: threads }, (_, i) => 12 * (i + 4 * rounds) + 66),
      }],
    },
    stream('read', 1, 0, [{ buffer: out.buffer, byte: REGIONS.read * REGION, expected: summed }]),
    stream('write', 0, 1, [{ ...written, byte: 0 }, { ...written, byte: bytes - 4096 }]),
    stream('copy', 1, 1, copied(to, source, bytes)),
  ];
}

async function verify(device: Device, what: string, { buffer, byte, expected, within = 0 }: Left): Promise<void> {
  const bytes = await device.read(buffer, byte, expected.byteLength);
  const got = expected instanceof Int32Array ? new Int32Array(bytes.buffer, bytes.byteOffset, expected.length)
    : new Float32Array(bytes.buffer, bytes.byteOffset, expected.length);
  const wrong = expected.findIndex((want, i) => !(Math.abs(got[i] - want) <= within * Math.abs(want)));
  if (wrong >= 0) throw new BenchmarkError(`${device.name}: the ${what} probe left ${got[wrong]} where it should have left ${expected[wrong]}`);
}

/** Multiply-adds of one unit are two operations. */
const FLOP_PER_LANE = 2;
/** What x86 cores since 2013 and Arm's large ones have: two units for multiplications, fused or not. */
const UNITS = 2;
const WASM_LANES = 4;
/** Many cores run slower than one, but not by more than this: else something else had them, and no share of such a clock tells. */
export const ALONE = 0.75;

function judge(device: Device, threads: number, probes: readonly Probe[], { processor, fastest = 0, vendor }: ProbeOptions): Probe[] {
  const clock = probes.find((p) => p.what === 'clock')?.value ?? processor?.clock;
  const bits = /(\d+)[- ]bits/.exec(JSON.stringify(device.fingerprint));
  const lanes = device.kind === 'cpu' ? WASM_LANES : bits && processor ? Number(bits[1]) / 32 : undefined;
  const cores = device.kind === 'cpu' ? threads : processor?.threads;
  return probes.map((p) => {
    if (p.what !== 'multiply-add') return p;
    if (vendor !== undefined) {
      return { ...p, share: p.value / vendor, counts: p.value >= 0.9 * vendor, note: `of the vendor's own product of matrices, ${Math.round(vendor)} GFLOP/s` };
    }
    if (clock === undefined || lanes === undefined || cores === undefined) {
      return { ...p, note: 'GPUs tell neither clock nor lanes: the figure is what was reached, not a proven limit' };
    }
    const fused = device.kind !== 'cpu' || device.fingerprint.relaxedSimd === true;
    const share = p.value / (clock * lanes * UNITS * FLOP_PER_LANE * cores);
    const units = fused ? `${UNITS} multiply-add units` : `${UNITS} units for multiplication and ${UNITS} for addition`;
    const note = `of ${clock.toFixed(2)} GHz (dependent integer operations, one a cycle) x ${lanes} lanes x ${units} x ${cores} cores`;
    if (clock < ALONE * fastest) return { ...p, share, counts: false, note: `${note}; one thread had ${fastest.toFixed(2)} GHz: the cores were not free` };
    return { ...p, share, counts: share >= 0.9, note };
  });
}
