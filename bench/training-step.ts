/**
 * Whole training steps of Inception-BN (f32, SGD with momentum, cross-entropy): images a second on each device present, and by
 * number of threads on the cpu; what the Program takes in memory, against the device's own count.
 *
 *     npm run bench -- training-step [--device cpu,webgpu] [--batch 8] [--side 224] [--width 1] [--runs 5] [--threads 1,2]
 *         [--memory] [--recompute] [--out FILE]
 *
 * Medians over runs after one warm-up; the loss of every step is read, so all work is done when the clock stops.
 */
import { parseArgs } from 'node:util';
import { webgpu } from '../src/device/webgpu/index.ts';
import type { Device } from '../src/device/types.ts';
import { FoveaError } from '../src/errors.ts';
import { arenaOf } from '../src/graph/arena.ts';
import { compile, device, grad, softmaxCrossEntropy, wrap } from '../src/index.ts';
import { inceptionBN } from '../src/models/index.ts';
import { createVariables, initialize, internals } from '../src/nn/index.ts';
import { sgd } from '../src/optim/index.ts';
import type { Tensor } from '../src/tensor/tensor.ts';
import { median, writeResults } from './support/convolution.ts';

const { values: options } = parseArgs({
  args: process.argv.slice(2),
  options: {
    device: { type: 'string', default: 'cpu,webgpu' }, batch: { type: 'string', default: '8' }, side: { type: 'string', default: '224' },
    width: { type: 'string', default: '1' }, runs: { type: 'string', default: '5' }, threads: { type: 'string', default: '' },
    memory: { type: 'boolean', default: false }, recompute: { type: 'boolean', default: false }, out: { type: 'string' },
  },
});
const [batch, side, width, runs] = [options.batch, options.side, options.width, options.runs].map(Number);

interface Result {
  readonly device: string;
  readonly imagesPerSecond: number;
  readonly milliseconds: readonly number[];
  readonly firstStepSeconds: number;
  readonly launches: number;
  /** Bytes: the arena as planned, the bound by liveness, variables, what the Program owns, all that the device has allocated. */
  readonly memory: { arena: number; bound: number; variables: number; own: number; sum: number; allocated: number };
}

async function measure(target: Device): Promise<Result> {
  const network = internals(inceptionBN({ classes: 2, width })).fc1_output;
  const before = target.counters.bytesAllocated;
  const { all, trainable } = createVariables(network, initialize(network, { data: [batch, 3, side, side] }, { seed: 1 }));
  const optimizer = sgd(trainable, { momentum: 0.9, device: target });
  const step = compile((images: Tensor, labels: Tensor, rate: Tensor | number) => {
    const logits = network.apply(all, images.cast('float32').div(255), { training: true }) as Tensor;
    const loss = softmaxCrossEntropy(logits, labels).losses.mean();
    optimizer.update(grad(loss, trainable), rate);
    return loss;
  }, { device: target, name: 'training step', recompute: options.recompute });
  const pixels = new Uint8Array(batch * side * side * 3).map((_, i) => Math.imul(i, 2654435761) >>> 24);
  const images = wrap(pixels, [batch, side, side, 3], 'uint8');
  const labels = wrap(Int32Array.from({ length: batch }, (_, i) => i % 2), [batch], 'int32');
  const started = performance.now();
  const { planned, bound, variables, own, total } = await step.prepare(images, labels, 0.01);
  if (!options.memory) await (await step(images, labels, 0.01)).item();
  const firstStepSeconds = (performance.now() - started) / 1000;
  const milliseconds: number[] = [];
  for (let i = 0; i < (options.memory ? 0 : runs); i++) {
    const from = performance.now();
    const loss = await (await step(images, labels, 0.01)).item();
    milliseconds.push(performance.now() - from);
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
  }
  const allocated = target.counters.bytesAllocated - before;
  const { launchCount } = step.programs[0];
  step.dispose();
  arenaOf(target).release();
  return {
    device: target.name, imagesPerSecond: (1000 * batch) / median(milliseconds), milliseconds, firstStepSeconds, launches: launchCount,
    memory: { arena: planned, bound, variables, own, sum: total, allocated },
  };
}

async function targets(): Promise<Device[]> {
  const found: Device[] = [];
  for (const name of options.device.split(',')) {
    try {
      if (name === 'cpu') {
        const counts = options.threads === '' ? [undefined] : options.threads.split(',').map(Number);
        for (const threads of counts) found.push(await device('cpu', { relaxedSimd: true, ...(threads && { threads }) }));
      } else {
        found.push(name === 'webgpu' ? await webgpu() : await device(name));
      }
    } catch (error) {
      if (!(error instanceof FoveaError)) throw error;
      console.log(`${name}: absent (${error.message})`);
    }
  }
  return found;
}

const results: Result[] = [];
console.log(`Inception-BN, width ${width}, batch ${batch} at ${side}x${side}${options.recompute ? ', with recomputation' : ''}; medians of ${runs} runs`);
for (const target of await targets()) {
  const result = await measure(target);
  results.push(result);
  const { memory, milliseconds } = result;
  if (!options.memory) {
    console.log(`${result.device}: ${result.imagesPerSecond.toFixed(2)} images/s `
      + `(${Math.min(...milliseconds).toFixed(0)} to ${Math.max(...milliseconds).toFixed(0)} ms a step), first step ${result.firstStepSeconds.toFixed(1)} s`);
  }
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`  memory: arena ${mb(memory.arena)} (bound ${mb(memory.bound)}), variables ${mb(memory.variables)}, own ${mb(memory.own)}: `
    + `sum ${mb(memory.sum)}; allocated on the device ${mb(memory.allocated)}; ${result.launches} launches`);
  target.dispose();
}
writeResults(options.out, { bench: 'training-step', batch, side, width, recompute: options.recompute, results });
