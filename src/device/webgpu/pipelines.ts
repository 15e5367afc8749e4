/** Compiled kernels of one device, by shader and replacements. */
import { DeviceError } from '../../errors.ts';
import type { DeviceCounters, PlacedLaunch, WebgpuLaunch } from '../types.ts';
import { COMPUTE_STAGE } from './constants.ts';
import { shaderSource } from './shader.ts';

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** `conv2d (kernel conv2d_forward) called at file:line`, for messages. */
export function describeLaunch(placed: PlacedLaunch): string {
  const launch = placed.launch as WebgpuLaunch;
  return `${placed.node} (kernel ${launch.shader})${placed.site === undefined ? '' : ` from ${placed.site}`}`;
}

const letters = { read: 'r', write: 'w', 'read-write': 'w', texture: 't' } as const;

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #counters: DeviceCounters;
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  readonly #pipelines = new Map<string, Promise<Pipeline>>();

  constructor(device: GPUDevice, counters: DeviceCounters) {
    this.#device = device;
    this.#counters = counters;
  }

  /** The pipeline of a launch, compiled once. Rejects with a DeviceError that has the compiler's words. */
  get(placed: PlacedLaunch): Promise<Pipeline> {
    const launch = placed.launch as WebgpuLaunch;
    const access = launch.bindings.map((b) => letters[b.access]).join('');
    const key = `${launch.shader}|${access}|${launch.replace === undefined ? '' : JSON.stringify(launch.replace)}`;
    let made = this.#pipelines.get(key);
    if (made === undefined) {
      made = this.#compile(launch, access, key, placed);
      this.#pipelines.set(key, made);
      // A failure is told to whoever asked; the next asker tries again.
      made.catch(() => this.#pipelines.delete(key));
    }
    return made;
  }

  #layout(access: string): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    let layout = this.#layouts.get(access);
    if (layout === undefined) {
      const entries: GPUBindGroupLayoutEntry[] = [{ binding: 0, visibility: COMPUTE_STAGE, buffer: { type: 'uniform' } }];
      for (let i = 0; i < access.length; i++) {
        const place = { binding: i + 1, visibility: COMPUTE_STAGE };
        if (access[i] === 't') entries.push({ ...place, texture: { sampleType: 'unfilterable-float' } });
        else entries.push({ ...place, buffer: { type: access[i] === 'r' ? 'read-only-storage' : 'storage' } });
      }
      const group = this.#device.createBindGroupLayout({ label: access, entries });
      layout = { group, pipeline: this.#device.createPipelineLayout({ label: access, bindGroupLayouts: [group] }) };
      this.#layouts.set(access, layout);
    }
    return layout;
  }

  async #compile(launch: WebgpuLaunch, access: string, label: string, placed: PlacedLaunch): Promise<Pipeline> {
    const code = shaderSource(launch.shader, launch.replace);
    this.#counters.compilations++;
    const device = this.#device;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label, code });
    const layout = this.#layout(access);
    const making = device.createComputePipelineAsync({ label, layout: layout.pipeline, compute: { module, entryPoint: 'main' } })
      .then((pipeline) => ({ pipeline }), (error: Error) => ({ error }));
    const scope = device.popErrorScope();
    const [made, error] = await Promise.all([making, scope]);
    if ('pipeline' in made && error === null) return { pipeline: made.pipeline, layout: layout.group };
    const messages = await module.getCompilationInfo().then((i) => i.messages, () => []);
    // lines are those of the source with everything filled in, so the line itself tells more than its number
    const lines = code.split('\n');
    const words = messages.filter((m) => m.type === 'error')
      .map((m) => `${m.message} in "${lines[m.lineNum - 1]?.trim() ?? ''}"`).join('; ');
    const why = words || error?.message || ('error' in made ? made.error.message : 'unknown error');
    throw new DeviceError(`createComputePipeline failed for ${describeLaunch(placed)}: ${why}`);
  }
}
