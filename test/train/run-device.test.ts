// time limit: 120 s
/** Runs close the devices that they open, whatever happens, and none that another run uses. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DeviceError, OptionError } from '../../src/errors.ts';
import { checkRun, closeRunDevice, dryRun, openRunDevice } from '../../src/train/index.ts';
import type { RunOptions } from '../../src/train/index.ts';
import { rejects } from '../support/errors.ts';

const options: RunOptions = { patients: 20, size: 32, width: 0.25, batch: 8, device: 'cpu', threads: 1 };
const second: RunOptions = { device: 'cpu' };
process.env.FOVEA_CACHE ??= join(tmpdir(), 'fovea-run-device');

/** Holds devices while something runs that opens them too: it leaves them open, and ours is then the last hold on each. */
async function closes(run: () => Promise<unknown>, ...opened: RunOptions[]): Promise<void> {
  const held = await Promise.all(opened.map((each) => openRunDevice(each)));
  assert.is(new Set(held).size, opened.length);
  await run();
  assert.equal(held.map(({ disposed }) => disposed), held.map(() => false), 'a device that is in use was disposed of');
  held.forEach(closeRunDevice);
  assert.equal(held.map(({ disposed }) => disposed), held.map(() => true), 'a device was left open');
}

test('the last to close a device disposes of it, and who asks again gets a new one', async () => {
  const device = await openRunDevice(options);
  closeRunDevice(device);
  assert.ok(device.disposed);
  await closes(async () => {
    const again = await openRunDevice(options);
    assert.is.not(again, device);
    closeRunDevice(again);
  }, options);
});

test('a dry run closes its device', () => closes(() => dryRun(options), options));

test('a check closes its device and the one that it compares with', () =>
  closes(() => checkRun({ options, against: 'cpu' }), options, second));

test('a check that fails closes both too', () => closes(() => rejects(() => checkRun({
  options, against: 'cpu',
  hooks: {
    onStep: () => {
      throw new OptionError('enough');
    },
  },
}), OptionError, /enough/), options, second));

test('a check whose second device there is not closes the first', async () => {
  process.env.FOVEA_LIBCUDA = '/nowhere/libcuda.so.1';
  try {
    await closes(() => rejects(() => checkRun({ options, against: 'cuda' }), DeviceError, /no CUDA driver: \/nowhere/), options);
  } finally {
    delete process.env.FOVEA_LIBCUDA;
  }
});

test.run();
