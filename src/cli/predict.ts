/** `fovea predict` */
import type { Command } from 'commander';
import { nodeFiles, writeWhole } from '../train/files.ts';
import { predictRun } from '../train/predict-run.ts';
import { asFlag, parseOptions } from '../train/run-options.ts';
import { DataError } from '../errors.ts';
import type { Context } from './context.ts';
import { interrupted } from './context.ts';
import { epochOption } from './epoch.ts';
import { addRunOptions, runOptionsOf } from './options.ts';
import { forceOne, outputFile } from './output-file.ts';
import { Progress } from './terminal.ts';

export function addPredict(program: Command, context: Context): void {
  const command = program.command('predict')
    .description("Say what a run's network makes of photographs. Writes CSV; files that cannot be read are marked in it.")
    .argument('<run>', 'run directory')
    .argument('<path...>', 'JPEG and PNG files, and folders and .rec files of them')
    .option('--out <file>', 'where the CSV goes (default: standard output)')
    .option('--force', forceOne)
    .option('--epoch <n>', 'whose parameters (default: the best epoch)');
  addRunOptions(command, ['device', 'threads'])
    .addHelpText('after', `
Example:
  $ fovea predict runs/train-1 photos one-more.jpg --out predictions.csv
`)
    .action((run: string, paths: string[], given: Record<string, unknown>) => predict(run, paths, given, context));
}

async function predict(run: string, paths: string[], given: Record<string, unknown>, { terminal, signal }: Context): Promise<void> {
  const { device, threads } = parseOptions(runOptionsOf(given), asFlag);
  const out = await outputFile(given.out, given.force === true);
  const progress = new Progress(terminal);
  try {
    const { csv, files, predictions, unreadable, config } = await predictRun({
      run, paths, epoch: epochOption(given.epoch), device, threads, signal,
      log: (line) => terminal.err(`${line}\n`),
      onProgress: (done, total) => void progress.show('photographs', done, total),
    });
    progress.clear();
    if (out !== undefined) await writeWhole(await nodeFiles(), out, csv);
    else terminal.out(csv);
    const bad = predictions.filter((p) => p.problem !== undefined).slice(0, 3).map((p) => `${p.file} (${p.problem})`);
    const marked = unreadable > 0 ? `, ${unreadable} unreadable: ${bad.join(', ')}${unreadable > 3 ? ', ...' : ''}` : '';
    terminal.err(`${predictions.length} files${marked}\n`);
    if (config.simulated) terminal.err('The network was trained on simulated images: what it says of a photograph is no finding.\n');
    if (predictions.length < files) throw interrupted(`${predictions.length} of ${files} files were judged`);
    if (unreadable === predictions.length) throw new DataError('no file could be read');
  } finally {
    progress.clear();
  }
}
