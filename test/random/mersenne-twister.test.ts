import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MersenneTwister } from '../../src/random/mersenne-twister.ts';

test('draws and shuffles as CPython does', () => {
  // random.seed(0); [random.getrandbits(32) for _ in range(2)]
  const zero = new MersenneTwister(0);
  assert.equal([zero.next(), zero.next()], [3626764237, 1654615998]);
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  // random.seed(100); x = list(range(8)); random.shuffle(x)
  assert.equal(new MersenneTwister(100).shuffle(range(8)), [0, 4, 7, 5, 1, 6, 3, 2]);
  assert.equal(new MersenneTwister(100).shuffle(range(1000)).slice(0, 6), [342, 471, 929, 100, 543, 231]);
  assert.equal(new MersenneTwister(2 ** 32 - 1).shuffle(range(6)), [2, 3, 0, 1, 4, 5]);
});

test.run();
