/** Cuts of a software adapter's work: by a guess at first, then by what runs take, in both directions. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Segments } from '../../src/device/webgpu/segments.ts';

/** What segments of launches take that are `ms` long each. */
function run(segments: Segments, ms: readonly number[]): void {
  let start = 0;
  segments.took(segments.ends.map((end) => {
    const sum = ms.slice(start, end).reduce((a, b) => a + b, 0);
    start = end;
    return sum;
  }));
}

const flop = new Array<number>(100).fill(1e9);

test('a guess that is too slow is put right: few segments remain of many', () => {
  const segments = new Segments(flop);
  assert.is(segments.ends.length, 100);
  const ms = new Array<number>(100).fill(1);
  run(segments, ms);
  assert.equal(segments.ends, [50, 100]);
  run(segments, ms);
  assert.equal(segments.ends, [50, 100]);
});

test('a guess that is too fast is put right: long segments are cut', () => {
  const segments = new Segments(new Array<number>(100).fill(0));
  assert.equal(segments.ends, [100]);
  const ms = new Array<number>(100).fill(20);
  run(segments, ms);
  assert.is(segments.ends.length, 50);
});

test('launches that are long by themselves stay alone, and no time at all is no trouble', () => {
  const segments = new Segments([1e9, 1e9, 0]);
  run(segments, [300, 300, 0.01]);
  assert.equal(segments.ends, [1, 2, 3]);
  run(segments, [0, 0, 0]);
  assert.equal(segments.ends, [3]);
});

test.run();
