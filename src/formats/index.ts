/** Files of other systems. */
export * from './mxnet-params.ts';
export * from './mxnet-symbol.ts';
export * from './safetensors.ts';
export { loadModel } from './load-model.ts';
export type { LoadedModel, LoadModelOptions } from './load-model.ts';
export type { ModelFiles } from './model-files.ts';
export { lessMeanColour, preprocessingOf, toMinusOneToOne, withPreprocessing } from './preprocessing.ts';
export type { Preprocessing } from './preprocessing.ts';
export { writeSafetensorsModel } from './safetensors-model.ts';
export type { SafetensorsModelOptions } from './safetensors-model.ts';
export { symbolOfKeras } from './keras-model.ts';
export { dequantize, readLayersModel, writeLayersModel } from './layers-model.ts';
export type { LayersModel, Quantization, StoredWeight } from './layers-model.ts';
export { exportOnnx } from './onnx/export.ts';
export type { OnnxOptions } from './onnx/export.ts';
export { checkpointFiles } from './mxnet-checkpoint.ts';
