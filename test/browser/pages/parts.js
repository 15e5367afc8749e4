/** Parts used without `fovea` itself: the ops that they look up by name must be there after tree shaking. */
import { inceptionBNSmall } from 'fovea/models';
import { createVariables, initialize, internals } from 'fovea/nn';
import { registeredOps } from 'fovea/testing';

export default async function run() {
  const network = internals(inceptionBNSmall({ classes: 2, width: 0.125 })).fc1_output;
  const { trainable } = createVariables(network, initialize(network, { data: [1, 3, 28, 28] }, { seed: 1 }));
  const twice = await trainable[0].read().mul(2).data();
  return { finite: twice.every(Number.isFinite), elements: twice.length, ops: registeredOps().length };
}
