/** Which ops and samples show how halves are loaded and stored, where not all can be tried. */
import { binaryExpressions } from '../../../src/ops/binary-expressions.ts';
import { unaryExpressions } from '../../../src/ops/unary-expressions.ts';
import type { Op, Sample } from '../../../src/graph/op.ts';
import type { LayoutName } from '../../../src/testing/inputs.ts';

const elementwise = new Set([...Object.keys(unaryExpressions), ...Object.keys(binaryExpressions)]);

/** Of the elementwise ops, which share one kernel, these show its ways of loading and storing. */
export const mixtures = ['abs', 'add'];

export const isElementwise = ({ name }: Op): boolean => elementwise.has(name);

/** Whether the sample is more than one more mixture of halves and float32 in the kernel that elementwise ops share. */
export const isMixtureTried = (op: Op, { attrs }: Sample): boolean =>
  !isElementwise(op) || attrs.store === undefined || mixtures.includes(op.name);

/** Ops that share one kernel, and those whose kernels take long to compile, are tried in fewer placements. */
export function halfLayouts(op: Op): readonly LayoutName[] | undefined {
  if (isElementwise(op)) return ['plain', 'mixed, first input odd'];
  return op.precision === 'matrix' ? ['plain', 'odd', 'mixed, outputs odd'] : undefined;
}
