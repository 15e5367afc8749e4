/** onnxruntime-node, where the benchmark's peers are installed. */
import { installCommand, load, locate } from '../../bench/peers/install.ts';

interface OrtTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
interface Ort {
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{
      readonly inputNames: readonly string[];
      readonly outputNames: readonly string[];
      run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (dtype: 'float32', data: Float32Array, shape: readonly number[]) => OrtTensor;
}

/** What a skipped test says, or undefined where onnxruntime is there. */
export const onnxruntimeAbsent = locate('onnxruntime-node') === undefined ? `onnxruntime-node is not installed: ${installCommand}` : undefined;

export interface OnnxInput {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A model's outputs, by name and in its order. */
export async function runOnnx(model: Uint8Array, inputs: Readonly<Record<string, OnnxInput>>): Promise<Map<string, OrtTensor>> {
  const ort = await load<Ort>('onnxruntime-node');
  const session = await ort.InferenceSession.create(model, { executionProviders: ['cpu'], intraOpNumThreads: 2, logSeverityLevel: 2 });
  try {
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, new ort.Tensor('float32', inputs[name].data, inputs[name].shape)]));
    const outputs = await session.run(feeds);
    return new Map(session.outputNames.map((name) => [name, outputs[name]]));
  } finally {
    await session.release();
  }
}
