/** Error scopes: WebGPU tells what went wrong only to those who ask. */

/** Runs `work` in error scopes and returns the first error's words. */
export async function scoped(device: GPUDevice, work: () => void): Promise<string | undefined> {
  const filters: GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];
  for (const filter of filters) device.pushErrorScope(filter);
  let popped: Promise<GPUError | null>[] = [];
  try {
    work();
  } finally {
    popped = filters.map(() => device.popErrorScope());
  }
  for (const error of await Promise.all(popped)) if (error !== null) return error.message;
  return undefined;
}
