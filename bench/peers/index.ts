/**
 * Other engines, each in a file and a process of its own and each optional: what is not installed is named with the command that
 * installs it. What TypeScript needs to know of them is declared where it is used, so that types check without them.
 */
import type { AbsentPeer, Peer, PeerOptions } from '../../src/benchmark/types.ts';
import { isAsked } from './asked.ts';
import { isolated } from './isolated.ts';
import { jaxJsWebgpu } from './jax-js.ts';
import { pythonPeers } from './python.ts';

/** The peers that can stand beside the devices measured. */
export async function openPeers(options: PeerOptions): Promise<(Peer | AbsentPeer)[]> {
  const { beside, threads, adapter, only } = options;
  const open = (name: string, file: string, given: object = {}): Promise<Peer | AbsentPeer>[] =>
    (isAsked(name, only) ? [isolated(name, new URL(file, import.meta.url), given)] : []);
  const cpu = (): Promise<Peer | AbsentPeer>[] => [
    ...open('tfjs-wasm', 'tfjs-wasm.ts'), ...threads.flatMap((count) => open('onnxruntime', 'onnxruntime.ts', { threads: count })),
    ...open('jax-js, wasm', 'jax-js.ts'), ...['cpu', 'webasm'].flatMap((mode) => open(`gpu.js, ${mode}`, 'gpu-js.ts', { mode })),
  ];
  const webgpu = (): Promise<Peer | AbsentPeer>[] => [
    ...open('tfjs-webgpu', 'tfjs-webgpu.ts', { adapter }), ...open('gpu.js, webgpu', 'gpu-js.ts', { mode: 'webgpu', adapter }),
  ];
  return [
    ...(beside.includes('cpu') ? await Promise.all(cpu()) : []),
    ...(beside.includes('webgpu') ? [...await Promise.all(webgpu()), ...(isAsked(jaxJsWebgpu.name, only) ? [jaxJsWebgpu] : [])] : []),
    ...await pythonPeers(options),
  ];
}
