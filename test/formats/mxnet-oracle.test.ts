/** Files that Fovea wrote, read by MXNet 1.9.1 itself: every operator and whole Inceptions give the same outputs there. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinCheckpoint, writeParams } from '../../src/formats/mxnet-params.ts';
import { writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import { inceptionBN, inceptionBNSmall, inceptionV3 } from '../../src/models/index.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { fromMXNet, group, internals } from '../../src/nn/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { holds } from '../support/conformance.ts';
import { paramsFile, symbolFile, toNCHW } from '../support/mxnet.ts';
import { operatorUses, parametersOf } from '../support/operator-uses.ts';
import type { OperatorUse } from '../support/operator-uses.ts';
import { mxnetPython } from '../support/python.ts';
import { runners } from '../support/runners.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

process.env.FOVEA_RUNNERS ??= 'cpu';
const [runner] = (await runners()).present;
const script = fileURLToPath(new URL('../../tools/oracles/mxnet_forward.py', import.meta.url));

interface Case extends OperatorUse {
  /** Of the largest value: two of MXNet's own implementations of an operator differ by 1.2e-6, of a network by 1e-5 of the rms. */
  readonly tolerance: number;
}

/** The ImageNet network of 2015 in its real file, which states things in the spelling of then. */
const real = shared('formats', 'mxnet', 'Inception_BN-symbol.json');
const networks: Case[] = ([
  ['Inception-BN for small images', inceptionBNSmall(), 28], ['Inception-BN', inceptionBN(), 224], ["Inception v3 as Keras'", inceptionV3(), 299],
  ["Inception v3 as torchvision's", inceptionV3({ variant: 'torchvision' }), 299], ["Inception v3 as MXNet's", inceptionV3({ variant: 'mxnet' }), 299],
  ...(real === undefined ? [] : [['Inception-BN of 2015, its real file read and written', symbolFile(real), 224] as const]),
] as const).map(([title, symbol, side]) => ({
  title, symbol: group(symbol, internals(symbol).global_pool_output), inputs: { data: [1, 3, side, side] }, positive: false, tolerance: 3e-5,
}));
const cases: Case[] = [...operatorUses.map((use) => ({ ...use, tolerance: 5e-6 })), ...networks];

function inputsOf({ inputs, positive }: OperatorUse): Map<string, HostArray> {
  const stream = new PhiloxStream(5, 'inputs');
  return new Map(Object.entries(inputs).map(([name, shape]) => {
    const data = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => stream.uniform(positive ? 0.25 : -2, 2));
    return [name, { shape, dtype: 'float32', data }];
  }));
}

const { python, absent } = mxnetPython();
if (python === undefined) {
  skip('what Fovea wrote, MXNet 1.9.1 loads and computes to the same', absent);
} else {
  if (real === undefined) {
    skip('the real Inception-BN of 2015, written and computed by MXNet 1.9.1', 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
  }
  const folder = mkdtempSync(join(tmpdir(), 'fovea-mxnet-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const at = (i: number): string => join(folder, String(i).padStart(4, '0'));
  cases.forEach((one, i) => {
    mkdirSync(at(i));
    writeFileSync(join(at(i), 'symbol.json'), writeSymbol(one.symbol));
    const parameters = joinCheckpoint(parametersOf(one.symbol, one.inputs));
    if (parameters.size > 0) writeFileSync(join(at(i), 'params.params'), writeParams(parameters));
    writeFileSync(join(at(i), 'inputs.params'), writeParams(inputsOf(one)));
  });
  const done = spawnSync(python, [script, folder], { encoding: 'utf8' });
  assert.is(done.status, 0, done.stderr);

  cases.forEach((one, i) => {
    test(`${one.title}: MXNet 1.9.1 loads it and computes the same`, async () => {
      const { symbol, inputs, tolerance } = one;
      const error = join(at(i), 'error.txt');
      assert.not(existsSync(error), existsSync(error) ? readFileSync(error, 'utf8') : '');
      const wanted = [...paramsFile(join(at(i), 'outputs.params')).values()];
      const { arguments: learned, auxiliary } = parametersOf(symbol, inputs);
      const tensors = [...learned, ...auxiliary, ...inputsOf(one)].map(([name, array]) => {
        const { data, shape } = fromMXNet(array);
        return [name, wrap(data as Float32Array, shape, 'float32')] as const;
      });
      const outputs = symbol.applyAll(new Map(tensors.filter(([name]) => !(name in inputs))), Object.fromEntries(tensors.filter(([name]) => name in inputs)));
      const shapes = outputs.map((t) => t.shape);
      const values = await runner.evaluate(outputs);
      assert.is(wanted.length, outputs.length);
      wanted.forEach((want, k) => {
        const got = toNCHW(values[k], shapes[k]);
        assert.is(got.length, want.data.length);
        const theirs = want.data as Float32Array;
        const largest = theirs.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        const off = theirs.reduce((m, v, n) => Math.max(m, Math.abs(v - got[n])), 0);
        const fixture = networks.includes(one) ? one.title : 'every operator';
        const error = largest === 0 ? off : off / largest;
        holds({ source: 'MXNet 1.9.1 on files that Fovea wrote', fixture, measure: 'of the largest value',
          error, tolerance, runner: runner.name }, `output ${k}`);
      });
    });
  });
}

test.run();
