/**
 * Turns what was measured on an adapter into the table that comes with the package: the tuner's cache (`webgpu-tuning.json` in the cache folder)
 * into src/device/webgpu/tuning/NAME.ts. What the table has stays where the cache says nothing of it.
 *
 *   node --import tsx tools/tuning-table.ts CACHE ADAPTER NAME
 *
 * ADAPTER is part of the adapter's entry in the cache: `nvidia-h200`. Run first what is to be fast, with `tuning: 'measure'`, which hardware
 * has by default, and `tuningSeconds` long enough.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { TunedKernel } from '../src/device/webgpu/tuning-table.ts';

type Table = Record<string, Record<string, string>>;

const [cache, adapter, name] = process.argv.slice(2);
if (name === undefined) {
  console.error('usage: node --import tsx tools/tuning-table.ts CACHE ADAPTER NAME');
  process.exit(2);
}
const { adapters } = JSON.parse(readFileSync(cache, 'utf8')) as { adapters: Record<string, Record<string, string>> };
const [found] = Object.entries(adapters).filter(([key]) => key.includes(adapter)).slice(-1);
if (found === undefined) {
  console.error(`${cache} has no adapter with "${adapter}" in its name, but ${Object.keys(adapters).join('; ')}`);
  process.exit(1);
}
const path = fileURLToPath(new URL(`../src/device/webgpu/tuning/${name}.ts`, import.meta.url));
const before = existsSync(path) ? ((await import(pathToFileURL(path).href)) as { kernels: readonly TunedKernel[] }).kernels : [];
const table: Table = Object.fromEntries(before.map(({ kernel, replace, tiles }) => [`${kernel}|${replace}`, { ...tiles }]));
for (const [key, choice] of Object.entries(found[1])) {
  const at = key.lastIndexOf('|');
  (table[key.slice(0, at)] ??= {})[key.slice(at + 1)] = choice;
}
const line = (classes: Record<string, string>): string =>
  Object.entries(classes).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })).map(([c, choice]) => `      '${c}': '${choice}',`).join('\n');
const body = Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, classes]) => {
  const [kernel, replace] = key.split('|');
  return `  {\n    kernel: '${kernel}',\n    replace: '${replace}',\n    tiles: {\n${line(classes)}\n    },\n  },`;
}).join('\n');
writeFileSync(path, `/** Written by tools/tuning-table.ts. */
import type { TunedKernel } from '../tuning-table.ts';

export const kernels: readonly TunedKernel[] = [
${body}
];
`);
console.log(`${path}: ${Object.values(table).reduce((n, c) => n + Object.keys(c).length, 0)} choices`);
