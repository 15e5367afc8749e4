/** `npm run bench`: lists the benchmarks; `npm run bench -- NAME OPTIONS` runs one. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'main.ts')
  .map((file) => file.slice(0, -3));
const [name, ...rest] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  console.log(`${name === undefined ? '' : `no benchmark "${name}"; `}npm run bench -- NAME, where NAME is one of:\n  ${names.join('\n  ')}`);
  process.exit(name === undefined ? 0 : 2);
}
const { status } = spawnSync(process.execPath, ['--import', 'tsx', `${folder}${name}.ts`, ...rest], { stdio: 'inherit' });
process.exit(status ?? 1);
