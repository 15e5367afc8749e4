/** How long contestants take, learned as rows are measured: for the time left, and to spare rows that would end over the limit. */
import type { HalfType } from '../device/types.ts';
import type { Entry } from './types.ts';

/** What a row asks of each contestant. */
export interface RowWork {
  /** Name of the op, or `step`. */
  readonly op: string;
  /** Of its operands. */
  readonly half?: HalfType | undefined;
  /** Milliseconds at the roofline. */
  readonly least: number;
  /** Runs, counted or not. */
  readonly runs: number;
  /** How many of them in a row. */
  readonly queued: number;
  /** Seconds that a contestant may take. */
  readonly limit: number;
}

const keyOf = (contestant: string, op: string, half: HalfType | undefined): string => [contestant, op, half].join('|');

export class Paces {
  /** Contestant and op: least times that it took of the roofline's milliseconds. */
  readonly #known = new Map<string, number>();
  /** Seconds of rows beside the runs: inputs, references, pipelines. */
  #beside = { seconds: 0, rows: 0 };

  /** Learns from a row; `seconds` is all that it took. */
  learn({ op, half, least, runs, limit }: RowWork, entries: readonly Entry[], seconds: number): void {
    let running = 0;
    for (const { contestant, milliseconds, absent } of entries) {
      if (milliseconds.length === 0) {
        // Of one over the limit it is known that a run took its share of it or more.
        if (absent?.startsWith('too slow')) this.#note(keyOf(contestant, op, half), limit * 1000 / runs / least);
        continue;
      }
      this.#note(keyOf(contestant, op, half), Math.min(...milliseconds) / least);
      running += milliseconds.reduce((a, b) => a + b, 0) / 1000 * runs / Math.max(1, milliseconds.length);
    }
    this.#beside = { seconds: this.#beside.seconds + Math.max(0, seconds - running), rows: this.#beside.rows + 1 };
  }

  /** Seconds of a run, by the best pace that the contestant had in this op; undefined where it had none. */
  secondsOfRun(contestant: string, { op, half, least }: RowWork): number | undefined {
    const pace = this.#known.get(keyOf(contestant, op, half));
    return pace === undefined ? undefined : pace * least / 1000;
  }

  /** Seconds of a contestant in a row; `guess` is its pace where nothing is known. */
  secondsOfRow(contestant: string, work: RowWork, guess: number): number {
    const once = this.secondsOfRun(contestant, work) ?? guess * work.least / 1000;
    return Math.min(work.limit, once * work.runs);
  }

  /** Seconds that rows take beside the runs, on average. */
  get besides(): number {
    return this.#beside.rows === 0 ? 1 : this.#beside.seconds / this.#beside.rows;
  }

  #note(key: string, pace: number): void {
    this.#known.set(key, Math.min(pace, this.#known.get(key) ?? Infinity));
  }
}
