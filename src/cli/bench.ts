/** `fovea bench` and `fovea bench compare` */
import type { Command } from 'commander';
import { compareReports, notThere } from '../benchmark/compare.ts';
import { writeCharts } from '../benchmark/charts.ts';
import type { BenchmarkOptions } from '../benchmark/options.ts';
import { parseBenchmarkOptions } from '../benchmark/options.ts';
import { readReport, writeReport } from '../benchmark/report-file.ts';
import { runBenchmark } from '../benchmark/run.ts';
import {
  changeTable, goalNotes, goalTable, kernelNotes, kernelTable, probeNotes, probeTable, rowLine, startTable, stepNotes, stepTable, summaryTable,
} from '../benchmark/table.ts';
import type { Report } from '../benchmark/types.ts';
import { fileReason } from '../data/decode.ts';
import { deviceNames } from '../device/names.ts';
import { BenchmarkError, OptionError } from '../errors.ts';
import { nodeFiles } from '../train/files.ts';
import { asFlag } from '../train/run-options.ts';
import type { TextTable } from '../train/tables.ts';
import type { Context } from './context.ts';
import { interrupted } from './context.ts';
import { outputFile } from './output-file.ts';
import { Progress, clock, renderTable } from './terminal.ts';
import type { Terminal } from './terminal.ts';

export function addBench(program: Command, context: Context): void {
  const bench = program.command('bench')
    .description('Measure kernels and training steps against the limits of the machine, and against other engines where they are installed.')
    .option('--device <names>', `${deviceNames}, separated by commas (default: cpu,webgpu,cuda)`)
    .option('--only <groups>', 'some of gemm, conv, pool, norm, softmax, update, step (default: all)')
    .option('--filter <text>', 'rows whose name or layers have it, as in 4c or conv2dStats; of several joined by +, all')
    .option('--batch <n>', 'images of the kernels (default: 4)')
    .option('--step-batch <n,n>', 'images of the training steps (default: 2,16)')
    .option('--side <pixels>', 'of the images of training steps (default: 224)')
    .option('--width <factor>', "on the channels of the training steps' network (default: 1)")
    .option('--runs <n>', 'counted runs of each contestant (default: 20)')
    .option('--threads <n,n>', 'of the cpu device (default: 1 and all processors)')
    .option('--limit <seconds>', 'that a contestant may take for a kernel: slow ones make fewer runs, other engines are ended (default: 60)')
    .option('--step-limit <seconds>', 'the same for a training step (default: 600)')
    .option('--shapes <n>', 'at most so many of each kernel (default: all)')
    .option('--recompute', 'training steps with recomputation too')
    .option('--tf32', 'on CUDA products, convolutions and steps in TF32 too')
    .option('--plain', 'kernels without relaxed SIMD')
    .option('--no-probes', 'no limits, no roofline')
    .option('--quick', 'every part, at small settings')
    .option('--out <file>', 'JSON with machine, versions, options and raw samples')
    .option('--charts <folder>', 'where charts go, as SVG');
  if (context.benchmarkPeers !== undefined) {
    bench.option('--no-peers', 'ours alone').option('--python <paths>', 'interpreters that have MXNet or PyTorch, separated by commas')
      .option('--peer <texts>', 'other engines whose name has one of these, separated by semicolons; a text that ends in $ is its end');
  }
  bench.addHelpText('after', `
Examples:
  $ fovea bench --quick
  $ fovea bench --device cpu --only conv --filter 4c --out after.json
  $ fovea bench compare before.json after.json
`)
    .action((given: Record<string, unknown>) => run(given, context));
  bench.command('compare')
    .description('Say what got slower or was lost from one file of --out to another; exit code 1 where something was.')
    .argument('<before>')
    .argument('<after>')
    .addHelpText('after', `
Example:
  $ fovea bench compare before.json after.json
`)
    .action((before: string, after: string) => compare(before, after, context.terminal));
}

async function run(given: Record<string, unknown>, { terminal, signal, benchmarkPeers }: Context): Promise<void> {
  const options = parseBenchmarkOptions(given, asFlag);
  const out = await outputFile(options.out);
  await assertFolder(options.charts);
  const progress = new Progress(terminal);
  let sofar: Report | undefined;
  try {
    const running = runBenchmark(options, {
      signal, peers: benchmarkPeers,
      log: (line) => {
        progress.clear();
        terminal.err(`${line}\n`);
      },
      onEstimate: (rows, seconds) => terminal.err(`${rows} rows, likely to take ${clock(seconds)}; the estimate learns as it goes\n`),
      onRow: (what, { done, total, secondsLeft }) => void progress.show('rows', done, total, ` | ${clock(secondsLeft)} left | ${what}`),
      // A run of hours that ends early has left what it measured.
      onResult: async (row, all, { done, total, secondsLeft }) => {
        sofar = all;
        if (!terminal.watched) terminal.err(`${done}/${total}, ${clock(secondsLeft)} left: ${rowLine(row)}\n`);
        if (out !== undefined) await writeReport(out, all);
      },
    });
    const report = await running.catch((error: unknown) => {
      // Hours that end early have measured something: it is shown and written like a whole run.
      if (!signal.aborted || sofar === undefined) throw error;
      return sofar;
    });
    progress.clear();
    await finish(report, options, out, terminal);
    if (signal.aborted) throw interrupted(`${report.rows.length} rows were measured`);
    const { failures } = report;
    if (failures.length > 0) throw new BenchmarkError(`${failures.length} entries do not count; the first: ${failures[0]}`);
  } finally {
    progress.clear();
  }
}

/** Whether charts can go there, before hours of work: a folder, or a name in one that can be written, whose parents may have to be made. */
async function assertFolder(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const { fs, path } = await nodeFiles();
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const found = await fs.stat(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new OptionError(`--charts ${folder}: ${at}: ${fileReason(error)}`, { cause: error });
    });
    if (found === undefined) continue;
    if (!found.isDirectory()) throw new OptionError(`--charts ${folder}: ${at} is not a folder`);
    await fs.access(at, fs.constants.W_OK).catch((cause: unknown) => {
      throw new OptionError(`--charts ${folder}: ${at}: may not be written`, { cause });
    });
    return;
  }
}

/** Tables, file and charts of what was measured. */
async function finish(report: Report, { charts }: BenchmarkOptions, out: string | undefined, terminal: Terminal): Promise<void> {
  const { machine } = report;
  terminal.out(`${machine.processor}, ${machine.cores} cores, Node ${machine.node}; medians, +- half the distance of the quartiles\n`);
  if (report.probes.length > 0) {
    await show(terminal, probeTable(report));
    terminal.out(`${probeNotes(report).join('\n')}\n`);
  }
  await show(terminal, kernelTable(report.rows));
  for (const note of kernelNotes(report.rows)) terminal.out(`${note}\n`);
  await show(terminal, stepTable(report.rows));
  for (const note of stepNotes(report)) terminal.out(`${note}\n`);
  await show(terminal, startTable(report.rows));
  await show(terminal, summaryTable(report.rows));
  await show(terminal, goalTable(report));
  for (const note of goalNotes(report)) terminal.out(`${note}\n`);
  for (const failure of report.failures) terminal.out(`failed: ${failure}\n`);
  if (out !== undefined) {
    await writeReport(out, report);
    terminal.out(`${out}\n`);
  }
  if (charts !== undefined) for (const file of await writeCharts(charts, report)) terminal.out(`${file}\n`);
}

async function show(terminal: Terminal, table: TextTable): Promise<void> {
  if (table.rows.length > 0) terminal.out(`${await renderTable(table)}\n`);
}

async function compare(before: string, after: string, terminal: Terminal): Promise<void> {
  const { changes, lost, unasked, warnings } = compareReports(await readReport(before), await readReport(after));
  for (const warning of warnings) terminal.err(`warning: ${warning}\n`);
  if (changes.length === 0 && lost.every((l) => l.why === notThere)) throw new BenchmarkError(`${before} and ${after} have no row in common`);
  const counted = (verdict: string): number => changes.filter((c) => c.verdict === verdict).length;
  await show(terminal, changeTable(changes.filter((c) => c.verdict !== 'same')));
  for (const { device, row, contestant, why } of lost) terminal.out(`lost: ${device}: ${row}, ${contestant}: ${why}\n`);
  if (unasked > 0) terminal.out(`${unasked} of ${before} not compared: ${after} is of a run that was not asked for them\n`);
  const [slower, gone] = [counted('slower'), lost.length];
  terminal.out(`${slower} slower, ${counted('faster')} faster, ${counted('same')} the same${gone > 0 ? `, ${gone} lost` : ''}\n`);
  const said = [
    ...(slower > 0 ? [`${slower} of ${changes.length} got slower; the worst: ${changes.find((c) => c.verdict === 'slower')!.row}`] : []),
    ...(gone > 0 ? [`${gone} lost; the first: ${lost[0].row}`] : []),
  ];
  if (said.length > 0) throw new BenchmarkError(said.join('; '));
}
