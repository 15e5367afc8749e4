import { defineOp } from '../tensor/define-op.ts';

/** The same values, through which no gradient flows. */
export const detachOp = defineOp<{}>({
  name: 'detach',
  inputs: ['x'],
  infer: ([x]) => [x],
  view: () => ({ row: 0, channel: 0 }),
  gradient: () => [undefined],
  reference: ([x]) => [x.data.slice()],
  samples: () => [{ inputs: [{ shape: [2, 3], dtype: 'float32' }], attrs: {} }],
});
