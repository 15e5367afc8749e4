/** Keras' Inception v3 out of its own files: the `inceptionV3` Symbol, with what TensorFlow.js computes at each layer. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadModel } from '../../src/formats/load-model.ts';
import { inceptionV3 } from '../../src/models/inception-v3.ts';
import { createVariables, initialize } from '../../src/nn/parameters.ts';
import { group, internals, sameNetwork } from '../../src/nn/symbol.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import { runners } from '../support/runners.ts';
import { shared } from '../support/shared.ts';
import { skip } from '../support/skip.ts';

// The float64 reference takes a minute: asked for by name.
process.env.FOVEA_RUNNERS ??= 'cpu,webgpu';
const { present, absent } = await runners();

interface Reference {
  readonly layers: Record<string, { shape: number[]; mean: number; rms: number; min: number; max: number; first8: number[]; last4: number[] }>;
}

const folder = shared('weights', 'inception-v3-keras');
const titles = ['it is the inceptionV3 Symbol', 'every layer of reference-activations.json'];

if (folder === undefined) {
  for (const title of titles) skip(title, 'no weights/inception-v3-keras in the shared folder (FOVEA_SHARED)');
} else {
  const { symbol, parameters, preprocessing, warnings } = await loadModel(`${folder}/model.json`);
  const reference = JSON.parse(readFileSync(`${folder}/reference-activations.json`, 'utf8')) as Reference;
  const trunk = internals(symbol).mixed10_output;

  test(titles[0], () => {
    assert.ok(sameNetwork(trunk, internals(inceptionV3()).mixed10_output));
    assert.equal(preprocessing, { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5], size: [299, 299] });
    assert.match(warnings.join('\n'), /x \/ 127\.5 - 1.*option preprocessing/);
  });

  for (const [runner, reason] of absent) skip(`${titles[1]} on ${runner}`, reason);
  for (const runner of present) {
    test(`${titles[1]} on ${runner.name}`, async () => {
      const names = Object.keys(reference.layers);
      const inner = internals(symbol);
      const network = group(...names.map((name) => (name === 'output' ? symbol : inner[`${name}_output`])));
      const { all } = createVariables(network, initialize(network, { data: [1, 3, 299, 299] }, { seed: 0, from: parameters }));
      const image = Float32Array.from({ length: 299 * 299 * 3 }, (_, i) => Math.sin(0.01 * Math.floor(i / 3) + (i % 3)));
      const outputs = network.applyAll(all, wrap(image, [1, 299, 299, 3], 'float32'));
      const shapes = outputs.map((t) => t.shape);
      const values = await runner.evaluate(outputs);
      names.forEach((name, i) => {
        const want = reference.layers[name];
        const got = values[i];
        assert.equal([...shapes[i]], want.shape, name);
        let [sum, squares, least, most] = [0, 0, Infinity, -Infinity];
        for (let k = 0; k < got.length; k++) {
          sum += got[k];
          squares += got[k] ** 2;
          least = Math.min(least, got[k]);
          most = Math.max(most, got[k]);
        }
        const last = Array.from(got).slice(-4);
        // First and last values and moments by the root mean square, extremes by their own size.
        const off = Math.max(
          ...want.first8.map((v, k) => Math.abs(v - got[k])), ...want.last4.map((v, k) => Math.abs(v - last[k])),
          Math.abs(sum / got.length - want.mean), Math.abs(Math.sqrt(squares / got.length) - want.rms),
        ) / want.rms;
        const extremes = Math.max(Math.abs(least - want.min), Math.abs(most - want.max)) / Math.max(-want.min, want.max);
        if (process.env.SHOW) console.log(name, off, extremes);
        assert.ok(extremes <= 3e-5, `${name}: least or largest value off by ${extremes} of the largest`);
        assert.ok(off <= 3e-5, `${name}: off by ${off} of the rms`);
      });
    });
  }
}

test.run();
