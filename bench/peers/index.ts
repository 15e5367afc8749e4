/**
 * Other engines, each in a file of its own and each optional: what is not installed is named with the command that installs it.
 * What TypeScript needs to know of them is declared where it is used, so that types check without them.
 */
import type { AbsentPeer, Peer, PeerOptions } from '../../src/benchmark/types.ts';
import { gpuJs } from './gpu-js.ts';
import { jaxJs } from './jax-js.ts';
import { onnxruntime } from './onnxruntime.ts';
import { pythonPeers } from './python.ts';
import { tfjsWasm } from './tfjs-wasm.ts';
import { tfjsWebgpu } from './tfjs-webgpu.ts';

/** The peers that can stand beside the devices measured. */
export async function openPeers(options: PeerOptions): Promise<(Peer | AbsentPeer)[]> {
  const { beside } = options;
  const peers: (Peer | AbsentPeer)[] = [];
  if (beside.includes('cpu')) {
    peers.push(await tfjsWasm(), ...await onnxruntime(options.threads), ...await jaxJs(), ...await gpuJs('cpu', options), ...await gpuJs('webasm', options));
    peers.push(...await pythonPeers(options));
  }
  if (beside.includes('webgpu')) peers.push(await tfjsWebgpu(options), ...await gpuJs('webgpu', options));
  return peers;
}
