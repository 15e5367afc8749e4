import type { Device, Launch, Placed } from './types.ts';
import { copyLaunch as cpuCopy } from './cpu/copy.ts';
import { copyLaunch as cudaCopy } from './cuda/copy.ts';
import { copyLaunch as webgpuCopy } from './webgpu/copy.ts';

const copies: Readonly<Record<Device['kind'], (from: Placed, to: Placed) => Launch>> = { cpu: cpuCopy, webgpu: webgpuCopy, cuda: cudaCopy };

/** The launch that copies a value to another place: same dtype, rows x channels, any strides. */
export function copyLaunch(kind: Device['kind'], from: Placed, to: Placed): Launch {
  return copies[kind](from, to);
}
