import type { Device, Launch, Placed } from './types.ts';
import { copyLaunch as cpuCopy } from './cpu/copy.ts';
import { copyLaunch as webgpuCopy } from './webgpu/copy.ts';

/** The launch that copies a value to another place: same dtype, rows x channels, any strides. */
export function copyLaunch(kind: Device['kind'], from: Placed, to: Placed): Launch {
  return kind === 'webgpu' ? webgpuCopy(from, to) : cpuCopy(from, to);
}
