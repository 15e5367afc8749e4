/** tfjs with its WebGPU backend, on the very adapter that our device has. */
import type { AbsentPeer } from '../../src/benchmark/types.ts';
import { offerAdapter } from './adapter.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Engine } from './isolated.ts';
import type { Tf } from './tfjs.ts';
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
  const flush = async (): Promise<void> => {
    const backend = tf.backend();
    backend.endComputePassEncoder!();
    // It submits by itself after some launches, and then has none to submit.
    if (backend.currentCommandEncoder) backend.submitQueue!();
    await backend.device!.queue.onSubmittedWorkDone();
  };
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
