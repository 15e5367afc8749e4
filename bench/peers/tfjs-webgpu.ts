/** tfjs with its WebGPU backend, on the very adapter that our device has. */
import type { AbsentPeer } from '../../src/benchmark/types.ts';
import { offerAdapter } from './adapter.ts';
import { BenchmarkError } from '../../src/errors.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Engine } from './isolated.ts';
import type { Tf, TfBackend } from './tfjs.ts';
import { tfKernel } from './tfjs.ts';
import { tfStep } from './tfjs-step.ts';

const name = 'tfjs-webgpu';
const packageName = '@tensorflow/tfjs-backend-webgpu';

export async function open({ adapter }: { adapter?: string }): Promise<Engine | AbsentPeer> {
  if (locate(packageName) === undefined) return { name, absent: installCommand };
  const adapterName = await offerAdapter(adapter);
  // The whole package, since it is what registers gradients and ops as methods.
  const tf = await load<Tf>('@tensorflow/tfjs');
  await load(packageName);
  const flush = (): Promise<void> => submitted(tf.backend());
  return {
    name, beside: ['webgpu'], ops: ['matmul', 'conv2d', 'conv2dInputGrad', 'conv2dFilterGrad', 'maxPool2d', 'step'], slowness: 100,
    versions: { tfjs: versionOf(packageName), adapter: adapterName },
    async enter(problem, values) {
      await tf.setBackend('webgpu');
      await tf.ready();
      if (problem.kind === 'step') return tfStep(tf, name, problem);
      return tfKernel(tf, name, flush, problem, values) ?? { absent: 'not compared' };
    },
  };
}

/**
 * Submits what the backend has recorded, and waits for it. Its fields are no interface of tfjs: under other names nothing would be
 * submitted, and kernels timed without their work.
 *
 * @throws BenchmarkError where it has none of these names
 */
export async function submitted(backend: TfBackend): Promise<void> {
  const { device } = backend;
  const missing = (['submitQueue', 'endComputePassEncoder'] as const).find((key) => typeof backend[key] !== 'function')
    ?? (backend.commandEncoder === undefined ? 'commandEncoder' : device === undefined ? 'device' : undefined);
  if (missing !== undefined || device === undefined) throw new BenchmarkError(`this version of tfjs's webgpu backend has no ${missing}: expected that of 4.22`);
  backend.endComputePassEncoder!();
  // It submits by itself after some launches, and then has none to submit.
  if (backend.commandEncoder !== null) backend.submitQueue!();
  await device.queue.onSubmittedWorkDone();
}
