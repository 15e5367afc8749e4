#!/usr/bin/env node
/** The command `fovea`. */
import { exitCodes } from './exit.ts';
import { runProgram } from './program.ts';
import { outliveReaders, processTerminal } from './terminal.ts';

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
    process.stderr.write('\nfinishing what is under way; once more stops at once\n');
  });
}
outliveReaders();

const code = await runProgram(process.argv.slice(2), { terminal: processTerminal, signal: controller.signal });
// Worker threads of devices would keep the process alive; what is written is flushed first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
