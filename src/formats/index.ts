/** Files of other systems. */
export * from './mxnet-params.ts';
export * from './mxnet-symbol.ts';
export * from './safetensors.ts';
