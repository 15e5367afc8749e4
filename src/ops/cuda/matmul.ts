/** Lowering of matrix products to kernels/cuda/gemm.cu. */
import type { CudaLaunch, Lowering, Placed, Shape } from '../../device/types.ts';
import type { Product } from './gemm.ts';
import { gemmLaunches, gemmScratch } from './gemm.ts';
import { hopperGemm, takesHopper } from './hopper.ts';

interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Matrices that one launch takes at most: a grid's second axis ends there. */
const MOST = 32768;

function sizesOf(a: Shape, c: Shape, { transposeA }: MatmulAttrs): Product {
  const [rows, columns] = c.slice(-2);
  return { rows, columns, depth: a[a.length - (transposeA ? 2 : 1)], batch: Math.min(MOST, c.length === 3 ? c[0] : 1) };
}

/** Elements from a matrix to the next. */
const apart = (v: Placed): number => v.shape[v.shape.length - 2] * v.stride;

export const matmulLowering: Lowering<MatmulAttrs, CudaLaunch> = {
  scratch: ([a, b], [c], attrs, features) => gemmScratch([a, b], sizesOf(a.shape, c.shape, attrs), features),
  launches({ inputs: [a, b], outputs: [c], scratch: [scratch], attrs, features }) {
    const sizes = sizesOf(a.shape, c.shape, attrs);
    const batch = c.shape.length === 3 ? c.shape[0] : 1;
    if (takesHopper([a, b], features) && batch === 1) {
      const [left, right] = [{ value: a, byRows: !attrs.transposeA }, { value: b, byRows: attrs.transposeB }];
      const launches = hopperGemm(left, right, c, sizes, { scratch, features: features!, label: 'matmul' });
      if (launches !== undefined) return launches;
    }
    return Array.from({ length: Math.ceil(batch / MOST) }, (_, i) => {
      const count = Math.min(MOST, batch - i * MOST);
      const part = (v: Placed): Placed => ({ ...v, rows: count * (v.rows / batch), offset: v.offset + i * MOST * apart(v) });
      return gemmLaunches(
        { value: part(a), byRows: !attrs.transposeA, batch: apart(a) }, { value: part(b), byRows: attrs.transposeB, batch: apart(b) },
        part(c), { ...sizes, batch: count }, { scratch, features, label: 'matmul', yBatch: apart(c) },
      );
    }).flat();
  },
};
