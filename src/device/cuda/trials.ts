/** What trials of variants need of a CUDA device. */
import type { Operand, TrialHost } from '../trials.ts';
import type { CudaArg, CudaLaunch, Device, Placed } from '../types.ts';
import { buildExecutable } from './executable.ts';
import type { ExecutableHost } from './executable.ts';
import { spanOf } from './pack.ts';

function operandOf(arg: CudaArg): Operand | undefined {
  if (typeof arg === 'number' || 'f32' in arg) return undefined;
  return 'tensorMap' in arg ? arg.tensorMap.value : arg.address;
}

const operands = ({ args }: CudaLaunch): Operand[] => args.map(operandOf).filter((value) => value !== undefined);

export function trialHost(device: Device, host: ExecutableHost): TrialHost<CudaLaunch> {
  return {
    device,
    compile: async (launches) => void await Promise.all(launches.map((one) => host.kernels.get(one))),
    operands,
    // Arguments do not say what is written; what is only read compares as equal.
    results: operands,
    bytesOf: (value) => spanOf(value).bytes,
    inBuffer: (value, buffer) => ({ ...value, buffer, offset: 0 }),
    moved: (launch, to) => ({
      ...launch, args: launch.args.map((arg): CudaArg => {
        const operand = operandOf(arg);
        if (operand === undefined) return arg;
        const own = to(operand);
        return typeof arg === 'object' && 'tensorMap' in arg ? { tensorMap: { ...arg.tensorMap, value: own as Placed } } : { address: own };
      }),
    }),
    watched: async (work) => (work(), undefined),
    build: (launches) => buildExecutable(host, launches),
  };
}
