/** The limits of a device, from probe kernels that are launched as all others are: kernels/wasm/probe.ts, shaders/probe_*.wgsl. */
import type { CpuLaunch, Device, Launch, Placed, WebgpuLaunch } from '../device/types.ts';
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
}

interface Kernel {
  readonly what: string;
  readonly unit: Probe['unit'];
  readonly launch: Launch;
  /** Operations, bytes or cycles of one run, in units of 1e9. */
  readonly work: number;
}

/** Pieces that each thread gets: enough that one which wakes late does not decide. */
const PIECES = 16;

/**
 * Measures a device. The clock, and so the share of what it could do at most, is known where the probe runs on the processor itself.
 *
 * @throws BenchmarkError where a probe computes something else than it should
 */
export async function probe(device: Device, threads: number, options: ProbeOptions): Promise<Probe[]> {
  const bytes = Math.min(options.streamBytes, Math.floor(device.memory.maxBuffer / 2)) & ~0xfffff;
  const held = [device.allocate(bytes, 'probe'), device.allocate(bytes, 'probe'), device.allocate(1 << 20, 'probe')];
  const [from, to, out] = held.map((buffer): Placed =>
    ({ shape: [buffer.bytes / 4], dtype: 'float32', buffer, offset: 0, rows: 1, channels: buffer.bytes / 4, stride: buffer.bytes / 4 }));
  // Memory is there only when it was written: a page that never was is read from one that is all zeros.
  device.write(from.buffer, 0, new Float32Array(bytes / 4).fill(1));
  device.write(to.buffer, 0, new Float32Array(bytes / 4).fill(1));
  device.write(out.buffer, 0, Float32Array.from({ length: 24 }, (_, i) => 1 / (1 + i)));
  try {
    const kernels = device.kind === 'cpu' ? cpuKernels(device, threads, bytes, from, to, out) : webgpuKernels(bytes, from, to, out);
    const probes: Probe[] = [];
    for (const { what, unit, launch, work } of kernels) {
      const executable = await device.build([{ launch, node: `probe ${what}`, flop: 0 }]);
      const run = (times: number): Promise<number[]> => timed(times, async () => {
        await executable.run();
        await device.synchronize();
      });
      await run(2);
      const milliseconds = await run(options.runs);
      probes.push({ device: device.name, what, unit, value: work / (Math.min(...milliseconds) / 1000), milliseconds });
      executable.dispose();
    }
    await verify(device, to, out);
    return judge(device, threads, probes, options);
  } finally {
    for (const buffer of held) buffer.dispose();
  }
}

function cpuKernels(device: Device, threads: number, bytes: number, from: Placed, to: Placed, out: Placed): Kernel[] {
  const tiles = threads * PIECES;
  const rounds = 200_000;
  const flop = device.fingerprint.relaxedSimd === true ? 96 : 64;
  const cut = Math.floor(bytes / tiles / 128) * 128;
  const at = (v: Placed, offset: number): Placed => ({ ...v, offset });
  const kernel = (what: string, unit: Probe['unit'], work: number, name: string, args: CpuLaunch['args']): Kernel =>
    ({ what, unit, work: work / 1e9, launch: { kernel: name, tiles, args } });
  const results = { address: at(out, 1024) };
  return [
    kernel('clock', 'GHz', rounds * 16 * PIECES, 'probeClock', [rounds, results, 0x9e3779b9, 0x5bd1e995]),
    kernel('multiply-add', 'GFLOP/s', rounds * flop * tiles, 'probeMultiplyAdd', [rounds, results, { address: out }]),
    kernel('read', 'GB/s', cut * tiles, 'probeRead', [{ address: from }, results, cut]),
    kernel('write', 'GB/s', cut * tiles, 'probeWrite', [{ address: to }, 0, cut]),
    kernel('copy', 'GB/s', 2 * cut * tiles, 'probeCopy', [{ address: from }, { address: to }, cut]),
  ];
}

function webgpuKernels(bytes: number, from: Placed, to: Placed, out: Placed): Kernel[] {
  const rounds = 4096;
  const threads = 1 << 16;
  const vectors = bytes / 16;
  const stream = (what: string, reads: number, writes: number): Kernel => ({
    what, unit: 'GB/s', work: (reads + writes) * bytes / 1e9,
    launch: {
      shader: 'probe_stream', replace: { READ: reads, WRITE: writes }, uniforms: [vectors], bindings: [read(from), write(writes ? to : out)],
      grid: linearGrid(vectors, 1024),
    } satisfies WebgpuLaunch,
  });
  return [
    {
      what: 'multiply-add', unit: 'GFLOP/s', work: rounds * 96 * threads / 1e9,
      launch: {
        shader: 'probe_multiply_add',uniforms: [rounds, { f32: 0.5 }, { f32: 0.25 }], bindings: [write(out)], grid: linearGrid(threads),
      } satisfies WebgpuLaunch,
    },
    stream('read', 1, 0), stream('write', 0, 1), stream('copy', 1, 1),
  ];
}

/** A probe that did nothing would be fast: the copy has copied, and the multiply-adds have left a number. */
async function verify(device: Device, to: Placed, out: Placed): Promise<void> {
  const copied = new Float32Array((await device.read(to.buffer, to.buffer.bytes >> 1, 64)).buffer);
  if (copied.some((x) => x !== 1)) throw new BenchmarkError(`${device.name}: the copy probe left ${copied[0]} where it should have copied 1`);
  const [computed] = new Float32Array((await device.read(out.buffer, 4096, 4)).buffer);
  if (!Number.isFinite(computed)) throw new BenchmarkError(`${device.name}: the multiply-add probe left ${computed}`);
}

/** Multiply-adds of one unit are two operations. */
const FLOP_PER_LANE = 2;
/** What x86 cores since 2013 and Arm's large ones have: two units for multiplications, fused or not. */
const UNITS = 2;
const WASM_LANES = 4;

function judge(device: Device, threads: number, probes: readonly Probe[], { processor }: ProbeOptions): Probe[] {
  const clock = probes.find((p) => p.what === 'clock')?.value ?? processor?.clock;
  const bits = /(\d+)[- ]bits/.exec(JSON.stringify(device.fingerprint));
  const lanes = device.kind === 'cpu' ? WASM_LANES : bits && processor ? Number(bits[1]) / 32 : undefined;
  const cores = device.kind === 'cpu' ? threads : processor?.threads;
  return probes.map((p) => {
    if (p.what !== 'multiply-add') return p;
    if (clock === undefined || lanes === undefined || cores === undefined) {
      return { ...p, note: 'WebGPU tells neither clock nor lanes: the figure is what was reached, not a proven limit' };
    }
    const fused = device.kind !== 'cpu' || device.fingerprint.relaxedSimd === true;
    const share = p.value / (clock * lanes * UNITS * FLOP_PER_LANE * cores);
    const units = fused ? `${UNITS} multiply-add units` : `${UNITS} units for multiplication and ${UNITS} for addition`;
    const note = `of ${clock.toFixed(2)} GHz (dependent integer operations, one a cycle) x ${lanes} lanes x ${units} x ${cores} cores`;
    return { ...p, share, counts: share >= 0.9, note };
  });
}
