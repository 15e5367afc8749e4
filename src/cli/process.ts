/** A command as a process of its own: signals, streams and the exit code. */
import type { Context } from './context.ts';
import { exitCodes } from './exit.ts';
import { runProgram } from './program.ts';
import { outliveReaders, processTerminal, sayStopping } from './terminal.ts';

/** Runs a command and ends the process. The first Ctrl-C or SIGTERM lets it finish what is under way, the second ends it at once. */
export async function runProcess(args: readonly string[], peers: Pick<Context, 'benchmarkPeers'> = {}): Promise<void> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort();
      sayStopping();
    });
  }
  outliveReaders();
  const code = await runProgram(args, { terminal: processTerminal, signal: controller.signal, ...peers });
  // Worker threads and adapters of devices would keep the process alive; what is written is flushed first.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
