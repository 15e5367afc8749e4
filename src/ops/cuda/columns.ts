/**
 * How blocks lie over rows of channels: 256 threads as `lanes` neighbours along the channels, `width` channels each, by `groups` rows.
 * All of it follows from lengths alone, never from where values lie, and with it the order in which sums are added.
 */
export interface Columns {
  /** Channels of a thread: 4 where they divide by it. */
  readonly width: 1 | 4;
  readonly lanes: number;
  readonly groups: number;
  /** Blocks next to each other that cover the channels. */
  readonly blocks: number;
}

/** Most runs that rows are cut into: enough for all processors, few enough to add up in one block. */
const MAX_RUNS = 1024;

/** Rows of a run for each thread, at least. */
const ROWS = 16;

const THREADS = 256;

/** Lanes for `columns` vectors: 32, or fewer, down to 8 (128 bytes next to each other), where that leaves fewer of them idle. */
function lanesOf(columns: number): number {
  if (columns < 8) return 2 ** Math.ceil(Math.log2(Math.max(1, columns)));
  const covered = (lanes: number): number => Math.ceil(columns / lanes) * lanes;
  return [32, 16, 8].reduce((best, lanes) => (covered(lanes) < covered(best) ? lanes : best));
}

/** The blocks for so many channels; `width` where it is not for these alone to say. */
export function columnsOf(channels: number, width: 1 | 4 = channels % 4 === 0 ? 4 : 1): Columns {
  const columns = channels / width;
  const lanes = lanesOf(columns);
  return { width, lanes, groups: THREADS / lanes, blocks: Math.max(1, Math.ceil(columns / lanes)) };
}

/** How `rows` are cut into runs that blocks add up on their own: `run` rows each, the last maybe fewer. */
export function runsOf(rows: number, { groups, blocks }: Columns): { readonly run: number; readonly runs: number } {
  const most = Math.min(MAX_RUNS, Math.max(1, Math.floor(4 * MAX_RUNS / blocks)));
  const run = Math.max(1, Math.ceil(rows / Math.min(most, Math.max(1, Math.ceil(rows / (groups * ROWS))))));
  return { run, runs: Math.max(1, Math.ceil(rows / run)) };
}
