/** The WebGPU device. */
import { DeviceError } from '../../errors.ts';
import { checkTuning, tuningOf } from '../tuner.ts';
import type { TuningOptions } from '../tuner.ts';
import type { Device } from '../types.ts';
import type { FoundAdapter, GpuLike } from './adapter.ts';
import { findAdapter } from './adapter.ts';
import { WebgpuDevice } from './device.ts';
import type { Probed } from './probe.ts';
import { probe, PROBED_FEATURES } from './probe.ts';

export type { GpuLike } from './adapter.ts';
export { copyLaunch } from './copy.ts';
export type { Choices, TuningMode, TuningStore } from '../tuner.ts';

export interface WebgpuOptions extends TuningOptions {
  /** Part of the adapter's name, as `llvmpipe`; `lavapipe` for the one of lavapipe.ts. Default: a hardware adapter, else a software one. */
  readonly adapter?: string;
  /** An instance of WebGPU to use in place of `navigator.gpu` or npm `webgpu`. */
  readonly gpu?: GpuLike;
  /** Refuse software adapters. */
  readonly hardwareOnly?: boolean;
  /** Which of the kernels' variants to use, for tests and measurements. Default: what suits the adapter. */
  readonly kernels?: 'software' | 'hardware';
}

/** A WebGPU device with what choosing it found. */
export interface WebgpuDeviceInfo extends Device {
  readonly software: boolean;
  /** Why this adapter was taken and, for hardware kernels, what its subgroups and matrix units are like, in a few words. */
  readonly why: string;
  /** What was found or missed before this adapter, and not taken. */
  readonly refused: readonly string[];
}

/** Limits that are asked for as high as the adapter has them. */
const LIMITS: readonly (keyof GPUSupportedLimits)[] = [
  'maxStorageBufferBindingSize', 'maxBufferSize', 'maxComputeWorkgroupStorageSize', 'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY', 'maxStorageBuffersPerShaderStage',
];

/** @throws DeviceError where the adapter refuses */
async function request({ adapter, name }: FoundAdapter, softwareKernels: boolean): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  for (const limit of LIMITS) requiredLimits[limit] = adapter.limits[limit] as number;
  requiredLimits.maxComputeInvocationsPerWorkgroup = Math.min(256, adapter.limits.maxComputeInvocationsPerWorkgroup);
  const useful = ['timestamp-query', 'shader-f16', ...(softwareKernels ? [] : PROBED_FEATURES)] as GPUFeatureName[];
  const requiredFeatures = useful.filter((feature) => adapter.features.has(feature));
  try {
    return await adapter.requestDevice({ label: 'fovea', requiredLimits, requiredFeatures });
  } catch (cause) {
    throw new DeviceError(`${name} gives no device: ${(cause as Error).message}`, { cause });
  }
}

/** An adapter gives one device, so the one for trying things comes from another of the same kind; what goes wrong there costs features alone. */
async function probeAside(options: WebgpuOptions, found: FoundAdapter): Promise<Probed> {
  try {
    return await probe(await request(await findAdapter(options), false), found.adapter.info);
  } catch (error) {
    return { features: {}, words: [`subgroups and matrix units not tried: ${(error as Error).message}`] };
  }
}

/**
 * Opens a WebGPU device.
 * @throws MissingPackageError in Node without npm `webgpu`; DeviceError when there is no such adapter.
 */
export async function webgpu(options: WebgpuOptions = {}): Promise<WebgpuDeviceInfo> {
  checkTuning(options);
  const found = await findAdapter(options);
  const softwareKernels = (options.kernels ?? (found.software ? 'software' : 'hardware')) === 'software';
  const promising = !softwareKernels && PROBED_FEATURES.some((feature) => found.adapter.features.has(feature));
  const probed = promising ? await probeAside(options, found) : undefined;
  const device = await request(found, softwareKernels);
  const tuning = await tuningOf(options, found.software ? 'table' : 'measure', 'webgpu');
  return new WebgpuDevice(device, found, softwareKernels, tuning, probed);
}
