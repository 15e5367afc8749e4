/** What products do to an operand on its way into a panel (kernels/cuda/lib/prologue.cuh). */
import type { CudaArg, Placed, Scratch } from '../../device/types.ts';
import { at } from '../../device/cuda/launch.ts';
import type { NormalizeAttrs } from '../support/prologue.ts';

/** An operand is normalized. */
export interface Prologue {
  /** mean, scale and beta of each channel. */
  readonly constants: Scratch;
  readonly relu: boolean;
}

export const prologueBy = (constants: Scratch, { normalize }: NormalizeAttrs): Prologue => ({ constants, relu: normalize.activation === 'relu' });

/** The left operand becomes the gradient of batch norm by what was normalized, from the gradient behind it. */
export interface GradientPrologue {
  readonly normed: Placed;
  /** mean, scale, beta, shift and slope of each channel. */
  readonly terms: Scratch;
  /** The gradient given is behind ReLU. */
  readonly relu: boolean;
}

/** What is done to which operand, if anything. */
export interface Prologues {
  readonly left?: Prologue | undefined;
  readonly right?: Prologue | undefined;
  readonly gradient?: GradientPrologue | undefined;
}

/** How a product's launch tells its kernel. */
interface PrologueForm {
  /** None where nothing is done. */
  readonly define: Readonly<Record<string, string | number>>;
  /** What an operand is normalized by, and whether ReLU follows. */
  readonly constants: CudaArg;
  readonly activated: number;
  /** What was normalized, and the terms of its gradient. */
  readonly gradient: readonly CudaArg[];
  /** How far apart rows of what was normalized lie, and whether ReLU followed it. */
  readonly beside: readonly number[];
}

/** @param unused any memory, for what is not there: it is not touched */
export function prologueForm({ left, right, gradient }: Prologues, unused: Placed | Scratch): PrologueForm {
  const normalized = left ?? right;
  const kinds = (left ? 1 : 0) + (right ? 2 : 0) + (gradient ? 4 : 0);
  return {
    define: kinds === 0 ? {} : { PROLOGUE: kinds },
    constants: at(normalized?.constants ?? unused),
    activated: normalized?.relu === true ? 1 : 0,
    gradient: [at(gradient?.normed ?? unused), at(gradient?.terms ?? unused)],
    beside: [gradient?.normed.stride ?? 0, gradient?.relu === true ? 1 : 0],
  };
}

/** Whether an operand is worked on, and with a value beside it. */
export const workedBy = ({ left, right, gradient }: Prologues): 'alone' | 'beside' | undefined =>
  (gradient !== undefined ? 'beside' : left !== undefined || right !== undefined ? 'alone' : undefined);
