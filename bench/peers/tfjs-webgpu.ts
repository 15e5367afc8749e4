/** tfjs with its WebGPU backend, on the very adapter that our device has. */
import type { AbsentPeer, Peer, PeerOptions } from '../../src/benchmark/types.ts';
import { offerAdapter } from './adapter.ts';
import { installCommand, load, locate, versionOf } from './install.ts';
import type { Tf } from './tfjs.ts';
import { tfKernel } from './tfjs.ts';
import { tfStep } from './tfjs-step.ts';

const name = 'tfjs-webgpu';
const packageName = '@tensorflow/tfjs-backend-webgpu';

export async function tfjsWebgpu({ adapter }: PeerOptions): Promise<Peer | AbsentPeer> {
  if (locate(packageName) === undefined) return { name, absent: installCommand };
  const adapterName = await offerAdapter(adapter);
  // The whole package, since it is what registers gradients and ops as methods.
  const tf = await load<Tf>('@tensorflow/tfjs');
  await load(packageName);
  const flush = async (): Promise<void> => {
    const backend = tf.backend();
    backend.endComputePassEncoder!();
    backend.submitQueue!();
    await backend.device!.queue.onSubmittedWorkDone();
  };
  return {
    name, beside: 'webgpu', versions: { tfjs: versionOf(packageName), adapter: adapterName }, smallestStepOnly: true,
    async enter(problem, values) {
      await tf.setBackend('webgpu');
      await tf.ready();
      if (problem.kind === 'step') return tfStep(tf, name, problem);
      return tfKernel(tf, name, flush, problem, values) ?? { absent: 'not compared' };
    },
    dispose: () => undefined,
  };
}
