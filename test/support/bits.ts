import * as assert from 'uvu/assert';

/**
 * Asserts that the bits of two float32 results are equal, and names the first element that is not. (uvu's `assert.equal` sets arrays out
 * line by line, which takes minutes where many of thousands of elements differ.)
 */
export function equalBits(got: ArrayBufferView, expected: ArrayBufferView, what: string): void {
  assert.is(got.byteLength, expected.byteLength, `${what}: bytes`);
  const [a, b] = [got, expected].map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  for (let at = 0; at < got.byteLength; at += 4) {
    if (a.getUint32(at, true) === b.getUint32(at, true)) continue;
    assert.unreachable(`${what}: element ${at / 4} of ${got.byteLength / 4} is ${a.getFloat32(at, true)}, expected ${b.getFloat32(at, true)}`);
  }
}
