/** Fixtures of operators: symbols by Fovea, one or more of every operator and the cases of the given fixtures; figures by MXNet. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeParams } from '../../src/formats/mxnet-params.ts';
import { writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { isLabel } from '../../src/nn/symbol-graph.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { operatorUses } from '../../test/support/operator-uses.ts';
import { drawn } from './draw.ts';
import { operatorCases } from './operator-cases.ts';
import type { OperatorCase } from './operator-cases.ts';
import type { Part } from './part.ts';

/** Steps, which have no gradient to speak of. */
const withoutGradient = /^(argmax|argmax_channel|floor|sign|Cast|BlockGrad|broadcast_(not_)?equal|broadcast_(greater|lesser)(_equal)?)$/;

interface Use extends OperatorCase {
  /** Inputs have to be positive: it has a logarithm or a root. */
  readonly positive: boolean;
}

export const operators: Part = {
  name: 'ops',
  make({ seed, out, run }) {
    const folder = join(out, 'fixtures', 'mxnet', 'ops');
    const uses: Use[] = [
      ...operatorCases(seed).map((one) => ({ ...one, positive: false })),
      ...operatorUses.map(({ title, ...one }) => ({ ...one, name: `use_${title.replace(/\W+/g, '_').toLowerCase()}` })),
    ];
    const index = uses.map((use) => {
      const { name, symbol, inference = false } = use;
      const kinds = symbol.nodes.map((node) => node.op);
      // Dropout draws by generators of its own in training.
      const learns = !inference && !kinds.includes('Dropout') && !kinds.some((op) => withoutGradient.test(op));
      mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, name, 'symbol.json'), writeSymbol(symbol));
      writeFileSync(join(folder, name, 'in.params'), writeParams(inputsOf(use, seed, learns)));
      return { name, train: learns, grads: learns, note: '' };
    });
    writeFileSync(join(folder, 'index.json'), JSON.stringify(index, undefined, 1));
    run('mxnet', 'mxnet_operators.py', folder);
    return `${index.length} operators`;
  },
};

function inputsOf({ name, symbol, inputs, values = {}, positive }: Use, seed: number, learns: boolean): Map<string, HostArray> {
  const stream = new PhiloxStream(seed, name);
  const shapes = symbol.inferShape(inputs);
  const out = new Map<string, HostArray>();
  for (const [argument, shape] of shapes.arguments) {
    const one = drawn(stream, shape, positive || argument.endsWith('gamma') ? 0.5 : -1.5, 1.5);
    // Labels are classes where there are classes.
    const classes = isLabel(argument) ? Float32Array.from(one.data as Float32Array, (v) => (v > 0 ? 1 : 0)) : one.data;
    out.set(`arg:${argument}`, { ...one, data: argument in values ? Float32Array.from(values[argument]) : classes });
  }
  for (const [state, shape] of shapes.auxiliary) out.set(`aux:${state}`, drawn(stream, shape, state.endsWith('var') ? 0.5 : -1, 1.5));
  if (learns) [...shapes.outputs.values()].forEach((shape, i) => out.set(`head:${i}`, drawn(stream, shape, -1, 1)));
  return out;
}
