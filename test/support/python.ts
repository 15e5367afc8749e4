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
  return { python, absent: `no Python with ${module}: ${install}, then ${variable}=PATH_OF_PYTHON` };
}

/** A Python with MXNet: that of `FOVEA_MXNET_PYTHON`, else `python3` where it has it. */
export function mxnetPython(): Python {
  return find('FOVEA_MXNET_PYTHON', 'mxnet', 'pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older)');
}
