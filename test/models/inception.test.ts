import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { OptionError, ShapeError } from '../../src/errors.ts';
import { writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import { inceptionBN, inceptionBNSmall } from '../../src/models/index.ts';
import { countParameters } from '../../src/nn/parameters.ts';
import { summarize } from '../../src/nn/summary.ts';
import { internals } from '../../src/nn/symbol.ts';
import { outputName } from '../../src/nn/symbol-graph.ts';
import { throws } from '../support/errors.ts';
import type { Digest } from '../support/mxnet.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const at = (n: number, size: number): { data: number[] } => ({ data: [n, 3, size, size] });

test('inceptionBN has the published numbers of parameters, states and multiply-adds', () => {
  const net = inceptionBN();
  assert.equal(countParameters(net, at(1, 224)), { learnable: 11_295_240, states: 20_032 });
  const layers = summarize(net, at(1, 224));
  assert.is(layers.filter((l) => l.operator === 'Convolution').length, 69);
  assert.is(layers.reduce((n, l) => n + l.parameters, 0), 11_295_240);
  const biases = layers.filter((l) => l.operator === 'Convolution').reduce((n, l) => n + l.shape[1], 0);
  assert.is(11_295_240 - biases, 11_285_224);
  const fc1 = layers.find((l) => l.name === 'fc1')!;
  assert.is(fc1.parameters, 1_025_000);
  const multiplyAdds = layers.reduce((n, l) => n + l.multiplyAdds, 0);
  assert.ok(Math.abs(multiplyAdds / 1e9 - 1.987) < 0.0005, `${multiplyAdds}`);
});

test('inceptionBNSmall has the published numbers', () => {
  const net = inceptionBNSmall();
  assert.is(countParameters(net, at(1, 28)).learnable, 1_652_826);
  const layers = summarize(net, at(1, 28));
  assert.is(layers.filter((l) => l.operator === 'Convolution').length, 19);
  const multiplyAdds = layers.reduce((n, l) => n + l.multiplyAdds, 0);
  assert.ok(Math.abs(multiplyAdds / 1e6 - 204.2) < 0.05, `${multiplyAdds}`);
});

test('the tap of the article has 1024 features; sizes of the blocks are the published ones', () => {
  const net = inceptionBN();
  const shape = (name: string): number[] => [...internals(net)[name].inferShape(at(2, 224)).outputs.get(name)!];
  assert.equal(shape('global_pool_output'), [2, 1024, 1, 1]);
  assert.equal(shape('ch_concat_3b_chconcat_output'), [2, 320, 27, 27]);
  assert.equal(shape('ch_concat_3c_chconcat_output'), [2, 576, 14, 14]);
  assert.equal(shape('ch_concat_4e_chconcat_output'), [2, 1056, 7, 7]);
});

test('classes, width and image size are free', () => {
  for (const build of [inceptionBN, inceptionBNSmall]) {
    for (const width of [0.25, 0.5, 0.3]) {
      const net = build({ classes: 2, width });
      for (const layer of summarize(net, at(3, 64))) {
        if (layer.operator === 'Convolution') assert.is(layer.shape[1] % 4, 0, `${layer.name} at ${width}`);
      }
      assert.equal(net.inferShape(at(3, 96)).outputs.get('softmax_output'), [3, 2]);
    }
  }
  const quarter = countParameters(inceptionBN({ classes: 2, width: 0.25 }), at(1, 64)).learnable;
  assert.ok(quarter > 11_295_240 / 25 && quarter < 11_295_240 / 12, `${quarter}`);
  assert.ok(inceptionBN().inferShape(at(1, 13)));
  throws(() => inceptionBN().inferShape(at(1, 12)), ShapeError, /layer "pool_2"/);
  throws(() => inceptionBN({ width: 0 }), OptionError, /width/);
  throws(() => inceptionBN({ classes: 1.5 }), OptionError, /classes/);
});

const symbolPath = shared('fixtures', 'mxnet', 'nets', 'inception-bn-2016-symbol.json');
if (symbolPath === undefined) {
  skip('inceptionBN is MXNet\'s own symbol, byte for byte', noFixtures('mxnet', 'nets'));
} else {
  test('inceptionBN is MXNet\'s own symbol, byte for byte', () => {
    assert.ok(writeSymbol(inceptionBN()) === readFileSync(symbolPath, 'utf8'));
  });
}

const forward = shared('fixtures', 'mxnet', 'nets', 'inception-bn-2016-forward.json');
if (forward === undefined) {
  skip('names and shapes of all layers are MXNet\'s', noFixtures('mxnet', 'nets'));
} else {
  test('names and shapes of all layers are MXNet\'s', () => {
    const want = JSON.parse(readFileSync(forward, 'utf8')) as {
      input: number[]; arguments: Record<string, number[]>; auxiliary: Record<string, number[]>; layers: Record<string, Digest>;
    };
    const net = inceptionBN();
    const got = net.inferShape({ data: want.input });
    assert.equal(net.listArguments(), Object.keys(want.arguments));
    assert.equal(net.listAuxiliaryStates(), Object.keys(want.auxiliary));
    assert.equal(Object.fromEntries(got.arguments), want.arguments);
    assert.equal(Object.fromEntries(got.auxiliary), want.auxiliary);
    const layers = [...got.internals].filter(([node]) => node.op !== 'null')
      .map(([node, shapes]) => [outputName({ node, index: 0 }), shapes[0]]);
    assert.equal(layers, Object.entries(want.layers).map(([name, { shape }]) => [name, shape]));
  });
}

test.run();
