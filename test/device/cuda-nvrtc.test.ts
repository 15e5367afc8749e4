/**
 * CUDA kernels, with sets of macros that lowerings make for the ops' samples, compile by the product's own path through the real NVRTC, for
 * sm_80 and sm_90a: a few of each kernel, and with FOVEA_CUDA_ALL=1 all. Nothing is run: there need be no GPU.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { importKoffi } from '../../src/device/cuda/bindings.ts';
import { architectureFor, nvrtcOptions } from '../../src/device/cuda/compile.ts';
import { findNvrtc } from '../../src/device/cuda/find.ts';
import { nvrtcInfo, NvrtcPool } from '../../src/device/cuda/nvrtc.ts';
import { kernelSource } from '../../src/device/cuda/source.ts';
import { copyLaunch } from '../../src/device/copy.ts';
import type { CudaLaunch, DType, GpuFeatures, Launch, PlacedLaunch } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import '../../src/fovea.ts';
import { MissingPackageError } from '../../src/errors.ts';
import { cudaSources } from '../../src/generated/cuda.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import { hostArray } from '../../src/graph/leaves.ts';
import type { Sample } from '../../src/graph/op.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { apply } from '../../src/tensor/tensor.ts';
import { float16Samples, samplesOf } from '../../src/testing/check-op.ts';
import { layouts, placed, requested } from '../../src/testing/inputs.ts';
import { planningDevice } from '../support/planning-device.ts';
import { suiteUnless } from '../support/webgpu.ts';

/** A GPU, and what limits the kernels that products take on it. */
const gpu = (capability: number, limits: Partial<GpuFeatures['cuda']> = {}): GpuFeatures => ({
  hardware: true, subgroup: 32, cuda: { capability, multiprocessors: 132, sharedBytes: capability === 90 ? 232448 : 166912, ...limits },
});

/** Ampere's first and Hopper, and each rung of products. */
const gpus = [
  gpu(80), gpu(90), gpu(80, { rung: 'simt' }), gpu(80, { rung: 'async' }), gpu(80, { rung: 'tensor', tf32: true }), gpu(90, { rung: 'tensor' }),
  gpu(90, { rung: 'hopper', tf32: true }),
];
const capabilities = [80, 90];

/** Of each kernel, for each GPU: there are some 3,000 modules in all, of a tenth of a second to two seconds each. */
const MOST_VARIANTS = process.env.FOVEA_CUDA_ALL === '1' ? Infinity : 4;

interface Wanted {
  readonly kernel: string;
  readonly define: Readonly<Record<string, string | number>>;
  readonly capability: number;
}

/** What each GPU is asked to compile for all that ops' samples become, in every placement. */
async function collect(): Promise<Wanted[]> {
  const wanted = new Map<string, Wanted>();
  const keep = (launch: Launch, capability: number): void => {
    const { kernel, define = {} } = launch as CudaLaunch;
    wanted.set(`${capability} ${kernel} ${JSON.stringify(define)}`, { kernel, define, capability });
  };
  const planning = planningDevice(2 ** 36, 'cuda');
  for (const dtype of ['float32', 'float16', 'uint8'] as DType[]) {
    for (const channels of [3, 4]) {
      const value = { buffer: planning.allocate(64, 'x'), offset: 0, rows: 1, channels, stride: channels, shape: [1, channels], dtype };
      for (const capability of capabilities) keep(copyLaunch('cuda', value, value), capability);
    }
  }
  for (const [i, features] of gpus.entries()) {
    let only: readonly number[] = capabilities;
    const device = {
      ...planning, features, build: (launches: readonly PlacedLaunch[]) => {
        for (const { launch } of launches) for (const capability of only) keep(launch, capability);
        return planning.build(launches);
      },
    };
    for (const op of registeredOps()) {
      if (op.kernels?.cuda === undefined) continue;
      // The GPU matters to products alone.
      const matrix = op.precision === 'matrix';
      if (!matrix && i > 0) continue;
      only = matrix ? [features.cuda!.capability] : capabilities;
      for (const { inputs, outputs } of Object.values(layouts)) {
        const asked = [...samplesOf(op), ...float16Samples(op)].flatMap((sample: Sample) => {
          const values = sample.inputs.map((input, j) =>
            placed(hostArray(input.dtype, sizeOf(input.shape)), input, inputs[j % inputs.length]));
          return apply(op, values, sample.attrs).map((t, j) => requested(t, outputs[j % outputs.length]).tensor.value);
        });
        await evaluate(asked, device);
      }
    }
  }
  return [...wanted.values()];
}

/** A few of each kernel and GPU, evenly from all. */
function some(all: readonly Wanted[]): Wanted[] {
  const groups = new Map<string, Wanted[]>();
  for (const one of all) {
    const key = `${one.kernel} ${one.capability}`;
    groups.set(key, [...groups.get(key) ?? [], one]);
  }
  return [...groups.values()].flatMap((group) => {
    const count = Math.min(MOST_VARIANTS, group.length);
    return Array.from({ length: count }, (_, i) => group[Math.floor((i * group.length) / count)]);
  });
}

async function reasonNot(): Promise<string | undefined> {
  try {
    await importKoffi();
    return findNvrtc(undefined).some(({ major }) => major >= 12) ? undefined : 'no NVRTC: pip install --target .cache/cuda nvidia-cuda-nvrtc';
  } catch (error) {
    if (error instanceof MissingPackageError) return error.message;
    throw error;
  }
}

const reason = await reasonNot();
const test = suiteUnless(reason, 'CUDA kernels by NVRTC');
const wanted = reason === undefined ? await collect() : [];

test('kernels that lowerings ask for compile', async () => {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12)!;
  const info = nvrtcInfo(await importKoffi(), library.path);
  const pool = new NvrtcPool(library.path);
  const began = performance.now();
  const failures: string[] = [];
  const tried = some(wanted);
  await Promise.all(tried.map(async ({ kernel, define, capability }) => {
    const { source, headers } = kernelSource(cudaSources, kernel, define);
    const job = { name: `${kernel}.cu`, source, headers, options: nvrtcOptions(architectureFor(capability, info)) };
    // An ELF file: what a driver loads.
    const cubin = await pool.compile(job).catch((error: Error) => error);
    if (cubin instanceof Error) failures.push(`${kernel} ${JSON.stringify(define)} for ${capability}: ${cubin.message.slice(0, 1000)}`);
    else if (Buffer.from(cubin.subarray(0, 4)).toString('latin1') !== '\x7fELF') failures.push(`${kernel}: no ELF file`);
  }));
  pool.dispose();
  console.log(`\n${tried.length} of ${wanted.length} modules by NVRTC ${info.version} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.is(failures.length, 0, `${failures.length}: ${failures.slice(0, 5).join('\n')}`);
});

test('what does not compile is seen', async () => {
  const library = findNvrtc(undefined).find(({ major }) => major >= 12)!;
  const pool = new NvrtcPool(library.path, 1);
  const { source, headers } = kernelSource(cudaSources, 'copy', { WORD: 'nothing' });
  const error = await pool.compile({ name: 'copy.cu', source, headers, options: nvrtcOptions('sm_80') }).catch((e: Error) => e);
  pool.dispose();
  assert.match((error as Error).message, /NVRTC_ERROR_COMPILATION\ncopy.cu\(\d+\): error: [^]*identifier "nothing" is undefined/);
});

test('no kernel is left out', () => {
  const folder = fileURLToPath(new URL('../../kernels/cuda/', import.meta.url));
  const files = readdirSync(folder).filter((file) => file.endsWith('.cu')).map((file) => file.slice(0, -'.cu'.length));
  const asked = new Set(wanted.map(({ kernel }) => kernel));
  assert.equal(files.filter((file) => !asked.has(file)), []);
});
test.run();
