/** The suite that every op is held to, for those who add ops: `checkForward`, `checkGradient` and `checkDerivative` of an op. */
export * from './check-op.ts';
export * from './tolerance.ts';
export { runReference } from '../graph/reference.ts';
export { registeredOps } from '../fovea.ts';
export { layouts } from './inputs.ts';
export type { LayoutName, Placement } from './inputs.ts';
