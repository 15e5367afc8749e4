/** Files of other systems. */
export * from './image-record.ts';
export * from './mxnet-params.ts';
export * from './mxnet-symbol.ts';
export * from './record-list.ts';
export * from './recordio.ts';
export * from './safetensors.ts';
