/** `fovea train` */
import type { Command } from 'commander';
import { SIMULATED_NOTICE } from '../data/phantom/types.ts';
import { OptionError } from '../errors.ts';
import type { DryRunResult } from '../train/dry-run.ts';
import { dryRun } from '../train/dry-run.ts';
import { nodeFiles, readText } from '../train/files.ts';
import type { EpochRecord } from '../train/history.ts';
import { optionsOfConfig } from '../train/run-config.ts';
import { asFlag, optionNames, parseOptions } from '../train/run-options.ts';
import type { RunOptions } from '../train/run-options.ts';
import { figure, metricsTable } from '../train/tables.ts';
import { trainRun } from '../train/train-run.ts';
import type { TrainRunHooks, TrainRunResult } from '../train/train-run.ts';
import type { Context } from './context.ts';
import { runCheck } from './check.ts';
import { interrupted } from './context.ts';
import { addRunOptions, described, runOptionsOf } from './options.ts';
import { Progress, clock, megabytes, renderTable } from './terminal.ts';

export function addTrain(program: Command, context: Context): void {
  const command = program.command('train')
    .description('Train an Inception to tell infected from healthy fundus photographs, and judge it.')
    .usage('[options]');
  addRunOptions(command, optionNames)
    .optionsGroup('Run:')
    .option('--out <dir>', 'run directory (default: runs/train-1, runs/train-2, ...); one that holds something is never overwritten')
    .option('--config <file>', "options from a file, such as a run's config.json; flags win over it")
    .option('--resume <run>', 'go on with a run, as if it had not stopped')
    .option('--allow-inexact', 'resume although this machine computes other bits')
    .option(described.keep.flags, described.keep.about)
    .option('--dry-run', 'say what would be done: parts, device, memory, time')
    .option('--check [device]', 'take one step and compare every op with the float64 reference, or with a second device')
    .addHelpText('after', `
Examples:
  $ fovea train
        trains on simulated photographs, in minutes
  $ fovea train --data photos --csv labels.csv --positive 'grade >= 2' --class-weights balanced --epochs 30
  $ fovea train --data photos --weights Inception_BN-0039.params --cut global_pool --head 128,relu,2
        a new head on pretrained weights; what is frozen is computed once
  $ fovea train --data photos --weights v3/model.json --cut mixed5 --freeze mixed2 --layer-decay 0.8 --lr 0.001
  $ fovea train --resume runs/train-1 --epochs 50
  $ fovea train --check --batch 4 --size 64
        says whether this device computes what it should
`)
    .action((given: Record<string, unknown>) => train(given, context));
}

async function train(given: Record<string, unknown>, context: Context): Promise<void> {
  const flags = parseOptions(runOptionsOf(given), asFlag);
  const { out, config, resume, allowInexact, dryRun: dry, check } = given as {
    out?: string; config?: string; resume?: string; allowInexact?: boolean; dryRun?: boolean; check?: true | string;
  };
  if (config !== undefined && resume !== undefined) throw new OptionError('--config does not go with --resume: a run has its own');
  if (out === '') throw new OptionError('--out: expected the name of a folder');
  if (allowInexact && resume === undefined) throw new OptionError('--allow-inexact is for --resume');
  if (dry && resume !== undefined) throw new OptionError('--dry-run does not go with --resume');
  if (check !== undefined && dry) throw new OptionError('--check does not go with --dry-run');
  const fromFile: RunOptions = config === undefined ? {} : optionsOfConfig(await readText(await nodeFiles(), config), config);
  const options = { ...fromFile, ...flags };
  if (dry) {
    printPlan(await dryRun(options, { log: (line) => context.terminal.err(`${line}\n`), spell: asFlag }), context);
    return;
  }
  if (check !== undefined) {
    const against = check === true ? undefined : parseOptions({ device: check }, () => '--check').device;
    await runCheck({ options, out, resume, against }, context);
    return;
  }
  const view = new TrainView(context);
  let result: TrainRunResult;
  try {
    result = await trainRun({
      options, out, resume, allowInexact, signal: context.signal, hooks: view.hooks, spell: asFlag,
    });
  } finally {
    view.progress.clear();
  }
  await view.finish(result);
  if (result.interrupted) throw interrupted(`saved; to go on: fovea train --resume ${result.directory}`);
}

/** What a person sees of a run. */
class TrainView {
  readonly progress: Progress;
  readonly #context: Context;
  #epochs = 0;
  #simulated = false;
  #rate = NaN;
  #last = 0;
  #begun = performance.now();
  /** Of the validation after an epoch, for the time that is left. */
  #validationSeconds = 0;

  constructor(context: Context) {
    this.#context = context;
    this.progress = new Progress(context.terminal);
  }

  readonly hooks: TrainRunHooks = {
    log: (line) => this.#say(`${line}\n`, 'err'),
    onFetch: (received, total) => {
      if (total !== undefined) void this.progress.show('fetching weights', received, total, ` | ${megabytes(received)} of ${megabytes(total)}`);
      if (received === total) this.progress.clear();
    },
    onFeatures: (done, total) => {
      void this.progress.show('features of frozen layers', done, total);
      if (done === total) this.progress.clear();
    },
    onData: (done, total) => {
      void this.progress.show('preparing images', done, total);
      if (done === total) this.progress.clear();
    },
    onStart: ({ config, directory, epoch, resumed }) => {
      this.#epochs = config.options.epochs;
      this.#simulated = config.simulated;
      this.#begun = this.#last = performance.now();
      const parts = config.parts.map(({ part, samples, patients }) => `${part} ${samples} images of ${patients} patients`).join(', ');
      if (config.simulated) this.#say(`${SIMULATED_NOTICE}\n`);
      this.#say(`${config.name}: ${config.parameters.toLocaleString('en')} parameters, ${config.imageShape[0]} x ${config.imageShape[1]} pixels\n`);
      this.#say(`${parts}\n${resumed ? `going on with epoch ${epoch} in` : 'run directory:'} ${directory}\n`);
    },
    onBatch: ({ epoch, step, steps, batch, objective }) => {
      const now = performance.now();
      const rate = batch / (now - this.#last) * 1000;
      this.#last = now;
      // A running mean, so that the figure can be read.
      this.#rate = Number.isNaN(this.#rate) ? rate : 0.8 * this.#rate + 0.2 * rate;
      const stepsLeft = steps - step + (this.#epochs - epoch) * steps;
      const left = stepsLeft * batch / this.#rate + (this.#epochs - epoch + 1) * this.#validationSeconds;
      const note = ` | ${this.#rate.toFixed(1)} images/s | ${clock(left)} left${Number.isFinite(objective) ? ` | loss ${objective.toFixed(3)}` : ''}`;
      void this.progress.show(`epoch ${epoch}/${this.#epochs}`, step, steps, note);
    },
    onValidation: (done, total) => void this.progress.show('validation', done, total),
    onEpoch: (record, best) => {
      this.progress.clear();
      this.#validationSeconds = (performance.now() - this.#last) / 1000;
      this.#last = performance.now();
      this.#say(`${epochLine(record, this.#epochs, best, this.#simulated)}\n`);
    },
    onStage: (stage) => {
      this.progress.clear();
      this.#say(`${stage}\n`, 'err');
    },
  };

  async finish(result: TrainRunResult): Promise<void> {
    if (result.interrupted) return;
    const { best, directory, config } = result;
    const title = `epoch ${best?.epoch}, the best of ${result.history.length} by the validation part`;
    this.#say(`\n${config.simulated ? `simulated data; ` : ''}${title}\n${await renderTable(metricsTable(result))}\n`);
    if (config.simulated) this.#say(`${SIMULATED_NOTICE}\n`);
    this.#say(`training took ${clock((performance.now() - this.#begun) / 1000)}; report: ${directory}/report.html\n`);
    this.#say(`run directory: ${directory}\n`);
  }

  #say(text: string, stream: 'out' | 'err' = 'out'): void {
    this.progress.clear();
    this.#context.terminal[stream](text);
  }
}

/** One line an epoch. */
export function epochLine(record: EpochRecord, epochs: number, best: boolean, simulated: boolean): string {
  const { epoch, train, validation, always, seconds, imagesPerSecond } = record;
  const perClass = (m: typeof train): string => m.perClass.map((x) => figure(x, 2)).join('/');
  const part = (m: typeof train): string => `loss ${figure(m.loss)} acc ${figure(m.accuracy)} (${perClass(m)}) auc ${figure(m.auc.value)}`;
  const held = validation
    ? ` | validation ${part(validation)} [${figure(validation.auc.low)}, ${figure(validation.auc.high)}]`
      + ` sens@90 ${figure(validation.sensitivityAt90.sensitivity)}`
    : '';
  const healthy = ` | "healthy" always: acc ${figure(always.accuracy)}`;
  return `epoch ${epoch}/${epochs} | train ${part(train)}${held}${healthy} | ${clock(seconds)}, ${imagesPerSecond.toFixed(1)} images/s`
    + `${best ? ' | best' : ''}${simulated ? ' | simulated' : ''}`;
}

function printPlan(plan: DryRunResult, { terminal }: Context): void {
  const { options, memory } = plan;
  const network = options.weights ?? `${options.model} at width ${options.width}`;
  const lines = [
    ...(plan.simulated ? [SIMULATED_NOTICE] : []),
    ...plan.warnings.map((warning) => `warning: ${warning}`),
    ...(plan.rejected === '' ? [] : [`warning: ${plan.rejected}`]),
    ...plan.parts.map(({ part, samples, patients, classes }) =>
      `${part.padEnd(10)} ${samples} images of ${patients} patients: ${classes.map((n, c) => `${n} ${plan.classes[c]}`).join(', ')}`),
    `network    ${network}: ${plan.parameters.toLocaleString('en')} parameters, ${options.size} x ${options.size} pixels`,
    `device     ${plan.device}`,
    `precision  ${options.mixed ? 'mixed: 16-bit activations and products, float32 sums, parameters and updates; loss scale from 2^16' : 'float32'}`,
    `memory     ${megabytes(plan.deviceBytes)} on the device; of them ${megabytes(memory.planned)} for values within a step `
      + `(${megabytes(memory.naive)} without sharing), ${megabytes(memory.variables)} for parameters and moments`
      + (options.recompute === 'on' ? '; with recomputation' : ''),
    ...timeLines(plan),
  ];
  terminal.out(`${lines.join('\n')}\n`);
}

function timeLines({ options: { batch, epochs }, stages, stepsAnEpoch, seconds }: DryRunResult): string[] {
  const lines = stages.flatMap(({ first, last, stepSeconds, features }) => {
    const step = `${stepSeconds.toFixed(features ? 4 : 3)} s a step${features ? ' on features of frozen layers' : ''}, `
      + `${(batch / stepSeconds).toFixed(1)} images/s`;
    return [
      ...(features ? [`features of ${features.images} images, once, unless they are kept from before: ${clock(features.seconds)}`] : []),
      stages.length > 1 ? `epochs ${first} to ${last}: ${step}` : step,
    ];
  });
  lines[lines.length - 1] += `; ${epochs} epochs of ${stepsAnEpoch} steps: ${clock(seconds)}, and the preparation of the images`;
  return lines.map((line, i) => `${(i === 0 ? 'time' : '').padEnd(11)}${line}`);
}
