/** MXNet and PyTorch in processes of their own, asked over lines of JSON: python/lines.py has the protocol. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { HalfType, HostData } from '../../src/device/types.ts';
import { isHalfType } from '../../src/device/types.ts';
import { toDeviceData } from '../../src/graph/leaves.ts';
import { arraysToMXNet } from '../../src/nn/parameters.ts';
import type { AbsentPeer, Contestant, KernelProblem, Peer, PeerOptions, Problem, StepProblem } from '../../src/benchmark/types.ts';
import { torchWays } from '../../src/benchmark/torch-ways.ts';
import { isAsked } from './asked.ts';
import { convolutionOf } from './convolution.ts';
import { PeerProcess, lines } from './process.ts';

const engines = [
  { name: 'MXNet', script: 'mxnet_peer.py', install: 'pip install mxnet==1.9.1 numpy==1.23.5' },
  { name: 'PyTorch', script: 'torch_peer.py', install: 'pip install torch' },
] as const;

/** What a script runs on, and in which name that shows. */
interface Mode {
  readonly name: string;
  readonly beside: Peer['beside'];
  readonly threads: number;
  /** The script's arguments. */
  readonly arguments: readonly string[];
  /** What it competes in; all where absent. */
  readonly ops?: readonly string[];
  /** Competes in kernels of halves too. */
  readonly half?: boolean;
}

const kernels = ['matmul', 'conv2d', 'conv2dInputGrad', 'conv2dFilterGrad'];

const gpus: Peer['beside'] = ['webgpu', 'cuda'];

/**
 * PyTorch on NVIDIA's GPUs, by cuDNN: eager; as CUDA graphs, which begin sooner and compute the same; its steps compiled too, which takes
 * minutes. Kernels in float32 and TF32, and of halves by their dtype; steps in each precision.
 */
const cuda: readonly Mode[] = torchWays.map(({ name, precision, how, kernels: isAble, halves }): Mode => ({
  name: name.slice('PyTorch, '.length), beside: gpus, threads: 1, arguments: ['cuda', precision, how],
  ops: isAble ? [...kernels, 'step'] : ['step'], half: halves,
}));

/** Beside the cpu both engines at each number of threads, beside GPUs PyTorch with CUDA, from whichever interpreter has them. */
export async function pythonPeers({ beside, python, threads, only }: PeerOptions): Promise<(Peer | AbsentPeer)[]> {
  const onCpu = threads.map((count): Mode =>
    ({ name: `${count} thread${count === 1 ? '' : 's'}`, beside: ['cpu'], threads: count, arguments: ['cpu', 'float32'] }));
  return [
    ...(beside.includes('cpu') ? await open(python, engines, '', onCpu, only) : []),
    ...(beside.some((kind) => gpus.includes(kind)) ? await open(python, engines.slice(1), ', cuda', cuda, only) : []),
  ];
}

async function open(
  python: readonly string[], from: readonly (typeof engines)[number][], where: string, all: readonly Mode[], only: PeerOptions['only'],
): Promise<(Peer | AbsentPeer)[]> {
  const peers: (Peer | AbsentPeer)[] = [];
  for (const { name, script, install } of from) {
    const modes = all.filter((mode) => isAsked(`${name}, ${mode.name}`, only));
    if (modes.length === 0) continue;
    const how = `${install}, then --python PATH of that interpreter`;
    let why = how;
    for (const interpreter of python) {
      // Side by side: each takes seconds to load.
      const opened = await Promise.allSettled(modes.map((mode) => openPeer(interpreter, script, mode)));
      const there = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      const failed = opened.find((one) => one.status === 'rejected');
      if (failed !== undefined) {
        for (const peer of there) await peer.dispose();
        why = `${how}; ${interpreter}: ${(failed.reason as Error).message}`;
        continue;
      }
      peers.push(...there);
      why = '';
      break;
    }
    if (why !== '') peers.push({ name: `${name}${where}`, absent: why });
  }
  return peers;
}

interface Answer {
  readonly name: string;
  readonly versions: Peer['versions'];
  readonly able: boolean;
  readonly milliseconds: number[];
  readonly data?: string;
  readonly losses?: number[];
}

async function openPeer(interpreter: string, script: string, asked: Mode): Promise<Peer> {
  const { name: mode, beside, threads, arguments: given, ops = [...kernels, 'step'], half = false } = asked;
  const env = { ...process.env, OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) };
  const path = fileURLToPath(new URL(`python/${script}`, import.meta.url));
  const start = (): ReturnType<typeof spawn> => spawn(interpreter, [path, ...given], { stdio: 'pipe', env });
  const server = new PeerProcess<Answer>(start, lines, { call: 'hello' });
  const abandon = (): void => server.end();
  let hello: Answer;
  try {
    hello = await server.greet();
  } catch (error) {
    abandon();
    throw error;
  }
  const name = `${hello.name}, ${mode}`;
  return {
    name, beside, ops, slowness: 2, half, versions: { ...hello.versions, threads },
    async enter(problem, values) {
      const stated = problem.kind === 'step' ? stepRequest(problem) : kernelRequest(problem, values);
      if (stated === undefined || !(await server.ask({ call: 'prepare', problem: stated })).able) return { absent: 'not compared' };
      const step = problem.kind === 'step';
      const rounded = step ? undefined : roundedBy(problem);
      return {
        name, ...(rounded && { rounded }),
        run: async (times, queued = 1, clock = 'host') => (await server.ask({ call: 'run', times, queued, clock })).milliseconds,
        async result() {
          const { losses, data } = await server.ask({ call: 'result' });
          const bytes = Buffer.from(data ?? '', 'base64');
          return [step ? losses! : new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))];
        },
        dispose: async () => void (server.running && await server.ask({ call: 'drop' })),
        abandon,
      } satisfies Contestant;
    },
    abandon,
    dispose: abandon,
  };
}

function encode(data: ArrayBufferView, shape: readonly number[]): { shape: readonly number[]; data: string } {
  return { shape, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') };
}

function kernelRequest(problem: Problem & { kind: 'kernel' }, values: readonly HostData[]): object | undefined {
  const conv = convolutionOf(problem);
  if (conv === undefined && problem.op !== 'matmul') return undefined;
  const { op, inputs, attrs } = problem;
  // Halves go as such: two products' operands of float32 would be more than a line holds.
  const encoded = inputs.map(({ shape, dtype }, i) =>
    (isHalfType(dtype) ? { ...encode(toDeviceData(values[i], dtype), shape), half: dtype } : encode(values[i], shape)));
  return { kind: op, inputs: encoded, attributes: attrs, ...(conv && { filter: conv.filter, image: conv.image }) };
}

/** A filter's gradient has its operands' dtype, ours is float32; and a bias is added to what the convolution stored. */
function roundedBy({ op, inputs: [{ dtype }] }: KernelProblem): HalfType | undefined {
  return (op === 'conv2dFilterGrad' || op === 'conv2d') && isHalfType(dtype) ? dtype : undefined;
}

function stepRequest({ symbol, batch, side, learningRate, momentum, parameters, images, labels }: StepProblem): object {
  const arrays = arraysToMXNet(parameters);
  const all = (from: typeof arrays.arguments): object =>
    Object.fromEntries([...from].map(([name, { data, shape }]) => [name, encode(data, shape)]));
  return {
    kind: 'step', symbol, batch, side, rate: learningRate, momentum, labels: [...labels],
    images: encode(Float32Array.from(images, (v) => v / 255), [batch, side, side, 3]),
    arguments: all(arrays.arguments), auxiliary: all(arrays.auxiliary),
  };
}
