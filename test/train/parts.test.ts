/** The small parts of runs: charts, tables, fingerprints, heads, what counts as better. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OptionError } from '../../src/errors.ts';
import { activation, fullyConnected, group, softmaxOutput, variable } from '../../src/nn/index.ts';
import {
  bestEpoch, createNetwork, evaluatePredictions, figure, fingerprintDifferences, lineChart, logitsOf, requireSameFingerprint, ticks,
} from '../../src/train/index.ts';
import type { EpochRecord } from '../../src/train/index.ts';
import { throws } from '../support/errors.ts';

test('ticks are round and within the range', () => {
  assert.equal(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.equal(ticks(1, 10), [2, 4, 6, 8, 10]);
  assert.equal(ticks(0.4, 1), [0.4, 0.6, 0.8, 1]);
  assert.equal(ticks(0, 0.07), [0, 0.02, 0.04, 0.06]);
  assert.equal(ticks(3, 3), [3]);
});

test('charts are whole where figures are missing, and say what they are told', () => {
  const svg = lineChart({
    title: 'a < b & "c"', x: 'x', y: 'y', notice: 'Simulated',
    series: [
      { name: 'gaps', color: '#000', points: [[1, NaN], [2, 0.5], [3, Infinity], [4, 1]] },
      { name: 'one', color: '#000', points: [[2, 0.25]] },
      { name: 'none', color: '#000', points: [] },
    ],
  });
  assert.not.match(svg, /NaN|Infinity|undefined/);
  assert.match(svg, /a &lt; b &amp; &quot;c&quot;/);
  assert.match(svg, />Simulated</);
  assert.match(svg, /<circle/);
  assert.not.match(lineChart({ title: '', x: '', y: '', series: [] }), /NaN/);
});

test('a figure that has no value is a dash', () => {
  assert.is(figure(NaN), '-');
  assert.is(figure(0.12345), '0.123');
});

test('fingerprints: what differs, by name', () => {
  const [a, b] = [{ engine: 'V8 11.3', data: 'x' }, { engine: 'V8 12.4', data: 'x', 'device.kind': 'cpu' }];
  assert.equal(fingerprintDifferences(a, a), []);
  assert.equal(fingerprintDifferences(a, b), ['engine: V8 12.4, was V8 11.3', 'device.kind: cpu, was absent']);
  throws(() => requireSameFingerprint(a, b, false, () => {}), OptionError, /--allow-inexact/);
  const lines: string[] = [];
  requireSameFingerprint(a, b, true, (line) => lines.push(line));
  assert.match(lines[0], /resuming inexactly: engine/);
});

test("the network's softmax head gives way to the loss", () => {
  const logits = fullyConnected(variable('data'), { numHidden: 2, name: 'fc' });
  assert.is(logitsOf(softmaxOutput(logits, { name: 'softmax' })).name, 'fc');
  assert.is(logitsOf(logits).name, 'fc');
  const relu = activation(logits, { actType: 'relu', name: 'relu' });
  assert.is(logitsOf(relu).name, 'relu');
  throws(() => logitsOf(group(logits, relu)), OptionError, /one output; this has 2/);
  throws(() => createNetwork(variable('data'), { shape: [8, 8, 3] }, { seed: 0 }), OptionError, /\[1, classes\] was expected/);
});

function record(epoch: number, scores: number[] | undefined): EpochRecord {
  const labels = [0, 0, 1, 1];
  const classes = ['healthy', 'infected'];
  const metrics = (p: number[]) => evaluatePredictions({ values: p.flatMap((x) => [1 - x, x]), kind: 'probabilities', labels, classes });
  return { epoch, validation: scores && metrics(scores) } as EpochRecord;
}

test('the best epoch has the highest AUC, then the least loss; without a validation part it is the last', () => {
  const [poor, good, surer] = [record(1, [0.6, 0.4, 0.5, 0.7]), record(2, [0.4, 0.4, 0.6, 0.6]), record(3, [0.1, 0.1, 0.9, 0.9])];
  assert.is(bestEpoch([good, poor])!.epoch, 2);
  assert.is(bestEpoch([poor, good, surer])!.epoch, 3);
  assert.is(bestEpoch([surer, good])!.epoch, 3);
  assert.is(bestEpoch([record(1, undefined), record(2, undefined)])!.epoch, 2);
  assert.is(bestEpoch([]), undefined);
});

test.run();
