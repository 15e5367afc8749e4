/** `fovea evaluate` */
import type { Command } from 'commander';
import { SIMULATED_NOTICE } from '../data/phantom/types.ts';
import type { Part } from '../data/split.ts';
import { evaluateRun } from '../train/evaluate-run.ts';
import { nodeFiles, writeWhole } from '../train/files.ts';
import type { OptionName } from '../train/run-options.ts';
import { asFlag, parseOptions } from '../train/run-options.ts';
import { evaluationTable } from '../train/tables.ts';
import type { Context } from './context.ts';
import { epochOption } from './epoch.ts';
import { addRunOptions, runOptionsOf } from './options.ts';
import { forceOne, outputFile } from './output-file.ts';
import { Progress, renderTable } from './terminal.ts';

const dataOptions: readonly OptionName[] = [
  'data', 'csv', 'fileColumn', 'labelColumn', 'patientColumn', 'splitColumn', 'groupColumn', 'positive', 'exclude', 'duplicates',
  'patients', 'prevalence', 'blur', 'labelNoise', 'seed',
];
const machineOptions: readonly OptionName[] = ['device', 'threads', 'workers'];

export function addEvaluate(program: Command, context: Context): void {
  const command = program.command('evaluate')
    .description("Judge a run's network on its own test part, or on other data.")
    .argument('<run>', 'run directory')
    .option('--part <name>', 'train, validation, test or all (default: test; all of other data)')
    .option('--epoch <n>', 'whose parameters (default: the best epoch)')
    .option('--out <file>', 'CSV with a line an image')
    .option('--force', forceOne);
  addRunOptions(command, [...dataOptions, ...machineOptions])
    .addHelpText('after', `
Examples:
  $ fovea evaluate runs/train-1
  $ fovea evaluate runs/train-1 --data other-photos --csv labels.csv --positive 'grade >= 2' --out predictions.csv
`)
    .action((run: string, given: Record<string, unknown>) => evaluate(run, given, context));
}

async function evaluate(run: string, given: Record<string, unknown>, { terminal, signal }: Context): Promise<void> {
  const options = parseOptions(runOptionsOf(given), asFlag);
  const data = Object.fromEntries(dataOptions.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
  const out = await outputFile(given.out, given.force === true);
  const progress = new Progress(terminal);
  try {
    const result = await evaluateRun({
      run, part: given.part as Part | undefined, epoch: epochOption(given.epoch), data, signal, spell: asFlag,
      device: options.device, threads: options.threads, workers: options.workers,
      log: (line) => terminal.err(`${line}\n`),
      hooks: {
        onData: (done, total) => void progress.show('preparing images', done, total),
        onBatch: (done, total) => void progress.show('images', done, total),
      },
    });
    progress.clear();
    for (const warning of result.warnings) terminal.err(`warning: ${warning}\n`);
    const { config, epoch, name, simulated } = result;
    if (simulated) terminal.out(`${SIMULATED_NOTICE}\n`);
    else if (config.simulated) terminal.out('The network was trained on simulated images.\n');
    terminal.out(`${config.name}, epoch ${epoch}\n${await renderTable(evaluationTable(name, config.classes, result))}\n`);
    if (out !== undefined) {
      await writeWhole(await nodeFiles(), out, result.csv);
      terminal.out(`${out}\n`);
    }
  } finally {
    progress.clear();
  }
}
