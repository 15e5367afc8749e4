/** The register tile of products alone, on as many multiply-adds as a product has: what it could reach if nothing had to be packed or fetched. */
import type { Device, Placed } from '../device/types.ts';
import { BenchmarkError } from '../errors.ts';
import { timed } from './contest.ts';
import { PIECES } from './probes.ts';
import type { Contestant } from './types.ts';

/** FLOP of a round of probeProduct, kernels/wasm/probe.ts: 4 rows, 8 columns, 256 terms. */
const ROUND = 2 * 4 * 8 * 256;
/** What each of its sums is. */
const SUM = 32;

export const microKernelName = (contestant: string): string => contestant.replace('fovea', 'micro-kernel');

/**
 * Takes turns with products of matrices on the cpu device, so that other work on the machine meets both alike.
 *
 * @param flop of the product: rounded to whole rounds, its time is in proportion
 */
export async function microKernelContestant(name: string, device: Device, threads: number, flop: number): Promise<Contestant> {
  const tiles = threads * PIECES;
  const rounds = Math.max(1, Math.round(flop / ROUND / tiles));
  const buffer = device.allocate(16 * tiles, 'benchmark');
  const out: Placed = { shape: [4 * tiles], dtype: 'float32', buffer, offset: 0, rows: 1, channels: 4 * tiles, stride: 4 * tiles };
  const executable = await device.build([{ launch: { kernel: 'probeProduct', tiles, args: [rounds, { address: out }] }, node: name, flop }]);
  const share = flop / (rounds * ROUND * tiles);
  return {
    name,
    yardstick: true,
    async run(times) {
      const milliseconds = await timed(times, async () => {
        await executable.run();
        await device.synchronize();
      });
      return milliseconds.map((ms) => ms * share);
    },
    async result() {
      const got = new Float32Array((await device.read(buffer, 0, buffer.bytes)).slice().buffer);
      if (got.some((v) => v !== SUM)) throw new BenchmarkError(`${name}: its sums should be ${SUM}, they are ${[...new Set(got)].slice(0, 3).join(', ')}`);
      return [got];
    },
    dispose() {
      executable.dispose();
      buffer.dispose();
    },
  };
}
