/** The rows of a run, by its options. */
import type { HalfType } from '../device/types.ts';
import { getOp } from '../fovea.ts';
import { bytesTouched } from '../ops/support/cost.ts';
import { outputTypes } from './check.ts';
import type { BenchmarkOptions } from './options.ts';
import { halfProblems, kernelProblems, spread } from './problems.ts';
import { stepFlop, stepName, stepProblem } from './step.ts';
import type { KernelProblem, Problem } from './types.ts';

/** A row to come. Problems are made when their turn comes: a batch of images and 11 M parameters are not kept. */
export interface RowPlan {
  readonly name: string;
  readonly op: string;
  readonly flop: number;
  readonly bytes: number;
  make(): Problem;
}

const halves: readonly HalfType[] = ['float16', 'bfloat16'];

/** Whether each of a filter's texts, joined by `+`, is part of one of these. */
export const matches = (filter: string, texts: readonly string[]): boolean => filter.split('+').every((part) => texts.some((text) => text.includes(part)));

export function plansOf({ only, filter = '', batch, stepBatch, side, width, shapes }: BenchmarkOptions): RowPlan[] {
  const wanted = (p: Pick<Problem, 'name' | 'layers'>): boolean => matches(filter, [p.name, ...p.layers]);
  const of = (problems: readonly KernelProblem[]): KernelProblem[] => spread(problems.filter((p) => only.includes(p.group) && wanted(p)), shapes);
  const float32 = kernelProblems(batch);
  const kernels = [...of(float32), ...halves.flatMap((dtype) => of(halfProblems(float32, dtype)))];
  const steps = only.includes('step') && wanted({ name: 'step inception-bn', layers: [] }) ? stepBatch : [];
  return [
    ...kernels.map((p) => ({ name: p.name, op: p.op, ...workOf(p), make: () => p })),
    ...steps.map((n) => {
      const sizes = { batch: n, side, width };
      return { name: stepName(sizes), op: 'step', flop: stepFlop(sizes), bytes: 0, make: () => stepProblem(sizes) };
    }),
  ];
}

/** FLOP of the op as it is defined, and its compulsory bytes. */
export function workOf(problem: KernelProblem): { flop: number; bytes: number } {
  const op = getOp(problem.op);
  const outputs = outputTypes(problem);
  return { flop: op.cost?.(problem.inputs, outputs, problem.attrs).flop ?? 0, bytes: bytesTouched(problem.inputs, outputs) };
}
