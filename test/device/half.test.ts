import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromHalfBits, halfStep, roundToHalf, toHalfBits } from '../../src/device/half.ts';

test('every float16 survives the way to numbers and back', () => {
  const bits = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
  const back = toHalfBits(fromHalfBits(bits));
  for (let b = 0; b < bits.length; b++) {
    const isNaN = (b & 0x7c00) === 0x7c00 && (b & 0x3ff) !== 0;
    if (isNaN) assert.is(back[b] & 0x7e00, 0x7e00);
    else assert.is(back[b], b);
  }
});

test('numbers between two float16 go to the nearer, and from the middle to the even one', () => {
  const all = fromHalfBits(Uint16Array.from({ length: 0x7c00 }, (_, i) => i));
  for (let i = 0; i + 1 < all.length; i++) {
    const [a, b] = [all[i], all[i + 1]];
    assert.is(roundToHalf(a + (b - a) * 0.499), a);
    assert.is(roundToHalf(a + (b - a) * 0.501), b);
    assert.is(roundToHalf((a + b) / 2), i % 2 === 0 ? a : b);
    assert.is(roundToHalf(-(a + b) / 2), i % 2 === 0 ? -a : -b);
    assert.is(halfStep(a), b - a);
  }
});

test('what is too large is infinite, what is too small is zero', () => {
  assert.is(roundToHalf(65519.99), 65504);
  assert.is(roundToHalf(65520), Infinity);
  assert.is(roundToHalf(-1e30), -Infinity);
  assert.is(roundToHalf(2 ** -25), 0);
  assert.is(roundToHalf(1.01 * 2 ** -25), 2 ** -24);
  assert.ok(Object.is(roundToHalf(-1e-30), -0));
  assert.ok(Number.isNaN(roundToHalf(NaN)));
});

test.run();
