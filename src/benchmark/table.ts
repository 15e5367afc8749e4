/** A report as tables of text. */
import type { TextTable } from '../train/tables.ts';
import type { Change } from './compare.ts';
import { goalsOf } from './goals.ts';
import { operandHalf } from './problems.ts';
import { geometricMean, median, spread } from './statistics.ts';
import type { Entry, Report, Row } from './types.ts';

/** Three digits or more, without exponents. */
export const short = (x: number): string => (!Number.isFinite(x) ? '-' : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
const percent = (x: number | undefined): string => (x === undefined || !Number.isFinite(x) ? '-' : `${(100 * x).toFixed(0)} %`);
const bytes = (n: number): string => (n >= 1e9 ? `${(n / 1e9).toFixed(2)} GB` : `${(n / 1e6).toFixed(0)} MB`);

/** Limits of the devices, and whether they may stand for the machine's. */
export function probeTable({ probes }: Pick<Report, 'probes'>): TextTable {
  return {
    head: ['device', 'probe', 'fastest', 'of clock x lanes', 'counts'],
    rows: probes.map((p) => [
      p.device, p.what, `${short(p.value)} ${p.unit}`, p.share === undefined ? '-' : p.share.toFixed(2),
      p.counts === undefined ? (p.note === undefined ? '-' : 'unproven') : p.counts ? 'yes' : (p.share ?? 0) < 0.9 ? 'no, below 0.9' : 'no',
    ]),
  };
}

/** What the shares of `probeTable` assume, a line each. */
export function probeNotes({ probes }: Pick<Report, 'probes'>): string[] {
  return probes.filter((p) => p.note !== undefined).map((p) => `${p.device}, ${p.what}: ${p.note}`);
}

/** Kernels: a line for each contestant of each row. */
export function kernelTable(rows: readonly Row[]): TextTable {
  return {
    head: ['kernel', 'contestant', 'ms', '+-', 'GFLOP/s', 'GB/s', 'attainable', 'ratio'],
    rows: rows.filter((r) => r.group !== 'step').flatMap((row) => row.entries.map((e, i) => kernelLine(row, e, i === 0))),
  };
}

function kernelLine(row: Row, entry: Entry, first: boolean): string[] {
  const name = first ? `${row.device}: ${row.name}` : '';
  if (entry.milliseconds.length === 0) return [name, entry.contestant, outOf(entry), '', '', '', '', ''];
  const ms = median(entry.milliseconds);
  const { flop: own, method } = entry.facts ?? {};
  const speed = row.flop > 0 ? short(row.flop / ms / 1e6) : '-';
  // Minimal filtering does less: its own FLOP stand beside direct convolution's.
  const shown = own === undefined ? speed : `${speed} (${method}: ${short(own / ms / 1e6)})`;
  const reference = row.entries.find((e) => isOurs(e) && e.milliseconds.length > 0);
  return [
    name, entry.contestant, `${short(ms)}${entry.shared ? ' *' : ''}`, percent(spread(entry.milliseconds)), shown, short(row.bytes / ms / 1e6),
    entry.attainable === undefined ? '-' : `${percent(entry.attainable / ms)}${entry.unproven ? ' ?' : ''}`,
    reference === undefined ? '-' : short(ms / median(reference.milliseconds)),
  ];
}

/** What a question mark in `kernelTable` and `summaryTable` and a star in `kernelTable` mean, where there is one. */
export function kernelNotes(rows: readonly Row[]): string[] {
  const any = (of: (entry: Entry) => boolean): boolean => rows.some((r) => r.entries.some(of));
  return [
    ...(any((e) => e.unproven === true) ? [
      '?: of a peak whose probe does not count (no share of clock times lanes is known, or it is below 0.9), or of a bandwidth that a row of '
        + 'this run beats by more than 5 %: no limit of the machine',
    ] : []),
    ...(rows.some((r) => r.clock === 'gpu') ? [
      'cuda: time on the GPU, between events before the first and behind the last of as many runs in a row as take some milliseconds, with as many '
        + "ahead of them. Ours and PyTorch's as CUDA graphs are one graph of all these runs, which waits for no host; eager, PyTorch hands over kernel by "
        + 'kernel, and short ones wait for it',
    ] : []),
    ...(any((e) => e.shared === true) ? ['*: all runs count, since too few had all of the cores: something else ran on the machine'] : []),
  ];
}

/** A row on one line, for those who watch a log. */
export function rowLine({ device, name, entries }: Row): string {
  const times = entries.filter((e) => e.milliseconds.length > 0).map((e) => `${e.contestant} ${short(median(e.milliseconds))} ms`);
  return `${device}: ${name}: ${times.length > 0 ? times.join('; ') : 'nobody'}`;
}

/** Training steps: speed, what JavaScript does for them, and memory. */
export function stepTable(rows: readonly Row[]): TextTable {
  return {
    head: ['training step', 'contestant', 'images/s', 'ms', '+-', 'main thread', 'encoding', 'arena (bound)', 'device peak', 'process'],
    rows: stepEntries(rows).map(([name, row, e]) => {
      if (e.milliseconds.length === 0) return [name, e.contestant, outOf(e), ...Array<string>(7).fill('')];
      const ms = median(e.milliseconds);
      const s = e.facts?.step;
      return [
        name, e.contestant, short((1000 * row.batch!) / ms), short(ms), percent(spread(e.milliseconds)), ...(s === undefined ? Array<string>(5).fill('-') : [
          `${short(s.mainThreadMs)} ms`, s.encodeMs === undefined ? '-' : `${short(s.encodeMs)} ms`,
          `${bytes(s.memory.arena)} (${bytes(s.memory.bound)})`, bytes(s.memory.peak), bytes(s.rss),
        ]),
      ];
    }),
  };
}

/** What must be known to read `stepTable`, a line each; none where there are no steps. */
export function stepNotes({ rows, devices }: Pick<Report, 'rows' | 'devices'>): string[] {
  if (stepEntries(rows).length === 0) return [];
  const notes = new Set(stepEntries(rows).flatMap(([, , { contestant, facts }]) => (facts?.note === undefined ? [] : [`${contestant}: ${facts.note}`])));
  for (const { name, software } of devices) {
    if (software) notes.add(`main thread of ${name}: the driver computes in it; encoding is JavaScript's own part of a step`);
  }
  return [...notes];
}

/** How long training takes to begin: the device, then what a first call does. */
export function startTable(rows: readonly Row[]): TextTable {
  const seconds = (s: number): string => `${s.toFixed(2)} s`;
  return {
    head: ['start', 'contestant', 'device', 'trace, rewrite, plan', 'encode, compile', 'compiled', 'launches', 'first step', 'in all'],
    rows: stepEntries(rows).flatMap(([name, , { contestant, facts }]) => {
      if (facts?.step === undefined) return [];
      const { start: { open, plan, compile, first }, compilations, launches } = facts.step;
      return [[
        name, contestant, seconds(open), seconds(plan), seconds(compile), String(compilations), String(launches), seconds(first),
        seconds(open + plan + compile + first),
      ]];
    }),
  };
}

/** Entries of training steps, with the row's name at the first. */
function stepEntries(rows: readonly Row[]): [name: string, row: Row, entry: Entry][] {
  return rows.filter((r) => r.group === 'step').flatMap((row) => row.entries.map((e, i): [string, Row, Entry] =>
    [i === 0 ? `${row.device}: ${row.name}` : '', row, e]));
}

/** Why an entry has no times. */
const outOf = ({ absent, failed }: Entry): string => (failed === undefined ? absent ?? '-' : 'failed');

/** The goals, met or missed by the figures of the run; what was missed is explained by a limit measured in it, or open. */
export function goalTable(report: Report): TextTable {
  return {
    head: ['goal', 'wanted', 'measured', '', 'rows'],
    rows: goalsOf(report).map((g) => {
      const verdict = g.bound === undefined ? g.verdict : `${g.verdict}, ${g.bound.explained ? 'explained' : 'open'}`;
      return [
        g.what, `${g.atMost ? 'at most' : 'at least'} ${short(g.goal)}`, g.value === undefined ? '-' : short(g.value),
        g.note === undefined ? verdict : `${verdict} (${g.note})`, String(g.rows),
      ];
    }),
  };
}

/** Of each goal that was missed what the run shows of its bound, a line each. Explained is only what the rows' own rooflines forbid. */
export function goalNotes(report: Report): string[] {
  return goalsOf(report).flatMap(({ what, value, bound }) => (bound === undefined ? []
    : [`${bound.explained ? 'explained' : 'open'}: ${what}: ${short(value!)}; ${bound.shows.join('; ') || 'nothing in this run bounds it'}`]));
}

/**
 * For each device and op, how many times as fast each of ours is as each peer, and as its own variants (recomputation): the geometric
 * mean over rows.
 */
export function summaryTable(rows: readonly Row[]): TextTable {
  const lines = new Map<string, { label: string[]; ratios: number[]; attained: number[]; unproven: boolean }>();
  for (const row of rows) {
    const what = row.group === 'step' ? row.name : [row.name.split(' ')[0], operandHalf(row)].filter(Boolean).join(', ');
    for (const ours of row.entries) {
      if (!isOurs(ours) || ours.milliseconds.length === 0 || row.entries.some((e) => isVariant(ours, e))) continue;
      for (const entry of row.entries) {
        if (entry.milliseconds.length === 0 || (entry !== ours && isOurs(entry) && !isVariant(entry, ours))) continue;
        const label = [row.device, what, ours.contestant, entry === ours ? 'its own limit' : entry.contestant];
        const key = label.join('|');
        const line = lines.get(key) ?? { label, ratios: [], attained: [], unproven: false };
        lines.set(key, line);
        line.ratios.push(median(entry.milliseconds) / median(ours.milliseconds));
        if (entry !== ours || entry.attainable === undefined) continue;
        line.attained.push(entry.attainable / median(entry.milliseconds));
        line.unproven ||= entry.unproven === true;
      }
    }
  }
  return {
    head: ['device', 'what', 'ours', 'against', 'times as fast (geometric mean)', 'least', 'rows'],
    rows: [...lines.values()].flatMap(({ label, ratios, attained, unproven }) => {
      const own = label[3] === 'its own limit';
      const values = own ? attained : ratios;
      const shown = (x: number): string => `${short(x)}${own && unproven ? ' ?' : ''}`;
      return values.length === 0 ? [] : [[...label, shown(geometricMean(values)), shown(Math.min(...values)), String(values.length)]];
    }),
  };
}

const isOurs = ({ contestant }: Entry): boolean => contestant.startsWith('fovea');
/** `fovea, 2 threads, recompute` of `fovea, 2 threads`; not TF32, which stands beside others' TF32. */
const isVariant = (one: Entry, of: Entry): boolean =>
  isOurs(of) && one.contestant.startsWith(`${of.contestant}, `) && !one.contestant.slice(of.contestant.length).startsWith(', tf32');

/** What changed, the worst first. */
export function changeTable(changes: readonly Change[]): TextTable {
  return {
    head: ['device', 'row', 'contestant', 'ms before', 'ms after', 'after / before', ''],
    rows: changes.map((c) => [c.device, c.row, c.contestant, short(c.before), short(c.after), c.ratio.toFixed(2), c.verdict]),
  };
}
