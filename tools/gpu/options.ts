/** What tools/gpu.ts is asked for, checked before anything is run. */
import { OptionError } from '../../src/errors.ts';
import { parts } from './parts.ts';
import type { Part, Settings } from './parts.ts';

const deviceNames = /^(cpu|cuda|cuda:\d+|cuda-host|webgpu|webgpu:.+)$/;

/** A list with commas between. @throws OptionError for what is named twice */
function namesOf(option: string, text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new OptionError(`${option}: "${twice}" is named twice`);
  return names;
}

/** @throws OptionError for a name of no device, or one that is named twice */
export function devicesOf(text: string): string[] {
  const names = namesOf('--devices', text);
  for (const name of names) {
    if (!deviceNames.test(name)) throw new OptionError(`--devices: cpu, webgpu, webgpu:NAME, cuda, cuda:NUMBER or cuda-host was expected, got "${name}"`);
  }
  return names;
}

/** Parts by their names, or all. @throws OptionError for one that there is not, that has nothing to run on, or that is named twice */
export function chosenParts(settings: Settings, text: string | undefined): Part[] {
  const all = parts(settings);
  if (text === undefined) return all;
  const elsewhere = parts({ ...settings, devices: ['cuda', 'webgpu'] });
  return namesOf('--parts', text).map((name) => {
    const part = all.find((one) => one.name === name);
    if (part !== undefined) return part;
    const why = elsewhere.some((one) => one.name === name) ? `"${name}" has nothing to run on among ${settings.devices.join(', ')}`
      : `no part is named "${name}"`;
    throw new OptionError(`--parts: ${why}; there are ${all.map((one) => one.name).join(', ')}`);
  });
}

const secondsOf = (all: readonly Part[]): number => all.reduce((sum, { seconds }) => sum + seconds, 0);

/** What is run, in which seconds, and what a limit leaves time for: lines to print. */
export function planOf(wanted: readonly Part[], limit: number): string[] {
  const lines = wanted.map(({ name, what, seconds, env = {}, args }) => {
    const variables = Object.entries(env).map(([key, value]) => `${key}=${value} `).join('');
    const words = args.map((a) => (/[ ;$]/.test(a) ? `'${a}'` : a)).join(' ');
    return `${name}: ${what}; some ${seconds} s\n    ${variables}node --import tsx ${words}`;
  });
  lines.push(`${wanted.length} parts, some ${secondsOf(wanted).toLocaleString('en')} s`);
  if (limit < Infinity) {
    const inTime: Part[] = [];
    for (const part of wanted) if (secondsOf([...inTime, part]) <= limit) inTime.push(part);
    lines.push(`in ${limit} s: ${inTime.map(({ name }) => name).join(', ') || 'none'}`);
  }
  return lines;
}
