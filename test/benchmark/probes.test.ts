// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { probe } from '../../src/benchmark/probes.ts';
import { cpu } from '../../src/device/cpu/index.ts';
import type { Device, Executable } from '../../src/device/types.ts';
import { openWebgpu } from '../support/webgpu.ts';

const options = { runs: 1, streamBytes: 4 << 20 };

/** The device, with launches of one kind left out. */
function crippled(real: Device, node: string): Device {
  const nothing: Executable = { bytes: 0, run: async () => undefined, profile: async () => [], dispose: () => undefined };
  return new Proxy(real, {
    get(target, key) {
      if (key === 'build') return async (launches: Parameters<Device['build']>[0]) => (launches[0].node === node ? nothing : target.build(launches));
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const webgpu = await openWebgpu();
const devices: Device[] = [await cpu({ threads: 2 }), await cpu({ threads: 1, relaxedSimd: false }), ...(webgpu.device ? [webgpu.device] : [])];

for (const device of devices) {
  test(`${device.name}: every probe is checked for what it leaves, and one that does nothing is named`, async () => {
    const found = await probe(device, 2, options);
    const whats = ['multiply-add', 'read', 'write', 'copy'];
    assert.equal(found.map((p) => p.what), device.kind === 'cpu' ? ['clock', ...whats] : whats);
    for (const { what, value } of found) {
      assert.ok(value > 0);
      let message = '';
      await probe(crippled(device, `probe ${what}`), 2, options).catch((error: Error) => (message = error.message));
      assert.match(message, new RegExp(`the ${what} probe left .* where it should have left`));
    }
  });
}

test('a peak does not count where the clock shows that something else had the cores', async () => {
  const [, device] = devices;
  const counted = async (fastest: number): Promise<[boolean | undefined, string]> => {
    const { counts, note } = (await probe(device, 1, { ...options, fastest })).find((p) => p.what === 'multiply-add')!;
    return [counts, note!];
  };
  const [counts, note] = await counted(1000);
  assert.is(counts, false);
  assert.match(note, /one thread had 1000\.00 GHz: the cores were not free/);
  assert.not.match((await counted(0.001))[1], /not free/);
});

test.after(() => devices.forEach((d) => d.dispose()));
test.run();
