export * from './types.ts';
export { phantomCohort, sceneOf, type PhantomCohortOptions, type PhantomEye } from './cohort.ts';
export { phantomScene } from './scene.ts';
export { renderPhantom, type LesionMask, type PhantomImage, type RenderOptions } from './render.ts';
export { growMask, maskElsewhere, paintOut, paintPhantom, type PaintedOptions } from './paint.ts';
export {
  channelStatistics,
  fitLogistic,
  probeAuc,
  PROBES,
  radialProfile,
  rocAuc,
  sharpness,
  thumbnail,
  type ProbeName,
  type ProbeOptions,
} from './probes.ts';
