/**
 * The suite that every op is held to, for those who add ops: `checkForward`, `checkGradient` and `checkDerivative` of an op; and
 * `checkStep`, which holds all steps of a compiled function to the reference.
 */
export * from './check-op.ts';
export * from './check-step.ts';
export * from './evidence.ts';
export * from './run-op.ts';
export * from './tolerance.ts';
export { runReference } from '../graph/reference.ts';
export { registeredOps } from '../fovea.ts';
export { layouts } from './inputs.ts';
export type { LayoutName, Placement } from './inputs.ts';
