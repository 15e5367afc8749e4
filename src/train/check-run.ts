/** The next step of a run, held to the float64 reference or to a second device, op by op. Node only. */
import type { Device } from '../device/types.ts';
import type { StepCheck } from '../testing/check-step.ts';
import { encodeEvidence } from '../testing/evidence.ts';
import { checkFit } from './fit.ts';
import { checkNetwork, fitOptionsOf } from './fit-options.ts';
import { openResumed } from './resumed.ts';
import type { RunData } from './run-data.ts';
import { openData } from './run-data.ts';
import { closeRunDevice, openRunDevice } from './run-device.ts';
import { RunDirectory } from './run-directory.ts';
import type { RunOptions, Spelling } from './run-options.ts';
import type { ResolvedRun } from './transfer.ts';
import { resolveRun } from './transfer.ts';

export interface CheckRunOptions {
  /** As of `trainRun`. */
  readonly options?: RunOptions;
  /** Directory of a run: the step that it would take next is checked, with the parameters that it has. */
  readonly resume?: string;
  /** A device to compare with. Default: the float64 reference. */
  readonly against?: string;
  /** Directory for the inputs of an op that departs; default the next of `runs/check-1`, `runs/check-2`, .... */
  readonly out?: string;
  readonly signal?: AbortSignal;
  readonly hooks?: CheckRunHooks;
  /** How messages write options; default as config files do. */
  readonly spell?: Spelling;
}

export interface CheckRunHooks {
  /** A line for the user: the device, warnings. */
  log?(line: string): void;
  onData?(done: number, total: number): void;
  /** Before each step: the share that is done, by estimated operations, and what comes next. */
  onStep?(share: number, label: string): void;
}

export interface CheckRunResult extends StepCheck {
  /** Images of the step and their side. */
  readonly batch: number;
  readonly size: number;
  /** File with the inputs of the first op that departs, and the device to run it on. */
  readonly saved?: { readonly file: string; readonly device: string };
}

/**
 * Checks one step. Nothing is written but the inputs of the first op that departs, if any does.
 *
 * @throws OptionError before any work for options out of range; DataError, DeviceError, FormatError; the signal's reason
 */
export async function checkRun(request: CheckRunOptions): Promise<CheckRunResult> {
  const { hooks = {}, signal, spell, against, out } = request;
  const log = (line: string): void => hooks.log?.(line);
  const resumed = request.resume === undefined ? undefined
    : await openResumed(request.resume, { options: request.options, spell }, log);
  const { options, model }: ResolvedRun = resumed ?? await resolveRun(request.options ?? {}, spell);
  for (const warning of model?.warnings ?? []) log(`warning: ${warning}`);
  const device = await openRunDevice(options, log);
  let second: Device | undefined;
  let data: RunData | undefined;
  try {
    second = against === undefined ? undefined : await openRunDevice({ device: against }, log);
    const source = { resumed, model, spell, warn: (line: string) => log(`warning: ${line}`) };
    data = await openData(options, { onProgress: hooks.onData, signal, toTrain: true, onListed: (classes) => checkNetwork(options, classes, source) });
    const fitOptions = await fitOptionsOf(options, data, device, source);
    const found = await checkFit(fitOptions, { against: second, onStep: hooks.onStep, signal });
    const { batch, size } = options;
    if (found.evidence === undefined) return { ...found, batch, size };
    const first = found.departures.find(({ kind }) => kind === 'result')!;
    const directory = await RunDirectory.create(out, 'check');
    const name = `${first.label.replace('#', '-')}.safetensors`;
    await directory.write(name, encodeEvidence(found.evidence));
    const saved = { file: directory.file(name), device: options.device === 'auto' ? device.kind : options.device };
    return { ...found, batch, size, saved };
  } finally {
    data?.dataset.close();
    if (second) closeRunDevice(second);
    closeRunDevice(device);
  }
}
