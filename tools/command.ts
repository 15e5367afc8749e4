/** How tools that take options by commander are run, and lists in these. */
import type { Command } from 'commander';
import { describeError, exitCodeOf } from '../src/cli/exit.ts';
import { OptionError } from '../src/errors.ts';

/** Parses the command line and does the work, which returns an exit code; errors are told, and end it, as those of the command fovea. */
export async function runTool<T extends object>(command: Command, work: (options: T) => Promise<number>): Promise<void> {
  try {
    command.exitOverride().showSuggestionAfterError(true).parse();
    process.exitCode = await work(command.opts<T>());
  } catch (error) {
    const said = describeError(error);
    if (said !== undefined) console.error(said);
    process.exitCode = exitCodeOf(error);
  }
}

/** A list with commas between. @throws OptionError for what is named twice */
export function namesIn(option: string, text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new OptionError(`${option}: "${twice}" is named twice`);
  return names;
}
