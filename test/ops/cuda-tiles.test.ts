/** Forms of CUDA's products, on every rung, with every tile and however operands lie: threads and panels go together, and a block has the memory. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DType, GpuFeatures, Placed } from '../../src/device/types.ts';
import { planProduct, productForm, runsOf } from '../../src/ops/cuda/tiles.ts';

const buffer = { bytes: 1 << 20, label: 'test', dispose: () => {} };

function matrix(dtype: DType, offset: number): Placed {
  return { shape: [64, 64], dtype, buffer, offset, rows: 64, channels: 64, stride: 64 };
}

const gpu = (more: Partial<NonNullable<GpuFeatures['cuda']>>): GpuFeatures =>
  ({ hardware: true, cuda: { capability: 80, multiprocessors: 108, sharedBytes: 166912, ...more } });

const rungs: readonly [name: string, features: GpuFeatures, dtype: DType][] = [
  ['simt', gpu({ rung: 'simt' }), 'float32'], ['simt of halves', gpu({ rung: 'simt' }), 'float16'], ['async', gpu({ rung: 'async' }), 'float32'],
  ['default', gpu({}), 'float32'], ['TF32', gpu({ tf32: true }), 'float32'], ['halves', gpu({}), 'float16'],
];

for (const [name, features, dtype] of rungs) {
  test(`${name}: panels are filled by whole rounds of threads, within the memory of a block`, () => {
    let forms = 0;
    for (let tile = 0; tile < 4; tile++) {
      for (let kind = 0; kind < 32; kind++) {
        const [leftByRows, rightByRows, leftOdd, rightOdd, same] = [1, 2, 4, 8, 16].map((bit) => (kind & bit) !== 0);
        const operands = [
          { value: matrix(dtype, leftOdd ? 1 : 0), byRows: leftByRows }, { value: matrix(dtype, rightOdd ? 1 : 0), byRows: rightByRows },
        ] as const;
        const given = { ...features, cuda: { ...features.cuda!, tile } };
        const plan = planProduct(operands.map((o) => o.value), { rows: 64, columns: 64, depth: 64, count: 1 }, given);
        const { define, block, shared, left, right } = productForm(plan, operands, same);
        const about = `tile ${tile}, kind ${kind}: ${JSON.stringify(define)}, widths ${left} and ${right}`;
        const { STEPS, ROWS, COLUMNS, MATH, STAGES, ASYNC, DOWN, ACROSS } = define as Record<string, number>;
        assert.is(block, DOWN * ACROSS * (MATH === 0 ? 1 : 32), about);
        if (same) assert.is(left, right, about);
        let elements = 0;
        for (const [byRows, extent, width, odd] of [[leftByRows, ROWS, left, leftOdd], [rightByRows, COLUMNS, right, rightOdd]] as const) {
          const [lines, length] = byRows ? [extent, STEPS] : [STEPS, extent];
          assert.ok(!odd || width === 1, about);
          // what lib/panel.cuh asserts when it is compiled
          assert.is(block % (length / width), 0, about);
          assert.is(lines % (block / (length / width)), 0, about);
          if (ASYNC === 1) assert.ok(width * (dtype === 'float16' ? 2 : 4) >= 4, about);
          elements += lines * length;
        }
        assert.ok(shared >= STAGES * elements * (MATH === 2 ? 2 : 4) && shared <= 99 * 1024, `${about}: ${shared} bytes`);
        forms++;
      }
    }
    assert.is(forms, 128);
  });
}

test('a sum is cut into runs of whole turns that cover it, from shapes alone', () => {
  for (const depth of [1, 31, 127, 256, 300, 1000, 50176]) {
    for (const [rows, columns] of [[1, 1], [64, 147], [1024, 1024]]) {
      const { runs, run } = runsOf({ rows, columns, count: 1 }, depth);
      assert.is(run % 32, 0);
      assert.ok(runs * run >= depth && (runs - 1) * run < depth, `${depth} in ${runs} runs of ${run}`);
    }
  }
  assert.is(runsOf({ rows: 1024, columns: 1024, count: 1 }, 50176).runs > 1, true);
  assert.is(runsOf({ rows: 1 << 14, columns: 1024, count: 1 }, 50176).runs, 1);
});

test.run();
