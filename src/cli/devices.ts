/** `fovea devices` */
import type { Command } from 'commander';
import { describeDevices } from '../device/index.ts';
import type { Context } from './context.ts';

export function addDevices(program: Command, { terminal }: Context): void {
  program.command('devices')
    .description('List the devices that this machine has, and why others are missing.')
    .addHelpText('after', `
Example:
  $ fovea devices
`)
    .action(async () => {
      for (const { name, available, why } of await describeDevices()) {
        terminal.out(`${available ? 'yes' : 'no '}  ${name}: ${why}\n`);
      }
    });
}
