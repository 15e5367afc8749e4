// time limit: 300 s
// alone
/**
 * What training Inception-BN takes, all counted: the training step and the evaluation in one arena, variables, gradients, moments,
 * inputs, workspaces, encoded launches, results. At a small size the figures are held against the device's own count; at 224x224 and
 * batch 32 they are planned, which allocates nothing, for both ways of laying out memory.
 */
import { suite as named } from 'uvu';
import * as assert from 'uvu/assert';
import type { Batch } from '../../src/data/loader.ts';
import type { Device } from '../../src/device/types.ts';
import { device } from '../../src/index.ts';
import { arenaOf } from '../../src/graph/arena.ts';
import { totalOf } from '../../src/graph/out-of-memory.ts';
import type { ProgramMemory } from '../../src/graph/planned.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { sgd } from '../../src/optim/index.ts';
import { createNetwork } from '../../src/train/network.ts';
import { EvaluationStep, TrainStep } from '../../src/train/step.ts';
import { planningDevice } from '../support/planning-device.ts';
import { openWebgpu, suiteUnless } from '../support/webgpu.ts';

interface Form {
  readonly batch: number;
  readonly side: number;
  readonly width: number;
  readonly recompute: boolean;
}

/** Both steps of training, and a batch for them. */
function steps(on: Device, { batch, side, width, recompute }: Form): { train: TrainStep; evaluation: EvaluationStep; images: Batch; dispose(): void } {
  const network = createNetwork(inceptionBN({ classes: 2, width }), { shape: [side, side, 3] }, { seed: 1 });
  const optimizer = sgd(network.variables.trainable, { momentum: 0.9, device: on });
  const normalization = { mean: [128, 128, 128], deviation: [64, 64, 64], window: 0 };
  const common = { network, device: on, normalization };
  const train = new TrainStep({ ...common, classWeights: [1, 1], optimizer, seed: 1, recompute });
  const evaluation = new EvaluationStep(common);
  return {
    train, evaluation,
    images: {
      pixels: new Uint8Array(batch * side * side * 3), labels: new Int32Array(batch), sampleIds: new Int32Array(batch),
      weights: new Float32Array(batch), shape: [batch, side, side, 3],
    },
    dispose() {
      for (const one of [train, evaluation, optimizer, network]) one.dispose();
    },
  };
}

// Suites are declared after all that is awaited: uvu starts on its own.
const cpu = await device('cpu');
const webgpu = await openWebgpu();
const plans = named('planned');
const MiB = 2 ** 20;
for (const [name, on] of [
  ['cpu', cpu], ['webgpu', planningDevice(2048 * MiB)], ['webgpu that binds 128 MiB', planningDevice(128 * MiB)],
] as const) {
  for (const [recompute, most] of [[false, 1.13e9], [true, 0.7e9]] as const) {
    plans(`batch 32 takes at most ${most / 1e9} GB on ${name} ${recompute ? 'with' : 'without'} recomputation`, async () => {
      const { allocations } = on.counters;
      const { train, evaluation, images, dispose } = steps(on, { batch: 32, side: 224, width: 1, recompute });
      const planned = await train.plan(images);
      const total = totalOf([planned, await evaluation.plan(images)]);
      console.log(`${name}, recomputation ${recompute ? 'on' : 'off'}: ${(total / 1e9).toFixed(3)} GB in all, of which the arena `
        + `${(planned.planned / 1e9).toFixed(3)}, ${(planned.planned / planned.bound).toFixed(3)} times what is alive at the worst step`);
      assert.ok(planned.planned >= planned.bound && planned.planned <= 1.05 * planned.bound, `${planned.planned}, bound ${planned.bound}`);
      assert.ok(total <= most && total > planned.planned + planned.variables, `${total} bytes`);
      assert.is(on.counters.allocations, allocations, 'planning allocated memory');
      dispose();
    });
  }
}
plans.run();

for (const [name, target, reason] of [['cpu', cpu, undefined], ['webgpu', webgpu.device, webgpu.reason]] as const) {
  const suite = suiteUnless(reason, name);
  for (const recompute of [false, true]) {
    suite(`${name} has allocated what was said, ${recompute ? 'with' : 'without'} recomputation`, async () => {
      const on: Device = target;
      const held = (): number => on.counters.bytesAllocated - on.counters.textureBytes;
      const before = held();
      const { train, evaluation, images, dispose } = steps(on, { batch: 8, side: 64, width: 0.5, recompute });
      const planned = [await train.plan(images), await evaluation.plan(images)];
      assert.is(held(), before);
      const prepared: ProgramMemory[] = [await train.prepare(images), await evaluation.prepare(images)];
      const allocated = held() - before;
      for (const memories of [planned, prepared]) {
        const total = totalOf(memories);
        assert.ok(Math.abs(total - allocated) <= 0.02 * allocated, `${total} bytes planned, ${allocated} on the device`);
      }
      dispose();
      arenaOf(on).release();
    });
  }
  suite.after(() => target.dispose());
  suite.run();
}
