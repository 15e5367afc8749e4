/** Names of single devices, as `device` takes them beside `auto`. */
export const deviceName = /^(cpu|webgpu|webgpu:.+|cuda|cuda:\d+)$/;
export const deviceNames = 'cpu, webgpu, webgpu:NAME, cuda or cuda:NUMBER';
