export * from './types.ts';
export { phantomCohort, sceneOf, type PhantomCohortOptions, type PhantomEye } from './cohort.ts';
export { phantomScene } from './scene.ts';
export { renderPhantom, type LesionMask, type PhantomImage, type RenderOptions } from './render.ts';
export { growMask, maskElsewhere, paintOut, paintPhantom, type PaintedOptions } from './paint.ts';
export { probeAuc, PROBES, type ProbeName, type ProbeOptions } from './probes.ts';
