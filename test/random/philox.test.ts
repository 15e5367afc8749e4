import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hashName, philox4x32, PhiloxStream, type PhiloxCounter, type PhiloxKey } from '../../src/random/philox.ts';

// The three 10-round vectors of Random123's tests/kat_vectors: counter, key, expected words.
const known: [PhiloxCounter, PhiloxKey, number[]][] = [
  [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

test('philox4x32 reproduces the known-answer vectors of Random123', () => {
  for (const [counter, key, expected] of known) assert.equal(philox4x32(counter, key), expected);
});

test('philox4x32 agrees with 64-bit integer arithmetic on drawn inputs', () => {
  const words = new PhiloxStream(1, 'inputs');
  const big = (c: bigint[], k: bigint[]): number[] => {
    const mask = 0xffffffffn;
    for (let round = 0; round < 10; round++) {
      const p0 = 0xd2511f53n * c[0];
      const p1 = 0xcd9e8d57n * c[2];
      c = [(p1 >> 32n) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32n) ^ c[3] ^ k[1], p0 & mask];
      k = [(k[0] + 0x9e3779b9n) & mask, (k[1] + 0xbb67ae85n) & mask];
    }
    return c.map(Number);
  };
  for (let i = 0; i < 500; i++) {
    const w = Array.from({ length: 6 }, () => words.uint32());
    const counter: PhiloxCounter = [w[0], w[1], w[2], w[3]];
    assert.equal(philox4x32(counter, [w[4], w[5]]), big(w.slice(0, 4).map(BigInt), w.slice(4).map(BigInt)));
  }
});

test('a stream is the sequence of its blocks and is keyed by seed, name, index and step', () => {
  const draw = (s: PhiloxStream): number[] => Array.from({ length: 8 }, () => s.uint32());
  const seed = 5 + 7 * 2 ** 32;
  const key: PhiloxKey = [5, 7];
  const expected = [
    ...philox4x32([0, 3, hashName('w'), 9], key),
    ...philox4x32([1, 3, hashName('w'), 9], key),
  ];
  assert.equal(draw(new PhiloxStream(seed, 'w', 3, 9)), expected);
  for (const other of [
    new PhiloxStream(seed + 1, 'w', 3, 9),
    new PhiloxStream(seed, 'v', 3, 9),
    new PhiloxStream(seed, 'w', 4, 9),
    new PhiloxStream(seed, 'w', 3, 10),
  ]) {
    assert.not.equal(draw(other), expected);
  }
});

test('uniform, normal, int and poisson have their moments', () => {
  const n = 40000;
  const moments = (draw: () => number): [number, number] => {
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const v = draw();
      sum += v;
      squares += v * v;
    }
    return [sum / n, squares / n - (sum / n) ** 2];
  };
  const s = new PhiloxStream(42, 'moments');
  const check = (draw: () => number, mean: number, variance: number): void => {
    const [gotMean, gotVariance] = moments(draw);
    assert.ok(Math.abs(gotMean - mean) < 5 * Math.sqrt(variance / n), `mean ${gotMean}, expected ${mean}`);
    assert.ok(Math.abs(gotVariance / variance - 1) < 0.05, `variance ${gotVariance}, expected ${variance}`);
  };
  check(() => s.uniform(2, 5), 3.5, 9 / 12);
  check(() => s.normal(1, 2), 1, 4);
  check(() => s.int(7), 3, 4);
  check(() => s.poisson(6), 6, 6);
});

test('bad seeds and ranges are refused by name', () => {
  assert.throws(() => new PhiloxStream(-1), /seed: expected an integer/);
  assert.throws(() => new PhiloxStream(0.5), /seed: expected an integer/);
  assert.throws(() => new PhiloxStream(0).int(0), /n: expected an integer/);
});

test.run();
