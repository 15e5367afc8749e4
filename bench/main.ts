/**
 * `npm run bench`: `fovea bench` with other engines beside ours (bench/peers), on every device present. `npm run bench -- --help` has
 * the options, `npm run bench -- compare A.json B.json` says what got slower, `npm run bench -- idrid`, `loaders` and `transfer` are the
 * experiments of idrid.ts, loaders.ts and transfer.ts.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../src/cli/program.ts';
import { processTerminal } from '../src/cli/terminal.ts';
import { openPeers } from './peers/index.ts';

const args = process.argv.slice(2);
const experiments = ['idrid', 'loaders', 'transfer'];
if (experiments.includes(args[0])) {
  const file = fileURLToPath(new URL(`${args[0]}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', file, ...args.slice(1)], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
const controller = new AbortController();
process.on('SIGINT', () => (controller.signal.aborted ? process.exit(130) : controller.abort()));
const code = await runProgram(['bench', ...args], { terminal: processTerminal, signal: controller.signal, benchmarkPeers: openPeers });
// Workers and adapters would keep the process alive; what is written is flushed first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
