// Runs a TypeScript file of the repository after setting up what is missing, with its arguments: `npm run train` is
// `node tools/run.mjs src/cli/main.ts train`. Ctrl-C and SIGTERM reach it, so that training finishes its step and saves.
//
//   node tools/run.mjs [--driver] FILE [ARGUMENT...]
//
// --driver also gets a software WebGPU driver where there is no adapter.
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';
import { setUp } from './setup.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const argv = process.argv.slice(2);
const driver = argv[0] === '--driver';
const [file, ...rest] = driver ? argv.slice(1) : argv;

try {
  await setUp({ driver });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), resolve(root, file), ...rest], {
  stdio: 'inherit',
});
// A terminal sends Ctrl-C to both processes; this one waits for the other to end. SIGTERM comes to this one alone.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('close', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
