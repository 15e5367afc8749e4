/** Optimizers and learning-rate schedules. */
export { adam, Adam } from './adam.ts';
export type { AdamOptions } from './adam.ts';
export { LossScale } from './loss-scale.ts';
export type { LossScaleOptions, StepGuard } from './loss-scale.ts';
export { Optimizer } from './optimizer.ts';
export type { Multipliers, OptimizerOptions } from './optimizer.ts';
export { sgd, Sgd } from './sgd.ts';
export type { SgdOptions } from './sgd.ts';
export * from './schedules.ts';
