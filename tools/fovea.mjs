// Runs the command line from its sources, after setting up what is missing: `npm run train` is
// `node tools/fovea.mjs train`. Ctrl-C and SIGTERM reach the command, which finishes its step and saves.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';
import { setUp } from './setup.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

try {
  await setUp({ driver: false });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const args = ['--import', import.meta.resolve('tsx'), join(root, 'src', 'cli', 'main.ts'), ...process.argv.slice(2)];
const child = spawn(process.execPath, args, { stdio: 'inherit' });
// A terminal sends Ctrl-C to both processes; this one waits for the other to end. SIGTERM comes to this one alone.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('close', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
