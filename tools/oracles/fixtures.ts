/**
 * Makes the fixtures of other systems anew, with shapes and values from a seed, in one command where a Python has MXNet and PyTorch:
 *
 *     node --import tsx tools/oracles/fixtures.ts --seed 7 --out .cache/oracles/7 [--only ops,nets,train,files,rec,torch]
 *     FOVEA_SHARED=.cache/oracles/7 node --import tsx test/ops/suite.test.ts
 *
 * FOVEA_MXNET_PYTHON and FOVEA_TORCH_PYTHON name the Pythons unless python3 has the packages (test/support/python.ts says which).
 * Symbols are written by Fovea; figures, files and pixels are the other systems'.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mxnetPython, torchPython } from '../../test/support/python.ts';
import { arrays, records, torch } from './files.ts';
import { networks } from './networks.ts';
import { operators } from './operators.ts';
import type { Making } from './part.ts';
import { training } from './training.ts';

const parts = [operators, networks, training, arrays, records, torch];

const { values: options } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, out: { type: 'string' }, only: { type: 'string', default: parts.map((p) => p.name).join(',') } },
});
const seed = Number(options.seed);
const only = options.only.split(',');
if (options.out === undefined || !Number.isInteger(seed) || seed < 0 || only.some((name) => !parts.some((part) => part.name === name))) {
  console.error(`node --import tsx tools/oracles/fixtures.ts --seed INTEGER --out FOLDER [--only ${parts.map((part) => part.name).join(',')}]`);
  process.exit(2);
}

const pythons = { mxnet: mxnetPython(), torch: torchPython() };
const making: Making = {
  seed, out: options.out,
  run(system, script, ...args) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const { status } = spawnSync(pythons[system].python!, [path, ...args], { stdio: 'inherit' });
    if (status !== 0) throw new Error(`${script} ended with ${status}`);
  },
};
for (const part of parts.filter(({ name }) => only.includes(name))) {
  const { python, absent } = pythons[part === torch ? 'torch' : 'mxnet'];
  if (python === undefined) {
    console.error(`${part.name}: ${absent}`);
    process.exitCode = 1;
    continue;
  }
  console.log(`${part.name}: ${await part.make(making)}`);
}
console.log(`FOVEA_SHARED=${options.out} has the tests take them`);
