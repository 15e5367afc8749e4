/** How tools for CUDA are run: options by commander, exit codes as the command fovea has. */
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { exitCodes } from '../src/cli/program.ts';
import { FoveaError, OptionError } from '../src/errors.ts';

/**
 * Parses the command line and does the work, which returns an exit code. A wrong option ends it with 2, what the machine lacks with 1, each told in
 * a line; what is no error of ours keeps its stack.
 */
export async function runTool<T extends object>(command: Command, work: (options: T) => Promise<number>): Promise<void> {
  try {
    command.exitOverride().showSuggestionAfterError(true).parse();
    process.exitCode = await work(command.opts<T>());
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.badOption;
      return;
    }
    if (!(error instanceof FoveaError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = error instanceof OptionError ? exitCodes.badOption : exitCodes.failed;
  }
}
