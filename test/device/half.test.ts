import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromHalfBits, halfStep, largestHalf, roundToHalf, smallestNormalHalf, toHalfBits } from '../../src/device/half.ts';

/** Bits of a format: infinity, the mantissa, and what a NaN has at least. */
const formats = [
  { dtype: 'float16', infinity: 0x7c00, mantissa: 0x3ff, nan: 0x7e00 },
  { dtype: 'bfloat16', infinity: 0x7f80, mantissa: 0x7f, nan: 0x7fc0 },
] as const;

for (const { dtype, infinity, mantissa, nan } of formats) {
  test(`every ${dtype} survives the way to numbers and back`, () => {
    const bits = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
    const back = toHalfBits(fromHalfBits(bits, dtype), dtype);
    for (let b = 0; b < bits.length; b++) {
      const isNaN = (b & infinity) === infinity && (b & mantissa) !== 0;
      if (isNaN) assert.is(back[b] & nan, nan);
      else assert.is(back[b], b);
    }
  });

  test(`numbers between two ${dtype} go to the nearer, and from the middle to the even one`, () => {
    const all = fromHalfBits(Uint16Array.from({ length: infinity }, (_, i) => i), dtype);
    for (let i = 0; i + 1 < all.length; i++) {
      const [a, b] = [all[i], all[i + 1]];
      assert.is(roundToHalf(a + (b - a) * 0.499, dtype), a);
      assert.is(roundToHalf(a + (b - a) * 0.501, dtype), b);
      assert.is(roundToHalf(a + (b - a) / 2, dtype), i % 2 === 0 ? a : b);
      assert.is(roundToHalf(-a - (b - a) / 2, dtype), i % 2 === 0 ? -a : -b);
      assert.is(halfStep(a, dtype), b - a);
    }
    assert.is(largestHalf(dtype), all[all.length - 1]);
    assert.is(smallestNormalHalf(dtype), all[mantissa + 1]);
  });
}

test('what is too large is infinite, what is too small is zero', () => {
  assert.is(roundToHalf(65519.99, 'float16'), 65504);
  assert.is(roundToHalf(65520, 'float16'), Infinity);
  assert.is(roundToHalf(-1e30, 'float16'), -Infinity);
  assert.is(roundToHalf(2 ** -25, 'float16'), 0);
  assert.is(roundToHalf(1.01 * 2 ** -25, 'float16'), 2 ** -24);
  assert.ok(Object.is(roundToHalf(-1e-30, 'float16'), -0));
  assert.ok(Number.isNaN(roundToHalf(NaN, 'float16')));
  assert.is(roundToHalf(-1e30, 'bfloat16'), -fromHalfBits(toHalfBits([1e30], 'bfloat16'), 'bfloat16')[0]);
  assert.is(roundToHalf(3.4e38, 'bfloat16'), Infinity);
  assert.is(roundToHalf(2 ** -134, 'bfloat16'), 0);
});

test.run();
