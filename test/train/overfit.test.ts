// time limit: 400 s
/**
 * A network that cannot learn eight random labels by heart has a gradient that is wrong somewhere. All weights are trained,
 * batch norm by batch statistics, on each device.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inceptionBN } from '../../src/models/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { TrainStep, createNetwork, createOptimizer } from '../../src/train/index.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

const { present, absent } = await runners();
const [count, side, most, enough] = [8, 33, 200, 1e-3];

function randomBatch(labelSeed: number) {
  const pixels = new PhiloxStream(11, 'test/overfit pixels');
  const labels = new PhiloxStream(labelSeed, 'test/overfit labels');
  return {
    pixels: Uint8Array.from({ length: count * side * side * 3 }, () => pixels.int(256)),
    labels: Int32Array.from({ length: count }, () => labels.int(2)),
    sampleIds: Int32Array.from({ length: count }, (_, i) => i),
    weights: new Float32Array(count).fill(1),
    shape: [count, side, side, 3] as const,
  };
}

for (const { name, device } of present) {
  if (device === undefined) continue;
  test(`${name}: learns eight random labels by heart within ${most} steps`, async () => {
    const batch = randomBatch(1);
    assert.ok(new Set(batch.labels).size === 2, 'both classes occur');
    const network = createNetwork(inceptionBN({ classes: 2, width: 0.125 }), { shape: [side, side, 3] }, { seed: 2 });
    const optimizer = createOptimizer(network, { kind: 'adam' }, device);
    const before = await Promise.all(network.variables.trainable.map((v) => v.data()));
    const step = new TrainStep({
      network, device, optimizer, seed: 0, classWeights: [1, 1],
      normalization: { mean: [128, 128, 128], deviation: [74, 74, 74], window: 0 },
    });
    let loss = Infinity;
    let taken = 0;
    while (taken < most && loss >= enough) {
      loss = (await (await step.run(batch, taken++, 0.003)).result).loss;
    }
    console.log(`${name}: ${taken} steps, cross-entropy ${loss}`);
    assert.ok(loss < enough, `cross-entropy ${loss} after ${taken} steps`);
    for (const [i, variable] of network.variables.trainable.entries()) {
      // Batch norm takes a bias before it away again: its gradient is 0 but for rounding.
      if (variable.name.startsWith('conv_') && variable.name.endsWith('_bias')) continue;
      const after = await variable.data();
      assert.ok(after.some((x, k) => x !== before[i][k]), `${variable.name} was never trained`);
    }
    step.dispose();
    optimizer.dispose();
    network.dispose();
  });
}
for (const [name, reason] of absent) skip(`${name}: learns eight random labels by heart within ${most} steps`, reason);

test.after(() => {
  for (const { device } of present) device?.dispose();
});
test.run();
