/** Training steps written with tfjs-core's ops: the operators of a symbol JSON in order, batch norm from its moments. */
import { timed } from '../../src/benchmark/contest.ts';
import type { Contestant, StepProblem } from '../../src/benchmark/types.ts';
import { readSymbol } from '../../src/formats/index.ts';
import { attributesOf } from '../../src/nn/symbol-graph.ts';
import { filterHwio } from './convolution.ts';
import type { Tf, TfTensor, TfVariable } from './tfjs.ts';
import { pads } from './tfjs.ts';

interface Attributes {
  readonly stride: readonly number[];
  readonly pad: readonly number[];
  readonly kernel: readonly number[];
  readonly pool_type: 'max' | 'avg';
  readonly global_pool: boolean;
  readonly eps: number;
}

export function tfStep(tf: Tf, name: string, problem: StepProblem): Contestant {
  const { batch, side, classes, images, labels, learningRate, momentum } = problem;
  const network = readSymbol(problem.symbol, { file: 'the benchmark\'s network' });
  const variables = new Map<string, TfVariable>();
  for (const [key, { shape, data }] of problem.parameters.arguments) {
    const values = data as Float32Array<ArrayBuffer>;
    const [k, r, s, c] = shape;
    const made = shape.length === 4 ? tf.tensor(filterHwio(values, shape), [r, s, c, k]) : tf.tensor(values, shape);
    variables.set(key, tf.variable(made, true, key));
    made.dispose();
  }
  const x = tf.tensor(Float32Array.from(images, (v) => v / 255), [batch, side, side, 3]);
  const oneHot = tf.tensor(Float32Array.from({ length: batch * classes }, (_, i) => Number(labels[Math.floor(i / classes)] === i % classes)), [batch, classes]);
  const optimizer = tf.train.momentum(learningRate, momentum);

  const logits = (): TfTensor => {
    const outputs = new Map<object, TfTensor>();
    let last: TfTensor | undefined;
    for (const node of network.nodes) {
      if (node.op === 'null' || node.op === 'SoftmaxOutput') continue;
      const a = attributesOf(node) as unknown as Attributes;
      const [data, ...rest] = node.inputs.map((e) => (e.node.name === 'data' ? x : outputs.get(e.node) ?? variables.get(e.node.name)!));
      last = operate(tf, node.op, a, data, rest);
      outputs.set(node, last);
    }
    return last!;
  };
  const history: number[] = [];
  let last: TfTensor | undefined;
  const begin = (): void => {
    last?.dispose();
    const { value, grads } = tf.variableGrads(() => tf.losses.softmaxCrossEntropy(oneHot, logits()));
    optimizer.applyGradients(grads);
    tf.dispose(grads);
    last = value;
  };
  return {
    name,
    run: (times, queued) => timed(times, begin, queued, async () => void history.push((await last!.data())[0])),
    result: async () => [history],
    facts: async () => ({ note: 'moving statistics are not kept; images come as floats' }),
    dispose() {
      for (const t of [...variables.values(), x, oneHot, optimizer, last]) t?.dispose();
    },
  };
}

function operate(tf: Tf, op: string, a: Attributes, x: TfTensor, rest: readonly TfTensor[]): TfTensor {
  const [h = 0, w = 0] = a.pad ?? [];
  const padding = pads([h, h, w, w]);
  const stride = a.stride?.length ? a.stride : [1, 1];
  switch (op) {
    case 'Convolution': return tf.conv2d(x, rest[0], stride, padding, 'NHWC', 1, 'floor').add(rest[1]);
    case 'BatchNorm': {
      const mean = x.mean([0, 1, 2]);
      const centred = x.sub(mean);
      const variance = centred.square().mean([0, 1, 2]);
      return centred.mul(variance.add(a.eps).rsqrt().mul(rest[0])).add(rest[1]);
    }
    case 'Activation': return x.relu();
    case 'Pooling': {
      if (a.global_pool) return x.mean([1, 2], true);
      if (a.pool_type === 'max') return tf.maxPool(x, a.kernel, stride, padding, 'floor');
      // tfjs leaves the padding out of its averages, MXNet does not.
      return tf.avgPool(h + w > 0 ? tf.pad(x, [[0, 0], [h, h], [w, w], [0, 0]]) : x, a.kernel, stride, 0, 'floor');
    }
    case 'Concat': return tf.concat([x, ...rest], 3);
    case 'Flatten': return x.reshape([x.shape[0], -1]);
    case 'FullyConnected': return tf.matMul(x, rest[0], false, true).add(rest[1]);
    default: throw new Error(`the tfjs step has no operator ${op}`);
  }
}
