/**
 * Whether all of the processor's cores are there. On shared machines two processors may be two threads of one core at one moment and two
 * cores at the next, and other processes come and go: what runs on all threads then takes twice as long, what runs on one does not, and a
 * ratio of the two says nothing of either. So a short burst of multiply-adds on one thread and on all of them stands before and after each
 * turn of a contest on the cpu.
 */
import type { Placed } from '../device/types.ts';
import { ALONE, PIECES } from './probes.ts';
import { openCpu } from './targets.ts';

export interface Gate {
  /** Waits a while for the moment at which all cores are there; false where it does not come. */
  opens(): Promise<boolean>;
  /** Whether all cores are there now. */
  free(): Promise<boolean>;
  dispose(): void;
}

/** Rounds of probeMultiplyAdd in a burst: about a millisecond. */
const ROUNDS = 25_000;
/** Bursts on one thread when the gate is made: the fastest of them is what a core can do. */
const FIRST_LOOKS = 60;
/** Looks that `opens` takes, and milliseconds between them: threads of the burst have gone to sleep when it returns. */
const LOOKS = 150;
const PAUSE_MS = 2;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A burst of multiply-adds, that can be measured again and again. */
export interface Burst {
  /** Multiply-adds a millisecond, of no particular unit. */
  speed(): Promise<number>;
  dispose(): void;
}

async function burst(threads: number, relaxed: boolean): Promise<Burst> {
  const { device, close } = await openCpu(threads, relaxed);
  const tiles = threads * PIECES;
  const operands = device.allocate(128, 'gate');
  const sums = device.allocate(16 * tiles, 'gate');
  device.write(operands, 0, new Float32Array(32).fill(0.5));
  const place = (buffer: Placed['buffer']): { address: Placed } => {
    const channels = buffer.bytes / 4;
    return { address: { shape: [channels], dtype: 'float32', buffer, offset: 0, rows: 1, channels, stride: channels } };
  };
  const args = [ROUNDS, place(sums), place(operands)];
  const executable = await device.build([{ launch: { kernel: 'probeMultiplyAdd', tiles, args }, node: 'gate', flop: 0 }]);
  return {
    async speed() {
      const start = performance.now();
      await executable.run();
      await device.synchronize();
      return tiles / (performance.now() - start);
    },
    dispose() {
      for (const one of [executable, operands, sums]) one.dispose();
      close();
    },
  };
}

/** A gate for contests on `threads` threads of the cpu. */
export async function coreGate(threads: number, relaxed: boolean): Promise<Gate> {
  return gateOf(await burst(1, relaxed), await burst(threads, relaxed), threads);
}

/** A gate by bursts on one thread and on all. */
export async function gateOf(one: Burst, all: Burst, threads: number): Promise<Gate> {
  let single = 0;
  for (let i = 0; i < FIRST_LOOKS; i++) single = Math.max(single, await one.speed());
  const look = async (): Promise<boolean> => {
    single = Math.max(single, await one.speed());
    const speed = await all.speed();
    await pause(PAUSE_MS);
    return speed >= ALONE * threads * single;
  };
  return {
    free: look,
    async opens() {
      for (let i = 0; i < LOOKS; i++) if (await look()) return true;
      return false;
    },
    dispose() {
      one.dispose();
      all.dispose();
    },
  };
}
