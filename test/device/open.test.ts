/** Opening devices by name. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultDevice, device, setDefaultDevice } from '../../src/device/index.ts';
import { tensor } from '../../src/fovea.ts';

test('a device is opened once under a name, and anew after it was disposed of', async () => {
  const first = await device('cpu', { threads: 1 });
  assert.is(await device('cpu', { threads: 1 }), first);
  assert.not(first.disposed);
  first.dispose();
  assert.ok(first.disposed);
  const [second, third] = await Promise.all([device('cpu', { threads: 1 }), device('cpu', { threads: 1 })]);
  assert.is.not(second, first);
  assert.is(second, third);
  second.dispose();
});

test('a default device that was disposed of is chosen anew', async () => {
  const first = await device('cpu', { threads: 1 });
  setDefaultDevice(first);
  assert.is(await defaultDevice(), first);
  first.dispose();
  const second = await defaultDevice();
  assert.is.not(second, first);
  assert.equal(Array.from(await tensor([1, 2]).add(1).data()), [2, 3]);
  second.dispose();
  setDefaultDevice(undefined);
});

test.run();
