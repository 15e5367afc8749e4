/** PyTorch's Inception v3 by its own names: every block as PyTorch computes it, through a safetensors file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FormatError, OptionError } from '../../src/errors.ts';
import { loadModel } from '../../src/formats/load-model.ts';
import { writeSafetensorsModel } from '../../src/formats/safetensors-model.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { inceptionV3 } from '../../src/models/inception-v3.ts';
import type { HostArray } from '../../src/nn/host-array.ts';
import { createVariables, fromMXNet, initialize } from '../../src/nn/parameters.ts';
import { group, internals } from '../../src/nn/symbol.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { holds } from '../support/conformance.ts';
import { rejects, throws } from '../support/errors.ts';
import { edgeError, l2, recipe, toNCHW, torchRecipe } from '../support/mxnet.ts';
import type { Digest } from '../support/mxnet.ts';
import { noFixtures } from '../support/python.ts';
import { runners } from '../support/runners.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

// The float64 reference takes a minute: asked for by name.
process.env.FOVEA_RUNNERS ??= 'cpu';
const { present } = await runners();

interface Fixture {
  readonly input: number[];
  /** Of the recipe, and of the PyTorch that computed: the given fixtures are of seed 0 and PyTorch 2.15. */
  readonly seed?: number;
  readonly torch?: string;
  readonly state_dict: Record<string, number[]>;
  readonly layers: Record<string, Digest>;
  readonly logits: number[];
}

/** The Symbol's layers by PyTorch's names of its blocks. */
const layers: Readonly<Record<string, string>> = {
  Conv2d_1a_3x3: 'activation_1', Conv2d_2a_3x3: 'activation_2', Conv2d_2b_3x3: 'activation_3', maxpool1: 'max_pooling2d_1', Pool1: 'max_pooling2d_1',
  Conv2d_3b_1x1: 'activation_4', Conv2d_4a_3x3: 'activation_5', maxpool2: 'max_pooling2d_2', Pool2: 'max_pooling2d_2',
  Mixed_5b: 'mixed0', Mixed_5c: 'mixed1', Mixed_5d: 'mixed2', Mixed_6a: 'mixed3', Mixed_6b: 'mixed4', Mixed_6c: 'mixed5', Mixed_6d: 'mixed6',
  Mixed_6e: 'mixed7', Mixed_7a: 'mixed8', Mixed_7b: 'mixed9', Mixed_7c: 'mixed10', avgpool: 'global_pool', fc: 'fc1',
};
/** Parts that are not in the Symbol: dropout, and timm's pooling, whose output is flat. */
const absentParts = ['dropout', 'head_drop', 'global_pool'];

const folder = mkdtempSync(join(tmpdir(), 'fovea-torch-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

for (const name of ['torchvision-inception_v3', 'timm-inception_v3']) {
  const title = `${name}: every block and the logits`;
  const path = shared('fixtures', 'torch', `${name}.json`);
  if (path === undefined) {
    skip(title, noFixtures('torch', 'torch'));
    continue;
  }
  const want = JSON.parse(readFileSync(path, 'utf8')) as Fixture;
  const dict = new Map(Object.entries(want.state_dict).map(([key, shape]) => [key, torchRecipe(key, shape, want.seed)]));
  dict.set('fc.num_batches_tracked', { shape: [], dtype: 'int64', data: BigInt64Array.of(3n) });
  const file = join(folder, `${name}.safetensors`);
  writeFileSync(file, writeSafetensors(dict));

  for (const runner of present) {
    test(`${title} on ${runner.name}`, async () => {
      const { symbol, parameters, preprocessing, warnings } = await loadModel(file);
      assert.equal(preprocessing, { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5], size: [299, 299] });
      assert.is(warnings.length, 1);
      const names = Object.keys(want.layers).filter((block) => !absentParts.includes(block));
      const inner = internals(symbol);
      const network = group(...names.map((block) => inner[`${layers[block]}_output`]));
      const { all } = createVariables(network, initialize(network, { data: want.input }, { seed: 0, from: parameters }));
      const image = fromMXNet(torchRecipe('data', want.input, want.seed));
      const outputs = network.applyAll(all, wrap(image.data as Float32Array, image.shape, 'float32'));
      const shapes = outputs.map((t) => t.shape);
      const values = await runner.evaluate(outputs);
      const common = { source: `PyTorch ${want.torch ?? '2.15'}`, fixture: name, runner: runner.name };
      names.forEach((block, i) => {
        const digest = want.layers[block];
        const got = toNCHW(values[i], shapes[i]);
        const off = edgeError(got, { ...digest, size: got.length });
        holds({ ...common, measure: 'of the rms, single values', error: off, tolerance: 3e-5 }, block);
        const norm = Math.abs(l2(got) - digest.l2) / digest.l2;
        holds({ ...common, measure: 'of the l2 norm', error: norm, tolerance: 1e-6 }, block);
      });
      const logits = values[names.indexOf('fc')];
      const rms = l2(want.logits) / Math.sqrt(want.logits.length);
      const off = Math.max(...want.logits.map((v, i) => Math.abs(v - logits[i]))) / rms;
      holds({ ...common, measure: 'of the rms, logits', error: off, tolerance: 3e-5 }, 'logits');
    });
  }

  test(`${name}: written again by PyTorch's names, bit for bit`, async () => {
    const { symbol, parameters } = await loadModel(file);
    const { tensors } = readSafetensors(writeSafetensorsModel(symbol, parameters, { names: 'pytorch' }), { file });
    const wanted = [...dict].filter(([key]) => !key.startsWith('AuxLogits') && !key.endsWith('tracked'));
    assert.equal(new Set(tensors.keys()), new Set(wanted.map(([key]) => key)));
    for (const [key, array] of wanted) {
      const got = tensors.get(key)!;
      assert.equal([...got.shape], [...array.shape], key);
      assert.ok(Buffer.from(got.data.buffer).equals(Buffer.from(array.data.buffer)), key);
    }
  });

  test(`${name}: a tensor that is missing, foreign or of another shape is named`, async () => {
    const change = async (edit: (tensors: Map<string, HostArray>) => void, says: RegExp): Promise<void> => {
      const tensors = new Map(dict);
      edit(tensors);
      const changed = join(folder, 'changed.safetensors');
      writeFileSync(changed, writeSafetensors(tensors));
      await rejects(() => loadModel(changed), FormatError, says);
    };
    await change((t) => t.delete('Mixed_7c.branch_pool.bn.bias'), /changed\.safetensors: tensor "Mixed_7c\.branch_pool\.bn\.bias" is missing/);
    await change((t) => t.set('fc.wieght', t.get('fc.weight')!), /"fc\.wieght".*did you mean "fc\.weight"/);
    await change((t) => t.set('Mixed_5b.branch1x1.conv.weight', t.get('Mixed_5c.branch1x1.conv.weight')!),
      /"Mixed_5b\.branch1x1\.conv\.weight": expected \[64, 192, 1, 1\], got \[64, 256, 1, 1\]/);
  });
}

test("PyTorch's names are refused for another network than PyTorch's", () => {
  const keras = inceptionV3({ classes: 2, width: 0.125 });
  const empty = { arguments: new Map<string, HostArray>([['fc1_weight', recipe('fc1_weight', [2, 256])]]), auxiliary: new Map<string, HostArray>() };
  throws(() => writeSafetensorsModel(keras, empty, { names: 'pytorch' }), OptionError, /inceptionV3\(\{ variant: 'torchvision' \}\)/);
});

test.run();
