/** What tools/gpu.ts is asked for, checked before anything is run. */
import { deviceName, deviceNames } from '../../src/device/names.ts';
import { OptionError } from '../../src/errors.ts';
import { namesIn } from '../command.ts';
import { parts } from './parts.ts';
import type { Part, Settings } from './parts.ts';

/** @throws OptionError for a name of no device, or one that is named twice */
export function devicesOf(text: string): string[] {
  const names = namesIn('--devices', text);
  if (names.includes('cuda') && names.includes('cuda:0')) throw new OptionError('--devices: cuda is cuda:0');
  for (const name of names) {
    // The op suite builds cuda-host; there is no device of that name.
    if (name !== 'cuda-host' && !deviceName.test(name)) throw new OptionError(`--devices: ${deviceNames}, or cuda-host was expected, got "${name}"`);
  }
  return names;
}

/** Parts by their names, or all. @throws OptionError for one that there is not, that has nothing to run on, or that is named twice */
export function chosenParts(settings: Settings, text: string | undefined): Part[] {
  const all = parts(settings);
  if (text === undefined) return all;
  const elsewhere = parts({ ...settings, devices: ['cuda', 'webgpu'] });
  return namesIn('--parts', text).map((name) => {
    const part = all.find((one) => one.name === name);
    if (part !== undefined) return part;
    const why = elsewhere.some((one) => one.name === name) ? `"${name}" has nothing to run on among ${settings.devices.join(', ')}`
      : `no part is named "${name}"`;
    throw new OptionError(`--parts: ${why}; there are ${all.map((one) => one.name).join(', ')}`);
  });
}

/** They change what a part runs or how long it takes: left over, one would have something else measured under its name. */
const ofParts = ['FOVEA_CUDA_RUNG', 'FOVEA_CUDA_PROLOGUES', 'FOVEA_CUDA_CHECK', 'FOVEA_OPS'];

/** @throws OptionError for such a variable that is set */
export function checkEnvironment(): void {
  const name = ofParts.find((one) => process.env[one]);
  if (name !== undefined) throw new OptionError(`${name} is ${JSON.stringify(process.env[name])}; a part says itself what it runs, so unset it`);
}

const secondsOf = (all: readonly Part[]): number => all.reduce((sum, { seconds }) => sum + seconds, 0);

/** What is run, in which seconds, and which parts these add up to a limit: lines to print. */
export function planOf(wanted: readonly Part[], limit: number): string[] {
  const lines = wanted.map(({ name, what, seconds, env = {}, args }) => {
    const variables = Object.entries(env).map(([key, value]) => `${key}=${value} `).join('');
    const words = args.map((a) => (/[ ;$]/.test(a) ? `'${a}'` : a)).join(' ');
    return `${name}: ${what}; some ${seconds} s\n    ${variables}node --import tsx ${words}`;
  });
  lines.push(`${wanted.length} part${wanted.length === 1 ? '' : 's'}, some ${secondsOf(wanted).toLocaleString('en')} s, and the look for devices`);
  if (limit < Infinity) {
    const inTime: Part[] = [];
    for (const part of wanted) if (secondsOf([...inTime, part]) <= limit) inTime.push(part);
    lines.push(`by these seconds there is time in ${limit} s for ${inTime.map(({ name }) => name).join(', ') || 'none of them'}`);
  }
  return lines;
}
