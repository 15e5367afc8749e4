// time limit: 120 s
/** Frozen layers, features computed once, unfreezing: what is learnt and saved, bit for bit. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../src/device/index.ts';
import { OptionError } from '../../src/errors.ts';
import { inceptionBNSmall } from '../../src/models/index.ts';
import { addHead, arraysToMXNet, cutAt, dropout, freeze, initialize, internals, parseHead, scaleLearningRates, unfreeze, upTo } from '../../src/nn/index.ts';
import type { ModelSymbol, ParameterArrays } from '../../src/nn/index.ts';
import { featureCache } from '../../src/train/feature-cache.ts';
import { fit } from '../../src/train/index.ts';
import type { FitOptions, FitResult, TrainingSnapshot } from '../../src/train/index.ts';
import { rejects } from '../support/errors.ts';
import { range, spots, spotsFit } from '../support/training.ts';

const cpu = await device('cpu', { threads: 2 });
const data = spots(16);
const shape = { data: [1, 3, 16, 16] };
const trunk = cutAt(inceptionBNSmall({ classes: 2, width: 0.125 }), 'in4a_chconcat');
const network = addHead(trunk, parseHead('8,relu,2'), shape);
/** Values that a trunk could have learnt: moving statistics too are none of those that it begins with. */
const pretrained = ((): ParameterArrays => {
  const values = initialize(network, shape, { seed: 9 });
  for (const { data: x } of values.auxiliary.values()) x.forEach((_, i) => (x[i] = 0.5 + (i % 7) / 10));
  return arraysToMXNet(values);
})();
const frozen = freeze(network, upTo(network, 'in4a_chconcat'));

function options(symbol: ModelSymbol, more: Partial<FitOptions> = {}): FitOptions {
  return spotsFit(data, { symbol, initialize: { from: pretrained }, augmentation: 'none', epochs: 3, device: cpu, ...more });
}

async function values(result: FitResult): Promise<Map<string, number[]>> {
  const { arguments: learnt, auxiliary } = await result.parameters();
  return new Map([...learnt, ...auxiliary].map(([name, { data: x }]) => [name, [...(x as Float32Array)]]));
}

async function trained(symbol: ModelSymbol, more: Partial<FitOptions> = {}): Promise<{ values: Map<string, number[]>; history: unknown }> {
  const result = await fit(options(symbol, more));
  const out = { values: await values(result), history: result.history.map(({ objective, validation }) => [objective, validation?.loss]) };
  result.dispose();
  return out;
}

test('training on features gives the bits of training on images', async () => {
  let computed = 0;
  const onFeatures = (done: number, total: number): void => {
    assert.is(total, 32);
    computed = done;
  };
  const cached = await trained(frozen, { callbacks: { onFeatures } });
  assert.is(computed, 32);
  const uncached = await trained(frozen, { cacheFeatures: false, callbacks: { onFeatures: () => assert.unreachable() } });
  assert.equal(cached, uncached);
  assert.not.equal(cached.values.get('head_fc1_weight'), [...pretrained.arguments.get('head_fc1_weight')!.data]);
});

cpu.dispose;
test.run();
