import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError } from '../../src/errors.ts';
import { readSymbol, writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { activation, batchNorm, chain, fullyConnected, multiply, pooling, softmaxOutput, variable } from '../../src/nn/index.ts';
import { attributesOf } from '../../src/nn/symbol-graph.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { throws } from '../support/errors.ts';
import { noFixtures } from '../support/python.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

const file = 'net-symbol.json';

test('what is written is read as the same symbol', () => {
  const net = inceptionBNSmall({ classes: 3, width: 0.5 });
  const text = writeSymbol(net);
  const back = readSymbol(text, { file });
  assert.is(writeSymbol(back), text);
  assert.equal(back.listArguments(), net.listArguments());
  assert.equal(back.listAuxiliaryStates(), net.listAuxiliaryStates());
  assert.equal(back.listOutputs(), net.listOutputs());
});

test("the user's attributes are kept", () => {
  const net = chain('data', fullyConnected({ name: 'fc', numHidden: 3, lrMult: 0.5, attributes: { note: 'mine "quoted" ü' } }));
  const back = readSymbol(writeSymbol(net), { file });
  assert.is(back.attributes('fc').__note__, 'mine "quoted" ü');
  assert.is(back.attributes('fc_weight').__lr_mult__, '0.5');
});

test('numbers are spelled as Python spells them', () => {
  const text = writeSymbol(multiply(chain('data', batchNorm({ name: 'bn', eps: 1e-5 + 1e-10, momentum: 0.9 })), 2, { name: 'twice' }));
  for (const part of ['"eps": "1.0000100000000001e-05"', '"momentum": "0.9"', '{"scalar": "2.0"}']) {
    assert.ok(text.includes(part), part);
  }
});

const small = writeSymbol(chain('data', fullyConnected({ name: 'fc', numHidden: 3 }), activation({ actType: 'relu', name: 'act' }),
  softmaxOutput({ name: 'softmax' })));

const old = JSON.stringify({
  nodes: [
    { op: 'null', param: {}, name: 'data', inputs: [], backward_source_id: -1 },
    { op: 'null', param: {}, name: 'bn_gamma', inputs: [], backward_source_id: -1 },
    { op: 'null', param: {}, name: 'bn_beta', inputs: [], backward_source_id: -1 },
    { op: 'BatchNorm', param: { momentum: '0.7' }, name: 'bn', inputs: [[0, 0], [1, 0], [2, 0]], backward_source_id: -1 },
  ],
  arg_nodes: [0, 1, 2],
  heads: [[3, 0]],
});

test('a batch norm of 2015 that states nothing: as MXNet 1.9.1 reads it, with a warning, or as it was meant', () => {
  const warnings: string[] = [];
  const read = (text: string, batchNorm?: '2015'): Record<string, unknown> =>
    attributesOf(readSymbol(text, { file, batchNorm, warn: (message) => warnings.push(message) }).node('bn'));
  const { eps, fix_gamma: fixGamma, momentum } = read(old);
  assert.equal({ eps, fixGamma, momentum }, { eps: 1e-3, fixGamma: true, momentum: 0.7 });
  assert.is(warnings.length, 1);
  assert.match(warnings[0], /^net-symbol\.json: 1 batch norm \("bn"\).*In 2015 gamma was learned, eps 1e-10, momentum 0\.1: option batchNorm: '2015'/);
  const meant = read(old, '2015');
  assert.equal([meant.eps, meant.fix_gamma, meant.momentum], [1e-10, false, 0.7]);
  read(old.replace('{"momentum":"0.7"}', '{"eps":"1e-4","fix_gamma":"False"}'));
  read(old.replace(/\}$/, ',"attrs":{"mxnet_version":["int",10100]}}'));
  assert.is(warnings.length, 1, 'what is stated, or of a later version, is not warned of');
  throws(() => read(old.replace(/\}$/, ',"attrs":{"mxnet_version":["int","x"]}}')), FormatError, /attrs\.mxnet_version: expected/);
});

function changed(change: (json: { nodes: Record<string, unknown>[]; [key: string]: unknown }) => void): string {
  const json = JSON.parse(small) as { nodes: Record<string, unknown>[] };
  change(json);
  return JSON.stringify(json);
}

for (const [what, text, says] of [
  ['text that is no JSON', small.slice(0, 100), /not JSON/],
  ['a list', '[]', /expected a JSON object/],
  ['no nodes', '{}', /nodes: expected/],
  ['an unknown operator', changed((j) => (j.nodes[3].op = 'FullyConected')), /layer "fc": operator "FullyConected".*did you mean "FullyConnected"/],
  ['an unknown attribute', changed((j) => (j.nodes[3].attrs = { num_hidden: '3', color: 'red' })), /layer "fc".*"color"/],
  ['a value out of range', changed((j) => (j.nodes[3].attrs = { num_hidden: '-3' })), /layer "fc".*num_hidden.*1 or more.*"-3"/],
  ['a value that is no text', changed((j) => (j.nodes[3].attrs = { num_hidden: 3 })), /nodes\[3\] "fc"\.attrs\.num_hidden: expected text/],
  ['an attribute that must be there', changed((j) => delete j.nodes[3].attrs), /num_hidden is not stated/],
  ['an input from later on', changed((j) => (j.nodes[3].inputs = [[5, 0, 0]])), /"fc"\.inputs\[0\]: node 5 does not come before/],
  ['an output that does not exist', changed((j) => (j.nodes[4].inputs = [[3, 7, 0]])), /"fc" has no output 7/],
  ['too many inputs', changed((j) => (j.nodes[4].inputs = [[3, 0, 0], [0, 0, 0]])), /layer "act".*2 inputs, takes 1/],
  ['no heads', changed((j) => (j.heads = [])), /heads: expected one/],
  ['wrong variables', changed((j) => (j.arg_nodes = [0])), /arg_nodes/],
] as const) {
  test(`${what}: refused with file and place`, () => {
    throws(() => readSymbol(text, { file }), FormatError, new RegExp(`^net-symbol\\.json: .*${says.source}`, 's'));
  });
}

test('mutated at random: a FormatError, or a symbol that is written and read again the same', () => {
  const stream = new PhiloxStream(4, 'mutations');
  const bytes = Buffer.from(writeSymbol(inceptionBNSmall({ width: 0.25 })).slice(0, -1) + '}');
  const pieces = ['"op"', '[', ']', '0', '-1', '1e9', 'null', '"null"', '"Concat"', '""', '{}', ','];
  let refused = 0;
  for (let round = 0; round < 1500; round++) {
    const at = stream.int(bytes.length);
    const piece = Buffer.from(stream.chance(0.5) ? String.fromCharCode(32 + stream.int(95)) : pieces[stream.int(pieces.length)]);
    const text = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + stream.int(4))]).toString();
    try {
      const written = writeSymbol(readSymbol(text, { file }));
      assert.is(writeSymbol(readSymbol(written, { file })), written);
    } catch (error) {
      assert.instance(error, FormatError, `round ${round} at ${at}: ${String((error as Error).stack)}`);
      refused++;
    }
  }
  assert.ok(refused > 300, `only ${refused} of 1500 were refused`);
});

test('hidden outputs are counted as MXNet counts them', () => {
  // As MXNet 1.9.1 writes them: global max pooling has a second output only where it states a kernel.
  const rows = (more: object): readonly number[] =>
    pooling(variable('data'), { globalPool: true, poolType: 'max', name: 'p', ...more }).toJSON().node_row_ptr;
  assert.equal(rows({}), [0, 1, 2]);
  assert.equal(rows({ kernel: [7, 7] }), [0, 1, 3]);
  assert.equal(rows({ kernel: [7, 7], poolType: 'avg' }), [0, 1, 2]);
});

const ops = shared('fixtures', 'mxnet', 'ops');
if (ops === undefined) {
  skip('MXNet\'s own symbols come back byte for byte', noFixtures('mxnet', 'ops'));
} else {
  test('MXNet\'s own symbols come back byte for byte', () => {
    const unsupported = ['deconv_4x4_stride2', 'lrn'];
    const folders = readdirSync(ops, { withFileTypes: true }).filter((e) => e.isDirectory() && !unsupported.includes(e.name));
    assert.ok(folders.length > 50);
    for (const { name } of folders) {
      const text = readFileSync(`${ops}/${name}/symbol.json`, 'utf8');
      assert.ok(writeSymbol(readSymbol(text, { file: name })) === text, name);
    }
  });
}

const real = shared('formats', 'mxnet');
if (real === undefined) {
  skip('MXNet\'s old files are upgraded', 'no formats/mxnet in the shared folder (FOVEA_SHARED)');
} else {
  const open = (name: string): string => readFileSync(`${real}/${name}`, 'utf8');
  test('the Inception-BN file of 2015: auxiliary variables are added', () => {
    const net = readSymbol(open('Inception_BN-symbol.json'), { file: 'Inception_BN-symbol.json' });
    assert.is(net.listAuxiliaryStates().length, 138);
    assert.is(net.listArguments().length, 280);
    assert.ok(net.listAuxiliaryStates().includes('bn_1_moving_mean'));
    const shapes = net.inferShape({ data: [1, 3, 224, 224] });
    assert.equal(shapes.outputs.get('softmax_output'), [1, 1000]);
  });
  test('the real files state what their batch norms mean: nothing is warned of', () => {
    const warnings: string[] = [];
    for (const name of ['Inception_BN-symbol.json', 'save_000800.json', 'symbol_inception-bn-cpp.json',
      'symbol_inception-v3-cpp.json', 'symbol_resnet-cpp.json']) {
      readSymbol(open(name), { file: name, warn: (message) => warnings.push(message) });
    }
    assert.equal(warnings, []);
  });
  test('a file of version 0.8: users\' attributes find their variables', () => {
    const net = readSymbol(open('save_000800.json'), { file: 'save_000800.json' });
    assert.equal(net.listAuxiliaryStates(), ['batchnorm0_moving_mean', 'batchnorm0_moving_var']);
    assert.is(net.attributes('fc1_weight').__lr_mult__, '1.2');
    assert.is(net.attributes('fc1').__ctx_group__, 'stage1');
  });
  test('files of MXNet\'s C++ examples are read, or refused by the operator\'s name', () => {
    const missing: Record<string, RegExp> = { 'symbol_alexnet-cpp.json': /"LRN"/, 'symbol_unet-cpp.json': /"Deconvolution"/ };
    for (const name of readdirSync(real).filter((n) => n.startsWith('symbol_'))) {
      if (name in missing) throws(() => readSymbol(open(name), { file: name }), FormatError, missing[name]);
      else assert.ok(readSymbol(open(name), { file: name }).nodes.length > 5, name);
    }
  });
}

test.run();
