/** `fovea train --check` and `fovea replay` */
import type { Command } from 'commander';
import type { Shape, TensorType } from '../device/types.ts';
import { DeviceError } from '../errors.ts';
import type { Departure, StepCheck } from '../testing/check-step.ts';
import { decodeEvidence, replayEvidence } from '../testing/evidence.ts';
import type { CheckRunOptions, CheckRunResult } from '../train/check-run.ts';
import { checkRun } from '../train/check-run.ts';
import { nodeFiles, readBytes } from '../train/files.ts';
import { closeRunDevice, openRunDevice } from '../train/run-device.ts';
import { asFlag, parseOptions } from '../train/run-options.ts';
import type { Context } from './context.ts';
import { addRunOptions, runOptionsOf } from './options.ts';
import { Progress, clock, renderTable } from './terminal.ts';

/** Checks a step and prints what was found. @throws DeviceError where an op departs */
export async function runCheck(request: Pick<CheckRunOptions, 'options' | 'out' | 'resume' | 'against'>, { terminal, signal }: Context): Promise<void> {
  const progress = new Progress(terminal);
  let begun: number | undefined;
  let result: CheckRunResult;
  try {
    result = await checkRun({
      ...request, signal, spell: asFlag,
      hooks: {
        log: (line) => {
          progress.clear();
          terminal.err(`${line}\n`);
        },
        onData: (done, total) => {
          void progress.show('preparing images', done, total);
          if (done === total) progress.clear();
        },
        onStep: (share, label) => {
          begun ??= performance.now();
          const seconds = (performance.now() - begun) / 1000;
          const left = share > 0 ? seconds / share * (1 - share) : NaN;
          void progress.show('checking', Math.round(1000 * share), 1000, ` | ${clock(left)} left | ${label}`);
        },
      },
    });
  } finally {
    progress.clear();
  }
  const { device, against, steps, elements, batch, size, unchecked, departures, saved } = result;
  terminal.out(`${await renderTable(findings(result))}\n`);
  terminal.out(`one step of ${batch} images of ${size} x ${size} pixels on ${device}, against ${against}: ${steps} steps, `
    + `${elements.toLocaleString('en')} elements compared\n`);
  if (unchecked.length > 0) terminal.out(`not checked, for want of a reference: ${unchecked.join(', ')}\n`);
  if (departures.length === 0) {
    terminal.out('every op is within the tolerance\n');
    return;
  }
  const [first, ...others] = departures;
  terminal.out(`\nthe first that departs: ${describe(first).join('\n  ')}\n`);
  if (saved) terminal.out(`  its inputs: ${saved.file}\n  to run it again: fovea replay ${saved.file} --device ${saved.device}\n`);
  if (others.length > 0) terminal.out(`then: ${others.slice(0, 20).map((d) => d.label).join(', ')}${others.length > 20 ? ', ...' : ''}\n`);
  throw new DeviceError(`${first.label} departs from ${against} on ${device}`);
}

function findings({ ops }: StepCheck) {
  return {
    head: ['op', 'checked', 'departed', 'largest error / allowed', 'at'],
    rows: ops.map(({ op, checked, departed, worst, worstAt }) =>
      [op, String(checked), departed > 0 ? String(departed) : '', worst === 0 ? '0' : worst.toPrecision(3), worst === 0 ? '' : worstAt]),
  };
}

const type = ({ shape, dtype }: TensorType): string => `${dtype} [${shape.join(', ')}]`;

/** An element's place along each axis. */
function position(shape: Shape, at: number): string {
  const places: number[] = [];
  let rest = at;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    places.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return `[${places.join(', ')}]`;
}

function describe({ kind, label, layer, site, inputs, outputs, which, at, got, expected, allowed }: Departure): string[] {
  const { shape } = (kind === 'input' ? inputs : outputs)[which];
  const what = kind === 'input' ? `input ${which} is not what was computed: something overwrote it` : kind === 'copy' ? 'a copy' : `output ${which}`;
  return [
    `${label}${layer === undefined ? '' : `, layer ${layer}`}${site === undefined ? '' : `, called at ${site}`}`,
    `from ${inputs.map(type).join(', ')}`,
    `to ${outputs.map(type).join(', ')}`,
    `${what}: element ${position(shape, at)} is ${got}, expected ${expected}, allowed error ${allowed.toPrecision(3)}`,
  ];
}

export function addReplay(program: Command, { terminal }: Context): void {
  const command = program.command('replay')
    .description('Run an op again whose inputs `fovea train --check` saved, and compare it with the float64 reference.')
    .argument('<file>', 'the .safetensors file');
  addRunOptions(command, ['device', 'threads'])
    .addHelpText('after', `
Example:
  $ fovea replay runs/check-1/conv2d-12.safetensors --device webgpu
`)
    .action(async (file: string, given: Record<string, unknown>) => {
      const options = parseOptions(runOptionsOf(given), asFlag);
      const evidence = decodeEvidence(await readBytes(await nodeFiles(), file), file);
      const device = await openRunDevice(options, (line) => terminal.err(`${line}\n`));
      try {
        const results = await replayEvidence(evidence, device);
        const rows = results.map(({ at, got, expected, allowed, ratio }, i) => {
          const output = evidence.outputs[i];
          return [`${i}`, type(output), position(output.shape, at), `${got}`, `${expected}`, allowed.toPrecision(3), ratio.toPrecision(3)];
        });
        const head = ['output', 'type', 'worst element', 'got', 'expected', 'allowed error', 'error / allowed'];
        terminal.out(`${evidence.op} ${JSON.stringify(evidence.attrs)} on ${device.name}\n${await renderTable({ head, rows })}\n`);
        if (results.some(({ ratio }) => !(ratio <= 1))) {
          throw new DeviceError(`${evidence.op} departs from the float64 reference on ${device.name}`);
        }
      } finally {
        closeRunDevice(device);
      }
    });
}
