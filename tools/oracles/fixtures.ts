/**
 * Makes MXNet's operator fixtures anew, with values drawn from a seed, in one command where a Python has MXNet:
 *
 *     node --import tsx tools/oracles/fixtures.ts --seed 7 --out .cache/oracles/7      # FOVEA_MXNET_PYTHON=PATH unless python3 has it
 *     FOVEA_SHARED=.cache/oracles/7 node --import tsx test/ops/suite.test.ts
 *
 * Symbols are written by Fovea, one or more of every operator; what they compute, gradients too, is MXNet's.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeParams } from '../../src/formats/mxnet-params.ts';
import { writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { isLabel } from '../../src/nn/symbol-graph.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { operatorUses } from '../../test/support/operator-uses.ts';
import type { OperatorUse } from '../../test/support/operator-uses.ts';
import { mxnetPython } from '../../test/support/python.ts';

/** Steps, which have no gradient to speak of. */
const withoutGradient = /^(argmax|argmax_channel|floor|sign|Cast|BlockGrad|broadcast_(not_)?equal|broadcast_(greater|lesser)(_equal)?)$/;

const { values: options } = parseArgs({ options: { seed: { type: 'string', default: '0' }, out: { type: 'string' } } });
const seed = Number(options.seed);
if (options.out === undefined || !Number.isInteger(seed)) {
  console.error('node --import tsx tools/oracles/fixtures.ts --seed INTEGER --out FOLDER');
  process.exit(2);
}
const { python, absent } = mxnetPython();
if (python === undefined) {
  console.error(absent);
  process.exit(1);
}

const folder = join(options.out, 'fixtures', 'mxnet', 'ops');
const index = operatorUses.map((use) => {
  const name = use.title.replace(/\W+/g, '_').toLowerCase();
  const operators = use.symbol.nodes.map((node) => node.op);
  const grads = !operators.some((op) => withoutGradient.test(op));
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, 'symbol.json'), writeSymbol(use.symbol));
  writeFileSync(join(folder, name, 'in.params'), writeParams(inputsOf(use, name, grads)));
  // Dropout draws by generators of its own in training.
  return { name, train: grads && !operators.includes('Dropout'), grads: grads && !operators.includes('Dropout'), note: '' };
});
writeFileSync(join(folder, 'index.json'), JSON.stringify(index, undefined, 1));
const script = fileURLToPath(new URL('mxnet_operators.py', import.meta.url));
const done = spawnSync(python, [script, folder], { stdio: 'inherit' });
if (done.status === 0) console.log(`${index.length} fixtures in ${folder}; FOVEA_SHARED=${options.out} has the tests take them`);
process.exitCode = done.status ?? 1;

function inputsOf({ symbol, inputs, positive }: OperatorUse, name: string, grads: boolean): Map<string, HostArray> {
  const stream = new PhiloxStream(seed, name);
  const draw = (shape: readonly number[], least: number, most: number): HostArray => {
    const data = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => stream.uniform(least, most));
    return { shape, dtype: 'float32', data };
  };
  const shapes = symbol.inferShape(inputs);
  const out = new Map<string, HostArray>();
  for (const [argument, shape] of shapes.arguments) {
    const drawn = draw(shape, positive || argument.endsWith('gamma') ? 0.5 : -1.5, 1.5);
    // Labels are classes where there are classes.
    out.set(`arg:${argument}`, isLabel(argument) ? { ...drawn, data: Float32Array.from(drawn.data as Float32Array, (v) => (v > 0 ? 1 : 0)) } : drawn);
  }
  for (const [state, shape] of shapes.auxiliary) out.set(`aux:${state}`, draw(shape, state.endsWith('var') ? 0.5 : -1, 1.5));
  if (grads) [...shapes.outputs.values()].forEach((shape, i) => out.set(`head:${i}`, draw(shape, -1, 1)));
  return out;
}
