/** Files of other systems. */
export * from './mxnet-params.ts';
export * from './mxnet-symbol.ts';
export * from './safetensors.ts';
export { loadModel } from './load-model.ts';
export type { LoadedModel, LoadModelOptions } from './load-model.ts';
export type { ModelFiles } from './model-files.ts';
export { lessMeanColour, preprocessingOf, toMinusOneToOne, withPreprocessing } from './preprocessing.ts';
export type { Preprocessing } from './preprocessing.ts';
