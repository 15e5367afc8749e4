/** Probing subgroups and matrix units: a device that fails or hangs is told in words, within the time given, and is never the one in use. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FoundAdapter } from '../../src/device/webgpu/adapter.ts';
import { findAdapter } from '../../src/device/webgpu/adapter.ts';
import { webgpu } from '../../src/device/webgpu/index.ts';
import { probe } from '../../src/device/webgpu/probe.ts';
import { suiteUnless } from '../support/webgpu.ts';

const found = await findAdapter({ adapter: 'lavapipe' }).catch((error: Error) => error);
const info = { subgroupMinSize: 8, subgroupMaxSize: 8 } as unknown as GPUAdapterInfo;

/** A device with subgroups that does what it is told to; `destroyed` counts. */
function fake(parts: Partial<Record<keyof GPUDevice, unknown>>): { device: GPUDevice; destroyed: () => number } {
  let destroyed = 0;
  const device = { features: new Set(['subgroups']), destroy: () => destroyed++, pushErrorScope: () => {}, ...parts };
  return { device: device as unknown as GPUDevice, destroyed: () => destroyed };
}

test('a device that has no room for the probe has no subgroups; it is destroyed', async () => {
  const { device, destroyed } = fake({ createBuffer: () => { throw new RangeError('no room at all'); } });
  const { features, words } = await probe(device, info);
  assert.equal(features, {});
  assert.equal(words, ['no subgroups: no room at all', 'no matrix units: they need subgroups']);
  assert.is(destroyed(), 1);
});

test('a shader that never answers is given up, and its device left alone', async () => {
  const never = new Promise(() => {});
  const buffer = { destroy: () => {}, mapAsync: () => never };
  const nothing = new Proxy({}, { get: () => () => nothing }) as object;
  const { device, destroyed } = fake({
    createBuffer: () => buffer, popErrorScope: () => Promise.resolve(null), createShaderModule: () => nothing,
    createComputePipeline: () => nothing, createBindGroup: () => nothing, createCommandEncoder: () => nothing, queue: { submit: () => {} },
  });
  const { words } = await probe(device, info, 20);
  assert.is(words[0], 'no subgroups: no answer in 0.02 seconds');
  assert.is(destroyed(), 0);
});

test('a failure whose words are those of a hang is none: its device is destroyed', async () => {
  const { device, destroyed } = fake({ createBuffer: () => { throw new RangeError('no answer in 10 seconds'); } });
  await probe(device, info);
  assert.is(destroyed(), 1);
});

const onAdapter = suiteUnless(found instanceof Error ? found.message : undefined, 'probe on an adapter');

onAdapter('two devices are made: the probe destroys the first, the second is in use', async () => {
  const { gpu } = found as FoundAdapter;
  const made: GPUDevice[] = [];
  const requestAdapter = async (options?: object): Promise<object | null> => {
    const adapter = await gpu.requestAdapter(options);
    if (adapter === null) return null;
    return { info: adapter.info, limits: adapter.limits, features: adapter.features, requestDevice: async (wanted: GPUDeviceDescriptor) => {
      made.push(await adapter.requestDevice(wanted));
      return made[made.length - 1];
    } };
  };
  const own = await webgpu({ kernels: 'hardware', tuning: 'off', gpu: { requestAdapter } });
  assert.is(made.length, 2);
  assert.is((await made[0].lost).reason, 'destroyed');
  assert.match(own.why, /subgroups of \d+/);
  const buffer = own.allocate(16, 'test');
  own.write(buffer, 0, Uint8Array.of(1, 2, 3, 4));
  assert.equal([...await own.read(buffer, 0, 4)], [1, 2, 3, 4]);
  own.dispose();
});
test.run();
onAdapter.run();
