/**
 * The core, with its ops registered. Bindings are made here rather than re-exported, so that a bundler that drops modules without
 * side effects keeps the registration whenever any of them is used.
 */
import { opModules } from './generated/ops.ts';
import * as groups from './graph/group.ts';
import * as table from './graph/op.ts';
import type { Op } from './graph/op.ts';
import * as compiled from './tensor/compile.ts';
import * as gradients from './tensor/grad.ts';
import * as tensors from './tensor/tensor.ts';
import * as joint from './tensor/together.ts';
import * as variables from './tensor/variable.ts';

function isOp(x: unknown): x is Op {
  return typeof x === 'object' && x !== null && 'infer' in x && 'name' in x;
}

for (const module of opModules) table.registerOps(Object.values(module).filter(isOp));

/** The table of ops, with Fovea's own in it: whoever looks ops up by name takes `getOp` from here, or it may find none. */
export const { getOp, registeredOps, registerOps } = table;
export const { tensor, wrap, zeros, ones, full, data, apply, apply1 } = tensors;
export const { variable, keep, packVariables } = variables;
export const { compile } = compiled;
export const { localGroup } = groups;
export const { together } = joint;
export const { grad } = gradients;
