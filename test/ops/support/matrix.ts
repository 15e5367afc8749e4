/** The matrix op x device x {forward, gradient, fixture}: how much was compared and how close it came. */
import type { Report } from '../../../src/testing/check-op.ts';

interface Cell {
  forward: string;
  gradient: string;
  fixture: string;
}

export class Matrix {
  readonly #cells = new Map<string, Map<string, Cell>>();
  readonly #failedFixtures = new Set<string>();
  readonly #ops: readonly string[];
  readonly #devices: readonly string[];

  constructor(ops: readonly string[], devices: readonly string[]) {
    this.#ops = ops;
    this.#devices = devices;
    for (const op of ops) {
      this.#cells.set(op, new Map(devices.map((d) => [d, { forward: '', gradient: '', fixture: 'none' }])));
    }
  }

  /** In how many comparisons what fraction of the allowed error was the largest. */
  verdict({ checks, worst, failures }: Report): string {
    return failures.length > 0 ? `FAILED ${failures.length}` : `${checks}: ${worst.toFixed(2)}`;
  }

  fill(op: string, device: string, parts: Partial<Cell>): void {
    const cell = this.#cells.get(op)?.get(device);
    if (cell) Object.assign(cell, parts);
  }

  /** Counts a fixture that passed for each op in it. */
  fixture(device: string, ops: ReadonlySet<string>): void {
    for (const op of ops) {
      const cell = this.#cells.get(op)?.get(device);
      if (cell) cell.fixture = String((Number.parseInt(cell.fixture, 10) || 0) + 1);
    }
  }

  failFixture(device: string): void {
    this.#failedFixtures.add(device);
  }

  withoutFixtures(): void {
    for (const row of this.#cells.values()) for (const cell of row.values()) cell.fixture = 'absent';
  }

  blanks(): string[] {
    const list: string[] = [];
    for (const [op, row] of this.#cells) {
      for (const [device, cell] of row) {
        for (const [part, text] of Object.entries(cell)) if (text === '') list.push(`${op}, ${device}, ${part}`);
      }
    }
    return list;
  }

  toString(): string {
    const parts = ['forward', 'gradient', 'fixture'] as const;
    const header = ['op', ...this.#devices.flatMap((d) => parts.map((p) => `${d} ${p}`))];
    const rows = this.#ops.map((op) => [op, ...this.#devices.flatMap((d) => parts.map((p) => this.#cells.get(op)!.get(d)![p]))]);
    const widths = header.map((_, i) => Math.max(...[header, ...rows].map((r) => r[i].length)));
    const lines = [header, ...rows].map((r) => r.map((text, i) => text.padEnd(widths[i])).join('  ').trimEnd());
    const failed = [...this.#failedFixtures].map((d) => `some fixtures failed on ${d}`);
    return [
      'N: x = N comparisons, the largest error x times the one allowed; fixture = MXNet fixtures passed that the op takes part in',
      ...lines,
      ...failed,
    ].join('\n');
  }
}
