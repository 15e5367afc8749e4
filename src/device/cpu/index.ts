export { cpu, type CpuOptions } from './device.ts';
export { copyLaunch } from './copy.ts';
export { hasRelaxedSimd } from './module.ts';
