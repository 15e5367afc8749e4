/**
 * Compiles, several at once, the CUDA kernels that the op suite and the benchmark ask for into the cache in which the device looks for them: the
 * suite meets them one after another, and would wait for each. What is there already is left.
 *
 *   node --import tsx tools/gpu/compile.ts                                    for this machine's GPU
 *   node --import tsx tools/gpu/compile.ts --capability 9.0 --driver 13.0     for another's, with the NVRTC that is there too, without one here
 *
 * The cache is `$FOVEA_CACHE/cuda`; it can be carried to a machine that has the same driver's CUDA version and the same version of NVRTC. With
 * FOVEA_CUDA_RUNG=hopper it is Hopper's own kernels, and what is asked for beside them. Exit code 1 where a kernel does not compile.
 */
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { exitCodes } from '../../src/cli/exit.ts';
import { Progress, processTerminal } from '../../src/cli/terminal.ts';
import { availableThreads } from '../../src/device/cpu/module.ts';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { nvrtcCompiler } from '../../src/device/cuda/compile.ts';
import { chooseNvrtc, findNvrtc } from '../../src/device/cuda/find.ts';
import { assertUsable, capabilityWords, inspectGpu, startDriver } from '../../src/device/cuda/gpu.ts';
import type { GpuInfo } from '../../src/device/cuda/gpu.ts';
import { loadDriver } from '../../src/device/cuda/index.ts';
import { kernelSource } from '../../src/device/cuda/source.ts';
import { rungAsked } from '../../src/device/cuda/variables.ts';
import type { Rung } from '../../src/device/cuda/device.ts';
import { OptionError } from '../../src/errors.ts';
import { cudaSources } from '../../src/generated/cuda.ts';
import { namesIn, runTool } from '../command.ts';
import { chosenKernels } from '../cuda-kernels.ts';
import { collectVariants, gpu } from '../cuda-variants.ts';
import type { Variant } from '../cuda-variants.ts';

/** Images of the kernels and steps that are measured. */
const BATCHES = [32, 128, 256];

/** Modules compiled at once: each holds some 100 MB. */
const MOST_THREADS = 16;

/** Milliseconds between two lines that say how far it is, where nobody watches. */
const LINE_EVERY = 10_000;

/** Lines of errors that are shown. */
const SHOWN = 20;

interface Options {
  readonly capability?: string;
  readonly driver?: string;
  readonly devices: string;
  readonly kernels?: string;
}

type Target = Pick<GpuInfo, 'capability' | 'driver'>;

/** GPUs that are here, one of each compute capability. @throws OptionError for a wrong name; DeviceError for a GPU that the kernels do not run on */
async function targetsHere(names: readonly string[]): Promise<Target[]> {
  const indices = names.map((name) => {
    const index = /^cuda(?::(\d+))?$/.exec(name);
    if (index === null) throw new OptionError(`--devices: cuda or cuda:NUMBER was expected, got "${name}"`);
    return Number(index[1] ?? 0);
  });
  const bindings = await loadDriver();
  const driver = startDriver(bindings);
  const gpus = indices.map((index) => inspectGpu(bindings, driver, index));
  for (const one of gpus) assertUsable(bindings, one);
  return [...new Map(gpus.map((one) => [one.capability, one])).values()];
}

/** What is compiled for. @throws OptionError for what says none; DeviceError where a GPU is asked that is not there, or has no kernels */
async function targetsOf({ capability, driver, devices }: Options): Promise<Target[]> {
  if ((capability === undefined) !== (driver === undefined)) throw new OptionError('--capability and --driver say together what another machine has');
  if (capability === undefined || driver === undefined) return targetsHere(namesIn('--devices', devices));
  const digits = /^([89]|1[0-2])\.(\d)$/.exec(capability);
  if (digits === null) throw new OptionError(`--capability: 8.0 to 12.9 was expected, as in 9.0, got "${capability}"`);
  if (!/^1[23]\.\d$/.test(driver)) throw new OptionError(`--driver: its CUDA version was expected, 12.0 to 13.9, as in 13.0, got "${driver}"`);
  return [{ capability: Number(digits[1] + digits[2]), driver }];
}

/** Compiles them all, and says from time to time how far it is. Returns what failed, a line each. */
async function compileAll(variants: readonly Variant[], compile: (variant: Variant) => Promise<void>): Promise<string[]> {
  const began = performance.now();
  const progress = new Progress(processTerminal, LINE_EVERY);
  let done = 0;
  const failed: string[] = [];
  await Promise.all(variants.map(async (variant) => {
    try {
      await compile(variant);
    } catch (error) {
      failed.push(`${variant.kernel} ${JSON.stringify(variant.define)}: ${(error as Error).message}`);
    }
    await progress.show('compiling', ++done, variants.length);
  }));
  progress.clear();
  console.log(`${variants.length - failed.length} there, ${failed.length} failed, ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return failed;
}

/** Whether all of them compile. */
async function compileFor({ capability, driver }: Target, only: readonly string[], rung: Rung | undefined): Promise<boolean> {
  const koffi = await importKoffi();
  const threads = Math.min(MOST_THREADS, await availableThreads(undefined));
  const { used: compiler, library } = chooseNvrtc(findNvrtc(undefined), parseInt(driver, 10),
    (one) => nvrtcCompiler({ koffi, library: one, capability, driver, threads }));
  try {
    console.log(`collecting kernels for compute capability ${capabilityWords({ capability })} and a driver of CUDA ${driver}`);
    const both = [...await collectVariants(gpu(capability, { rung }), BATCHES), ...await collectVariants(gpu(capability, { rung, tf32: true }), BATCHES)];
    const variants = [...new Map(both.map((one) => [`${one.kernel} ${JSON.stringify(one.define)}`, one])).values()]
      .filter(({ kernel }) => only.includes(kernel));
    console.log(`${variants.length} modules by ${compiler.version} (${library.path})`);
    const failed = await compileAll(variants, async ({ kernel, define }) => {
      const { source, headers } = kernelSource(cudaSources, kernel, define);
      await compiler.compile(kernel, source, define, headers);
    });
    for (const line of failed.slice(0, SHOWN)) console.log(line);
    if (failed.length > SHOWN) console.log(`and ${failed.length - SHOWN} more`);
    return failed.length === 0;
  } finally {
    compiler.dispose?.();
  }
}

async function main(options: Options): Promise<number> {
  const only = chosenKernels(options.kernels);
  const rung = rungAsked();
  let failed = false;
  for (const target of await targetsOf(options)) failed = !await compileFor(target, only, rung) || failed;
  return failed ? exitCodes.failed : exitCodes.ok;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const command = new Command('node --import tsx tools/gpu/compile.ts')
    .description('Compiles the CUDA kernels of the op suite and the benchmark into the cache; with FOVEA_CUDA_RUNG=hopper those of Hopper too.')
    .option('--devices <names>', 'GPUs whose kernels they are: cuda or cuda:NUMBER, separated by commas', 'cuda')
    .addOption(new Option('--capability <x.y>', "another machine's GPU, 9.0 for Hopper; with --driver").conflicts('devices'))
    .addOption(new Option('--driver <x.y>', "the CUDA version of that machine's driver, as 13.0").conflicts('devices'))
    .option('--kernels <names>', 'some of the kernels, separated by commas (default: all)');
  await runTool<Options>(command, main);
}
