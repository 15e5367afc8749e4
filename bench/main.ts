/**
 * `npm run bench`: `fovea bench` with other engines beside ours (bench/peers), on every device present. `npm run bench -- --help` has
 * the options, `npm run bench -- compare A.json B.json` says what got slower, `npm run bench -- idrid`, `loaders` and `transfer` are the
 * experiments of idrid.ts, loaders.ts and transfer.ts.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runProcess } from '../src/cli/process.ts';
import { openPeers } from './peers/index.ts';

const args = process.argv.slice(2);
const experiments = ['idrid', 'loaders', 'transfer'];
if (experiments.includes(args[0])) {
  const file = fileURLToPath(new URL(`${args[0]}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', file, ...args.slice(1)], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
await runProcess(['bench', ...args], { benchmarkPeers: openPeers });
