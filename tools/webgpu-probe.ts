// Runs a compute shader on the adapter that Fovea would take and prints `adapter: NAME`. A process of its own for
// tools/webgpu-driver.mjs, with nothing of Fovea but the driver's lookup: it works before anything is generated.
import { loadSoftwareDriver } from '../src/device/webgpu/driver.ts';

/** Doubles 64 numbers on the device. Throws, or returns what came back. */
async function double(adapter: GPUAdapter): Promise<Float32Array> {
  const device = await adapter.requestDevice();
  device.pushErrorScope('validation');
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 2 * x[id.x]; }`;
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({ size: 256, usage });
  const read = device.createBuffer({ size: 256, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, Float32Array.from({ length: 64 }, (_, i) => i));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const layout = pipeline.getBindGroupLayout(0);
  pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, read, 0, 256);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  const result = new Float32Array(read.getMappedRange().slice(0));
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
  device.destroy();
  return result;
}

const softwareOnly = process.argv.includes('--software');
const { create, globals } = await import('webgpu');
Object.assign(globalThis, globals);
// Loaded before the first call of Dawn, which reads the environment then. It leaves a hardware adapter's backend alone.
const driver = loadSoftwareDriver();
// Dawn crashes in ProcessEvents once what `create` returned is collected as garbage: it is kept to the end.
const kept: GPU[] = [];
function open(options: string[]): GPU {
  const gpu = create(options);
  kept.push(gpu);
  return gpu;
}
const hardware = softwareOnly ? null : await open([]).requestAdapter().catch(() => null);
const isHardware = hardware !== null && hardware.info.architecture !== 'swiftshader' && !/llvmpipe/.test(
  `${hardware.info.description} ${hardware.info.device}`,
);
const adapter = isHardware
  ? hardware
  : driver && await open(['backend=opengles']).requestAdapter({ featureLevel: 'compatibility' });
if (!adapter) {
  console.error(driver ? `no adapter with the driver of ${driver.source}` : 'no adapter and no software driver');
  process.exit(1);
}
const got = await double(adapter);
if (got.some((value, i) => value !== 2 * i)) {
  console.error(`the adapter computes wrongly: 2 * [0, 1, 2, ...] came back as ${got.slice(0, 4).join(', ')}, ...`);
  process.exit(1);
}
const { vendor, architecture, device, description } = adapter.info;
const origin = isHardware ? 'hardware' : driver?.source;
console.log(`adapter: ${[vendor, architecture, device, description].filter(Boolean).join(' ').trim()} (${origin})`);
process.exit(kept.length > 0 ? 0 : 1);
