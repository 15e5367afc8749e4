/** Lowering of matrix products to kernels/wasm/matmul.ts: b packed into panels, a transposed first where it comes so. */
import type { CpuLaunch, Lowering, Placed, TensorType } from '../../device/types.ts';
import { panelBytes, tiling } from './conv.ts';

interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const ceil = (a: number, b: number): number => Math.ceil(a / b);

function sizes(a: TensorType, b: TensorType, { transposeA, transposeB }: MatmulAttrs) {
  const batch = a.shape.length === 3 ? a.shape[0] : 1;
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  return { batch, m: transposeA ? a1 : a0, k: transposeA ? a0 : a1, n: transposeB ? b0 : b1 };
}

/** The same value, `rows` further on. */
function fromRow(v: Placed, rows: number): Placed {
  return { ...v, offset: v.offset + rows * v.stride };
}

export const matmulLowering: Lowering<MatmulAttrs, CpuLaunch> = {
  scratch([a, b], _outputs, attrs) {
    const { batch, m, k, n } = sizes(a, b, attrs);
    return [batch * panelBytes(n, k), ...(attrs.transposeA ? [batch * m * k * 4] : [])];
  },
  launches({ attrs, inputs: [a, b], outputs: [c], scratch: [panels, transposed] }) {
    const { batch, m, k, n } = sizes(a, b, attrs);
    const launches: CpuLaunch[] = [];
    const panelStride = panelBytes(n, k);
    for (let i = 0; i < batch; i++) {
      const from = fromRow(b, i * (attrs.transposeB ? n : k));
      const to = { ...panels, byteOffset: panels.byteOffset + i * panelStride };
      launches.push({
        kernel: attrs.transposeB ? 'packRows' : 'packColumns',
        tiles: ceil(n, 8),
        args: attrs.transposeB
          ? [{ address: from }, { address: to }, n, 1, k, b.stride * 4, 0]
          : [{ address: from }, { address: to }, n, 1, k, 0, b.stride * 4],
        label: 'matmul: pack b',
      });
      if (attrs.transposeA) {
        const rowsTo = { ...transposed, byteOffset: transposed.byteOffset + i * m * k * 4 };
        launches.push({
          kernel: 'transposeRows',
          tiles: ceil(m, 16),
          args: [{ address: fromRow(a, i * k) }, { address: rowsTo }, k, m, a.stride * 4, k * 4, 16],
          label: 'matmul: transpose a',
        });
      }
    }
    const plan = tiling(batch * m, n, 96);
    const rowsPerTile = Math.min(plan.rowsPerTile, Math.max(4, ceil(m, 4) * 4));
    const rowTiles = ceil(m, rowsPerTile);
    const aStride = attrs.transposeA ? k * 4 : a.stride * 4;
    launches.push({
      kernel: 'matmul',
      tiles: batch * rowTiles * plan.columnTiles,
      args: [
        { address: attrs.transposeA ? transposed : a }, { address: panels }, 0, { address: c }, m, n, k, aStride, c.stride * 4,
        rowsPerTile, plan.panelsPerTile, rowTiles, plan.columnTiles, m * aStride, panelStride, m * c.stride * 4, 0,
      ],
      label: 'matmul',
    });
    return launches;
  },
};
