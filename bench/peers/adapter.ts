/** Our adapter handed to engines that look for it under a browser's names. */
import { findAdapter } from '../../src/device/webgpu/adapter.ts';

/** Sets `navigator.gpu` and WebGPU's globals, so that who asks for an adapter gets the one that our device has. */
export async function offerAdapter(adapter: string | undefined): Promise<string> {
  const { globals } = await import('webgpu');
  const found = await findAdapter({ adapter });
  // Every request makes a new adapter object of the same adapter: one can make one device only.
  const requestAdapter = async (): Promise<GPUAdapter> => {
    const { adapter: fresh } = await findAdapter({ adapter });
    return fresh;
  };
  Object.assign(globalThis, globals);
  const gpu = { requestAdapter, getPreferredCanvasFormat: () => 'rgba8unorm' };
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'node' }, configurable: true });
  return found.name;
}
