/**
 * Compiles, several at once, the CUDA kernels that the op suite and the benchmark ask for into the cache in which the device looks for them: the
 * suite meets them one after another, and would wait for each. What is there already is left.
 *
 *   node --import tsx tools/gpu/compile.ts                                    for this machine's GPU
 *   node --import tsx tools/gpu/compile.ts --capability 9.0 --driver 13.0     for another's, with the NVRTC that is there too, without one here
 *
 * The cache is `$FOVEA_CACHE/cuda`; it can be carried to a machine that has the same driver's CUDA version and the same version of NVRTC.
 * Exit code 1 where a kernel does not compile.
 */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
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
import { runTool } from '../command.ts';
import { chosen, kernelNames } from '../cuda-kernels.ts';
import { collectVariants, gpu } from '../cuda-variants.ts';
import type { Variant } from '../cuda-variants.ts';

/** Images of the kernels and steps that are measured. */
const BATCHES = [32, 128, 256];

/** Seconds between two lines that say how far it is. */
const EVERY = 10;

interface Options {
  readonly capability?: string;
  readonly driver?: string;
  readonly device: string;
  readonly kernels?: string;
}

type Target = Pick<GpuInfo, 'capability' | 'driver' | 'multiprocessors' | 'sharedBytes'>;

/** GPUs that are here, one of each compute capability. @throws OptionError for a wrong name; DeviceError for a GPU that the kernels do not run on */
async function targetsHere(names: readonly string[]): Promise<Target[]> {
  const indices = names.map((name) => {
    const index = /^cuda(?::(\d+))?$/.exec(name);
    if (index === null) throw new OptionError(`--device: cuda or cuda:NUMBER was expected, got "${name}"`);
    return Number(index[1] ?? 0);
  });
  const bindings = await loadDriver();
  const driver = startDriver(bindings);
  const gpus = indices.map((index) => inspectGpu(bindings, driver, index));
  for (const one of gpus) assertUsable(bindings, one);
  return [...new Map(gpus.map((one) => [one.capability, one])).values()];
}

/** What is compiled for. @throws OptionError for what says none; DeviceError where a GPU is asked that is not there, or has no kernels */
async function targetsOf({ capability, driver, device }: Options): Promise<Target[]> {
  if ((capability === undefined) !== (driver === undefined)) throw new OptionError('--capability and --driver say together what another machine has');
  if (capability === undefined || driver === undefined) return targetsHere(device.split(','));
  const digits = /^(\d{1,2})\.(\d)$/.exec(capability);
  const number = digits === null ? 0 : Number(digits[1] + digits[2]);
  if (number < 80) throw new OptionError(`--capability: 8.0 or more was expected, as in 9.0, got "${capability}"`);
  if (!/^1[2-9]\.\d$/.test(driver)) throw new OptionError(`--driver: its CUDA version was expected, 12.0 or more, as in 13.0, got "${driver}"`);
  return [{ ...gpu(number).cuda!, driver }];
}

/** Compiles them all, and says from time to time how far it is. Returns what failed, a line each. */
async function compileAll(variants: readonly Variant[], compile: (variant: Variant) => Promise<void>): Promise<string[]> {
  const began = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    const left = done === 0 ? '' : `, some ${Math.ceil((seconds / done) * (variants.length - done))} s to go`;
    console.log(`${done} of ${variants.length}, ${seconds.toFixed(0)} s${left}`);
  }, EVERY * 1000);
  const failed: string[] = [];
  await Promise.all(variants.map(async (variant) => {
    try {
      await compile(variant);
    } catch (error) {
      failed.push(`${variant.kernel} ${JSON.stringify(variant.define)}: ${(error as Error).message}`);
    }
    done++;
  }));
  clearInterval(timer);
  console.log(`${variants.length - failed.length} there, ${failed.length} failed, ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return failed;
}

/** Whether all of them compile. */
async function compileFor(
  { capability, driver, multiprocessors, sharedBytes }: Target, only: readonly string[], rung: Rung | undefined,
): Promise<boolean> {
  const koffi = await importKoffi();
  const { used: compiler, library } = chooseNvrtc(findNvrtc(undefined), parseInt(driver, 10),
    (one) => nvrtcCompiler({ koffi, library: one, capability, driver, threads: availableParallelism() }));
  try {
    console.log(`collecting kernels for compute capability ${capabilityWords({ capability })} and a driver of CUDA ${driver}`);
    const limits = { multiprocessors, sharedBytes, rung };
    const both = [...await collectVariants(gpu(capability, limits), BATCHES), ...await collectVariants(gpu(capability, { ...limits, tf32: true }), BATCHES)];
    const variants = [...new Map(both.map((one) => [`${one.kernel} ${JSON.stringify(one.define)}`, one])).values()]
      .filter(({ kernel }) => only.includes(kernel));
    console.log(`${variants.length} modules by ${compiler.version} (${library.path})`);
    const failed = await compileAll(variants, async ({ kernel, define }) => {
      const { source, headers } = kernelSource(cudaSources, kernel, define);
      await compiler.compile(kernel, source, define, headers);
    });
    for (const line of failed.slice(0, 20)) console.log(line);
    return failed.length === 0;
  } finally {
    compiler.dispose?.();
  }
}

async function main(options: Options): Promise<number> {
  const only = chosen(kernelNames, options.kernels);
  const rung = rungAsked();
  let failed = false;
  for (const target of await targetsOf(options)) failed = !await compileFor(target, only, rung) || failed;
  return failed ? 1 : 0;
}

const command = new Command('compile')
  .description('Compiles the CUDA kernels of the op suite and the benchmark into the cache.')
  .option('--device <name>', 'GPUs whose kernels they are: cuda or cuda:NUMBER, separated by commas', 'cuda')
  .option('--capability <x.y>', "another machine's GPU, 9.0 for Hopper; with --driver")
  .option('--driver <x.y>', "the CUDA version of that machine's driver, as 13.0")
  .option('--kernels <names>', 'some of the kernels, separated by commas (default: all)');
await runTool<Options>(command, main);
