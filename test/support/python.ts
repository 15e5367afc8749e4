/** Pythons that hold other systems, for tests that ask those themselves. */
import { spawnSync } from 'node:child_process';

export interface Python {
  readonly python?: string;
  /** What a skipped test says. */
  readonly absent: string;
}

function find(variable: string, module: string, install: string): Python {
  const candidates = process.env[variable] === undefined ? ['python3'] : [process.env[variable]];
  const python = candidates.find((name) => spawnSync(name, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0);
  return { python, absent: `no Python with ${module}: ${install}, then ${variable}=PATH_OF_PYTHON npm test` };
}

/**
 * A Python with MXNet: that of `FOVEA_MXNET_PYTHON`, else `python3` where it has it. For records that encode images anew its im2rec wants
 * `opencv-python-headless<4.9` too.
 */
export function mxnetPython(): Python {
  return find('FOVEA_MXNET_PYTHON', 'mxnet', 'pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older)');
}

/** A Python with PyTorch: that of `FOVEA_TORCH_PYTHON`, else `python3`. torchvision, timm and safetensors are used where they are there. */
export function torchPython(): Python {
  return find('FOVEA_TORCH_PYTHON', 'torch', 'pip install torch torchvision timm safetensors');
}

/** The command that makes what fixtures a skipped test wants. */
const commands = {
  mxnet: 'pip install mxnet==1.9.1 numpy==1.23.5 "opencv-python-headless<4.9" (Python 3.11 or older; FOVEA_MXNET_PYTHON=PATH_OF_PYTHON), then',
  torch: 'pip install torch torchvision timm safetensors (FOVEA_TORCH_PYTHON=PATH_OF_PYTHON), then',
};

/** What a test is called that is skipped for want of MXNet's operators alone: tools/gpu.ts knows it by that, since no device is lacking. */
export const operatorFixtures = "MXNet's operator fixtures";

/** What a test says that is skipped for want of fixtures: where they were looked for, and what makes them. */
export function noFixtures(system: keyof typeof commands, part: string): string {
  const folder = system === 'torch' ? 'fixtures/torch' : `fixtures/mxnet/${part}`;
  return `no ${folder} in the shared folder (FOVEA_SHARED); made by: ${commands[system]} `
    + `node --import tsx tools/oracles/fixtures.ts --seed 1 --out .cache/oracles --only ${part}, then FOVEA_SHARED=.cache/oracles`;
}
