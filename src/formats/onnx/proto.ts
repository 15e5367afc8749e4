/** ONNX files: the part of onnx.proto3 (onnx/onnx) that a float32 network needs, written as Protocol Buffers. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** IR version 8 and operator set 17 (ONNX 1.12), which onnxruntime has read since 1.12. */
const IR_VERSION = 8;
export const OPERATOR_SET = 17;

/** TensorProto's numbers for element types. */
export const elementTypes = { float32: 1, int64: 7 } as const;

/** A whole number is written as INT, any other as FLOAT; `{ float }` says FLOAT whatever the number. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly opType: string;
  readonly name: string;
  inputs: string[];
  outputs: string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly type: 'float32' | 'int64';
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** An input or output; a text is the name of a length that is free. */
export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

type Write = (w: BinaryWriter) => unknown;

const message = (w: BinaryWriter, field: number, write: Write): void => {
  w.tag(field, WireType.LengthDelimited).fork();
  write(w);
  w.join();
};
const text = (w: BinaryWriter, field: number, value: string): unknown => w.tag(field, WireType.LengthDelimited).string(value);
const int = (w: BinaryWriter, field: number, value: number): unknown => w.tag(field, WireType.Varint).int64(value);

function writeAttribute(w: BinaryWriter, name: string, value: OnnxAttribute): void {
  text(w, 1, name);
  const kind = (code: number): unknown => int(w, 20, code);
  if (typeof value === 'string') {
    w.tag(4, WireType.LengthDelimited).string(value);
    kind(3);
  } else if (typeof value === 'number' && Number.isInteger(value)) {
    int(w, 3, value);
    kind(2);
  } else if (typeof value === 'number' || 'float' in value) {
    w.tag(2, WireType.Bit32).float(typeof value === 'number' ? value : value.float);
    kind(1);
  } else {
    for (const v of value) int(w, 8, v);
    kind(7);
  }
}

function writeNode(w: BinaryWriter, node: OnnxNode): void {
  for (const name of node.inputs) text(w, 1, name);
  for (const name of node.outputs) text(w, 2, name);
  text(w, 3, node.name);
  text(w, 4, node.opType);
  for (const [name, value] of Object.entries(node.attributes)) message(w, 5, (a) => writeAttribute(a, name, value));
}

function writeTensor(w: BinaryWriter, tensor: OnnxTensor): void {
  for (const d of tensor.shape) int(w, 1, d);
  int(w, 2, elementTypes[tensor.type]);
  text(w, 8, tensor.name);
  w.tag(9, WireType.LengthDelimited).bytes(tensor.bytes);
}

function writeValue(w: BinaryWriter, { name, shape }: OnnxValue): void {
  text(w, 1, name);
  message(w, 2, (type) => message(type, 1, (tensor) => {
    int(tensor, 1, elementTypes.float32);
    message(tensor, 2, (dims) => {
      for (const d of shape) message(dims, 1, (dim) => (typeof d === 'number' ? int(dim, 1, d) : text(dim, 2, d)));
    });
  }));
}

/** The bytes of a model. */
export function writeOnnxModel(graph: OnnxGraph, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const w = new BinaryWriter();
  int(w, 1, IR_VERSION);
  text(w, 2, 'fovea');
  message(w, 7, (g) => {
    for (const node of graph.nodes) message(g, 1, (n) => writeNode(n, node));
    text(g, 2, graph.name);
    for (const tensor of graph.initializers) message(g, 5, (t) => writeTensor(t, tensor));
    for (const value of graph.inputs) message(g, 11, (v) => writeValue(v, value));
    for (const value of graph.outputs) message(g, 12, (v) => writeValue(v, value));
  });
  message(w, 8, (set) => {
    text(set, 1, '');
    int(set, 2, OPERATOR_SET);
  });
  for (const [key, value] of Object.entries(metadata)) {
    message(w, 14, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
  }
  return w.finish();
}
