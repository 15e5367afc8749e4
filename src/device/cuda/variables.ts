/** What variables of the environment ask of a CUDA device. */
import { OptionError } from '../../errors.ts';
import { rungs } from './device.ts';
import type { Rung } from './device.ts';

/** A value of an option or variable, which `name` names, as a rung. @throws OptionError for what is none */
export function asRung(value: string, name: string): Rung {
  const rung = rungs.find((one) => one === value);
  if (rung === undefined) throw new OptionError(`${name} is ${JSON.stringify(value)}; expected one of ${rungs.join(', ')}`);
  return rung;
}

/** FOVEA_CUDA_RUNG, where it is set and not empty. @throws OptionError for what is no rung */
export function rungAsked(): Rung | undefined {
  const value = process.env.FOVEA_CUDA_RUNG;
  return value ? asRung(value, 'FOVEA_CUDA_RUNG') : undefined;
}

/** A switch: on where the variable is 1, off where it is 0, empty or not set. @throws OptionError for anything else */
export function isSwitchedOn(name: 'FOVEA_CUDA_PROLOGUES' | 'FOVEA_CUDA_CHECK'): boolean {
  const value = process.env[name] ?? '';
  if (!['', '0', '1'].includes(value)) throw new OptionError(`${name} is ${JSON.stringify(value)}; expected 0 or 1`);
  return value === '1';
}

/** @throws OptionError for a variable that asks for what there is not */
export function checkVariables(): void {
  rungAsked();
  isSwitchedOn('FOVEA_CUDA_PROLOGUES');
  isSwitchedOn('FOVEA_CUDA_CHECK');
}
