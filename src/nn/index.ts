/** Networks as data: Symbols, layers, initializers. */
export * from './blocks.ts';
export * from './head.ts';
export * from './host-array.ts';
export * from './initializers.ts';
export * from './layers.ts';
export * from './learning.ts';
export { nameScope } from './names.ts';
export * from './parameters.ts';
export { findOperator, operatorNames } from './operators.ts';
export type { Operator, OperatorKind } from './operator.ts';
export * from './symbol.ts';
export type { SymbolEntry, SymbolGraph, SymbolNode } from './symbol-graph.ts';
export { isLabel, outputName } from './symbol-graph.ts';
export type { InferredShapes } from './infer.ts';
export type { ApplyOptions, SymbolInputs, SymbolParameters } from './lower.ts';
export * from './summary.ts';
export * from './dot.ts';
export * from './svg.ts';
