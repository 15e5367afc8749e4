/** `fovea devices` */
import type { Command } from 'commander';
import { describeDevices } from '../device/index.ts';
import type { Context } from './context.ts';

export function addDevices(program: Command, { terminal }: Context): void {
  program.command('devices')
    .description('List the devices that this machine has, and why others are missing.')
    .addHelpText('after', `
Examples:
  $ fovea devices
  $ fovea devices --verbose
`)
    .option('--verbose', 'say for each what was found and what was refused')
    .action(async ({ verbose }: { verbose?: boolean }) => {
      for (const { name, available, why, details } of await describeDevices()) {
        terminal.out(`${available ? 'yes' : 'no '}  ${name}: ${why}\n`);
        if (verbose) for (const line of details) terminal.out(`       ${line}\n`);
      }
    });
}
