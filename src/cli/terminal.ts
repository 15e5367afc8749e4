/** What commands write, and where: lines, tables, a bar on a terminal. */
import type { Table } from 'cli-table3';
import { importPackage } from '../data/node.ts';
import type { TextTable } from '../train/tables.ts';
import { exitCodes } from './exit.ts';

/** The streams of a command; tests bring their own. */
export interface Terminal {
  /** Results. */
  out(text: string): void;
  /** Progress, warnings, errors. */
  err(text: string): void;
  /** Whether a person watches `err`. */
  readonly watched: boolean;
}

export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  watched: process.stderr.isTTY === true,
};

/** A reader that goes away (`| head`, a terminal that is closed) is no error of ours, and no reason to drop a run: the command goes on unheard. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!['EPIPE', 'EIO', 'ERR_STREAM_DESTROYED'].includes(error.code ?? '')) process.exit(exitCodes.failed);
    });
  }
}

/** What a first signal is answered by. */
export const sayStopping = (): void => void process.stderr.write('\nfinishing what is under way; once more stops at once\n');

/** A table with a head. */
export async function renderTable({ head, rows }: TextTable): Promise<string> {
  const { default: CliTable } = await importPackage<{ default: new (options: object) => Table }>('cli-table3', 'a table');
  const table = new CliTable({ head: [...head], style: { head: [], border: [] } });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

/** 1:02:03, 2:03. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((p, i) => (i === 0 ? String(p) : String(p).padStart(2, '0'))).join(':');
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Milliseconds between lines about one thing where nobody watches: a log says that the work goes on. */
const LINE_EVERY = 60_000;

/** One bar at a time, on a terminal; elsewhere a line now and then. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #every: number;
  #bar: import('cli-progress').SingleBar | undefined;
  #what: string | undefined;
  #begun = { at: 0, done: 0 };
  #line = 0;

  /** @param every milliseconds between lines where nobody watches */
  constructor(terminal: Terminal, every = LINE_EVERY) {
    this.#terminal = terminal;
    this.#every = every;
  }

  /**
   * Shows how far something has come; another `what` begins another bar.
   *
   * @param note default: how many a second since the bar began, and the time left at that rate
   */
  async show(what: string, done: number, total: number, note?: string): Promise<void> {
    const now = performance.now();
    const begins = this.#what !== what;
    if (begins) {
      this.clear();
      this.#what = what;
      this.#begun = { at: now, done };
      this.#line = now;
    }
    if (!this.#terminal.watched) {
      if (now - this.#line < this.#every || done >= total) return;
      this.#line = now;
      this.#terminal.err(`${what}: ${done}/${total}${note ?? this.#estimate(done, total)}\n`);
      return;
    }
    if (begins) {
      const { default: bars } = await importPackage<{ default: typeof import('cli-progress') }>('cli-progress', 'a progress bar');
      if (this.#what !== what) return;
      this.#bar = new bars.SingleBar({
        format: '{what} [{bar}] {value}/{total}{note}', barsize: 28, hideCursor: true, clearOnComplete: true, stream: process.stderr,
        fps: 8, gracefulExit: false,
      }, bars.Presets.shades_classic);
      this.#bar.start(total, done, { what, note: note ?? '' });
    }
    this.#bar?.update(done, { what, note: note ?? this.#estimate(done, total) });
  }

  #estimate(done: number, total: number): string {
    const rate = (done - this.#begun.done) / (performance.now() - this.#begun.at) * 1000;
    return rate > 0 ? ` | ${rate.toFixed(1)}/s | ${clock((total - done) / rate)} left` : '';
  }

  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
    this.#what = undefined;
  }
}
