/**
 * Training steps of a narrow inceptionBNSmall on images made from integers. Node runs this file too: the losses are compared.
 *
 * @param {{ device: string, relaxedSimd?: boolean, runs: { activation: string, learningRate: number, steps: number }[] }} input
 */
import { compile, device, grad, softmaxCrossEntropy, tensor } from 'fovea';
import { inceptionBNSmall } from 'fovea/models';
import { createVariables, initialize, internals, ModelSymbol } from 'fovea/nn';
import { sgd } from 'fovea/optim';

const BATCH = 8;
const SIZE = 28;
const PIXELS = SIZE * SIZE * 3;

/** Noise, with a bright square whose place tells the class. */
function makeImages() {
  let state = 1;
  const noise = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 25;
  return Uint8Array.from({ length: BATCH * PIXELS }, (_, i) => {
    const [image, y, x] = [Math.floor(i / PIXELS), Math.floor(i / (3 * SIZE)) % SIZE, Math.floor(i / 3) % SIZE];
    const left = image % 2 === 0 ? 4 : 16;
    return noise() + (x >= left && x < left + 8 && y >= 10 && y < 18 ? 100 : 0);
  });
}

async function train(made, { activation, learningRate, steps }) {
  const json = JSON.stringify(inceptionBNSmall({ classes: 2, width: 0.125 }).toJSON()).replaceAll('"relu"', `"${activation}"`);
  const network = internals(ModelSymbol.fromJSON(JSON.parse(json))).fc1_output;
  const initial = initialize(network, { data: [BATCH, 3, SIZE, SIZE] }, { seed: 1 });
  const { all, trainable } = createVariables(network, initial);
  const optimizer = sgd(trainable, { momentum: 0.9, device: made });
  const step = compile((images, labels, rate) => {
    const logits = network.apply(all, images.cast('float32').div(255), { training: true });
    const loss = softmaxCrossEntropy(logits, labels).losses.mean();
    optimizer.update(grad(loss, trainable), rate);
    return loss;
  }, { device: made });
  const images = tensor(makeImages(), [BATCH, SIZE, SIZE, 3]);
  const labels = tensor(Int32Array.from({ length: BATCH }, (_, i) => i % 2));
  const losses = [];
  for (let i = 0; i < steps; i++) losses.push(await (await step(images, labels, learningRate)).item());
  return losses;
}

export default async function run({ device: name, relaxedSimd, runs }) {
  const made = await device(name, relaxedSimd === undefined ? {} : { relaxedSimd });
  const losses = [];
  for (const one of runs) losses.push(await train(made, one));
  const found = { device: made.name, kind: made.kind, losses };
  made.dispose();
  return found;
}
