/** The command line as a function: arguments in, exit code out. */
import { Command } from 'commander';
import { foveaVersion } from '../train/run-config.ts';
import type { Context } from './context.ts';
import { Interrupted } from './context.ts';
import { addBench } from './bench.ts';
import { addReplay } from './check.ts';
import { addDevices } from './devices.ts';
import { addEvaluate } from './evaluate.ts';
import { describeError, exitCodeOf, exitCodes } from './exit.ts';
import { addGraph } from './graph.ts';
import { addIm2rec } from './im2rec.ts';
import { addPredict } from './predict.ts';
import { addTrain } from './train.ts';

/**
 * Runs a command.
 *
 * @param args without the names of node and the script
 * @returns 0, 1 where the work failed, 2 for a bad option, 130 when it was interrupted
 */
export async function runProgram(args: readonly string[], context: Context): Promise<number> {
  const { terminal, signal } = context;
  const program = new Command('fovea')
    .description('Deep learning on fundus photographs, on any machine.')
    .version(await foveaVersion(), '--version', 'print the version')
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
    .exitOverride()
    .showSuggestionAfterError(true);
  for (const add of [addTrain, addEvaluate, addPredict, addIm2rec, addGraph, addDevices, addReplay, addBench]) add(program, context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof Interrupted) {
      terminal.err(`interrupted; ${error.message}\n`);
      return exitCodes.interrupted;
    }
    if (signal.aborted && (error === signal.reason || (error as Error)?.name === 'AbortError')) {
      terminal.err('interrupted\n');
      return exitCodes.interrupted;
    }
    const said = describeError(error);
    if (said !== undefined) terminal.err(`${said}\n`);
    return exitCodeOf(error);
  }
}
