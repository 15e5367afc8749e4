/**
 * Compiles, several at once, the CUDA kernels that the op suite and the benchmark ask for into the cache in which the device looks for them: the
 * suite meets them one after another, and would wait for each. What is there already is left.
 *
 *   node --import tsx tools/gpu/compile.ts                                    for this machine's GPU
 *   node --import tsx tools/gpu/compile.ts --capability 90 --driver 13.0      for another's, with the NVRTC that is there too, without one here
 *
 * The cache is `$FOVEA_CACHE/cuda`; it can be carried to a machine that has the same driver's CUDA version and the same version of NVRTC.
 */
import { parseArgs } from 'node:util';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { nvrtcCompiler } from '../../src/device/cuda/compile.ts';
import { chooseNvrtc, findNvrtc } from '../../src/device/cuda/find.ts';
import { inspectGpu, startDriver } from '../../src/device/cuda/gpu.ts';
import { loadDriver } from '../../src/device/cuda/index.ts';
import type { Rung } from '../../src/device/cuda/device.ts';
import { kernelSource } from '../../src/device/cuda/source.ts';
import { cudaSources } from '../../src/generated/cuda.ts';
import { collectVariants } from '../cuda-variants.ts';

/** Images of the kernels and steps that are measured. */
const BATCHES = [32, 128, 256];

const { values } = parseArgs({ options: { capability: { type: 'string' }, driver: { type: 'string' }, kernels: { type: 'string' } } });
const found = async (): Promise<{ capability: number; driver: string }> => {
  const bindings = await loadDriver();
  return inspectGpu(bindings, startDriver(bindings), 0);
};
const { capability, driver } = values.capability !== undefined && values.driver !== undefined
  ? { capability: Number(values.capability), driver: values.driver } : await found();
const koffi = await importKoffi();
const { used: compiler, library } = chooseNvrtc(findNvrtc(undefined), parseInt(driver, 10),
  (one) => nvrtcCompiler({ koffi, library: one, capability, driver }));
const rung = (process.env.FOVEA_CUDA_RUNG || undefined) as Rung | undefined;
// Lowerings tell GPUs of one generation apart no further.
const features = { hardware: true, subgroup: 32, cuda: { capability, multiprocessors: 132, sharedBytes: 232448, rung } };
const inTf32 = { ...features, cuda: { ...features.cuda, tf32: true } };
const only = values.kernels?.split(',');
const both = [...await collectVariants(features, BATCHES), ...await collectVariants(inTf32, BATCHES)];
const variants = [...new Map(both.map((one) => [`${one.kernel} ${JSON.stringify(one.define)}`, one])).values()]
  .filter(({ kernel }) => only?.includes(kernel) ?? true);
console.log(`${variants.length} modules for compute capability ${capability / 10} and a driver of CUDA ${driver}, by ${compiler.version} (${library.path})`);
const began = performance.now();
const results = await Promise.allSettled(variants.map(async ({ kernel, define }) => {
  const { source, headers } = kernelSource(cudaSources, kernel, define);
  await compiler.compile(kernel, source, define, headers);
}));
compiler.dispose?.();
const failed = results.flatMap((one, i) => (one.status === 'rejected'
  ? [`${variants[i].kernel} ${JSON.stringify(variants[i].define)}: ${(one.reason as Error).message}`] : []));
for (const line of failed.slice(0, 20)) console.log(line);
console.log(`${variants.length - failed.length} there, ${failed.length} failed, ${((performance.now() - began) / 1000).toFixed(1)} s`);
process.exitCode = failed.length > 0 ? 1 : 0;
