// time limit: 300 s
/**
 * The benchmark on CUDA, without a GPU: kernels by the clock of a driver that is told how long they take, and in software; TF32 beside float32;
 * PyTorch's side of it with a torch of a few lines. No time of a GPU is seen here.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pythonPeers } from '../../bench/peers/python.ts';
import { wasAsked } from '../../src/benchmark/asked.ts';
import { checkOf, outputTypes } from '../../src/benchmark/check.ts';
import { contest } from '../../src/benchmark/contest.ts';
import { workAsked } from '../../src/benchmark/estimate.ts';
import { goalsOf } from '../../src/benchmark/goals.ts';
import { kernelContestant } from '../../src/benchmark/kernel.ts';
import { defaults } from '../../src/benchmark/options.ts';
import { Paces } from '../../src/benchmark/pace.ts';
import { workOf } from '../../src/benchmark/plans.ts';
import { halfProblems, kernelProblems, squareProduct } from '../../src/benchmark/problems.ts';
import { measure } from '../../src/benchmark/row.ts';
import { openTargets } from '../../src/benchmark/targets.ts';
import { kernelNotes, summaryTable } from '../../src/benchmark/table.ts';
import type { Contestant, KernelProblem, Peer, Report, Row } from '../../src/benchmark/types.ts';
import { hostTensor, inputValues } from '../../src/benchmark/values.ts';
import { cuda } from '../../src/device/cuda/index.ts';
import { roundToHalf } from '../../src/device/half.ts';
import { DeviceError } from '../../src/errors.ts';
import { getOp } from '../../src/fovea.ts';
import { cudaHostAbsent, openCudaHost } from '../support/cuda-host.ts';
import { buildFakes, folder } from '../support/cuda/fake.ts';
import { skip } from '../support/skip.ts';
import { suiteUnless } from '../support/webgpu.ts';

const product = squareProduct(96);

const fakes = await buildFakes();
const faked = suiteUnless(fakes.reason, 'the benchmark with a driver that is told');
const { driver } = fakes as Exclude<typeof fakes, { reason: string }>;

faked('a kernel on CUDA takes what lies between events on the GPU, of all that are in a row', async () => {
  driver.reset();
  const device = await cuda({ libcuda: driver.path, compile: (kernel) => new TextEncoder().encode(`module of ${kernel}\0`), tuning: 'off' });
  const contestant = await kernelContestant('fovea', device, product, inputValues(product));
  await contestant.run(1);
  const [{ kernel, grid }] = driver.launches();
  driver.time(kernel, grid[0], 40);
  const { length: before } = driver.launches();
  const [one, two] = await contestant.run(2, 5, 'gpu');
  // Five of 40 ms, and the steps of the driver's own clock; the five ahead of them are not in it.
  for (const ms of [one, two]) assert.ok(ms >= 40 && ms <= 41, String(ms));
  assert.is(driver.launches().length - before, 20);
  const [byHost] = await contestant.run(1, 5);
  assert.ok(byHost < 40, `${byHost} ms by the host, who waits for no GPU here`);
  await contestant.dispose();
  device.dispose();
});

const software = suiteUnless(await cudaHostAbsent(), 'the benchmark in software');

const open = { cpu: () => Promise.reject(new DeviceError('none')), other: async (_: string, tf32: boolean) => {
  const device = await openCudaHost({ tf32 });
  return { device, close: () => device.dispose() };
} };

software('with --tf32 a CUDA device enters products a second time, is held to what TF32 rounds, and stands beside others\' TF32', async () => {
  const log: string[] = [];
  const targets = await openTargets({ devices: ['cuda'], threads: [1], relaxed: true, tf32: true, log: (line) => log.push(line) }, open);
  assert.equal([targets.map((t) => t.contestant), log], [['fovea', 'fovea, tf32'], []]);
  assert.is(new Set(targets.map((t) => t.name)).size, 2);
  const options = { ...defaults, runs: 2, limit: 60, tf32: true };
  const all = { options, targets, peers: [], probes: [], gate: undefined, paces: new Paces() };
  const row = async (problem: KernelProblem): Promise<Row> =>
    measure(problem, 'cuda', { ...workAsked({ ...problem, ...workOf(problem), make: () => problem }, 'cuda', options, targets, []), queued: 3 }, all);
  const found = await row(product);
  assert.equal([found.clock, found.queued], ['gpu', 3]);
  assert.equal(found.entries.map((e) => [e.contestant, e.milliseconds.length, e.failed]), [['fovea', 2, undefined], ['fovea, tf32', 2, undefined]]);
  assert.ok(found.entries.every((e) => e.milliseconds.every((ms) => ms > 0)));
  assert.is(kernelNotes([found]).length, 1);
  assert.match(kernelNotes([found])[0], /^cuda: time on the GPU/);
  // Where nothing is multiplied by matrix units there is one of ours. An update goes on from the one before: results are those of a single run.
  const update = kernelProblems(1).find((p) => p.name.startsWith('sgdUpdate'))!;
  const small = { ...update, inputs: update.inputs.map((t) => (t.dtype === 'int32' ? { ...t, shape: [1, 3], values: Int32Array.of(0, 4096, 0) }
    : t.shape[0] > 4096 ? { ...t, shape: [4096] } : t)) };
  assert.equal((await row(small)).entries.map((e) => [e.contestant, e.failed]), [['fovea', undefined]]);
  const theirs = { contestant: 'PyTorch, cuda, graph, tf32', milliseconds: [1] };
  const lines = summaryTable([{ ...found, entries: [...found.entries, theirs] }]).rows.map((cells) => cells.slice(2, 4).join(' | '));
  assert.ok(lines.includes('fovea, tf32 | PyTorch, cuda, graph, tf32'), lines.join('\n'));
  for (const target of targets) target.close();
});

software('what TF32 gives is no float32, and a wrong element of TF32 is seen', async () => {
  const problem = kernelProblems(1).find((p) => p.name === 'matmul 256x256x256')!;
  const values = inputValues(problem);
  const check = checkOf(problem, values);
  const results: Record<string, readonly ArrayLike<number>[]> = {};
  for (const [name, tf32] of [['fovea', false], ['fovea, tf32', true]] as const) {
    const device = await openCudaHost({ tf32 });
    const contestant = await kernelContestant(name, device, problem, values);
    await contestant.run(1);
    results[name] = await contestant.result();
    await contestant.dispose();
    device.dispose();
  }
  for (const [name, result] of Object.entries(results)) check.one(result, name);
  assert.throws(() => check.one(results['fovea, tf32'], 'fovea'), /times what rounding allows/);
  const among = (of: typeof results): string[] => [...check.among!(Object.entries(of).map(([who, r]) => ({ who, results: r }))).keys()];
  assert.equal(among(results), []);
  const [y] = results['fovea, tf32'];
  // An error of 1 % of the elements' size.
  const bent = Float32Array.from(y);
  bent[12345] += 0.01 * Math.sqrt(bent.reduce((sum, v) => sum + v * v, 0) / bent.length);
  assert.equal(among({ ...results, 'fovea, tf32': [bent] }), ['fovea, tf32']);
});

test('a filter gradient that was rounded to bfloat16, and a bias that was added to what was, are held to what that loses and to no more', async () => {
  const all = halfProblems(kernelProblems(1), 'bfloat16');
  for (const [op, name] of [['conv2dFilterGrad', '8x8x384 1x3 384'], ['conv2d', '55x55x64 1x1 64']]) {
    const problem = all.find((p) => p.name === `${op} ${name} bfloat16`)!;
    const values = inputValues(problem);
    const [type] = outputTypes(problem);
    // What is summed, then what is stored of it: by the reference of the op without bias and ReLU.
    const inputs = problem.inputs.slice(0, 2).map((t, i) => hostTensor(t, values[i]));
    const [sums] = getOp(op).reference!(inputs, { ...problem.attrs, activation: 'none' }, [{ ...type, dtype: 'float32' }]);
    const stored = (x: number): number => roundToHalf(x, 'bfloat16');
    const bias = values[2] as Float32Array | undefined;
    const rounded = sums.map((sum, i) => (bias === undefined ? stored(sum) : Math.max(0, stored(stored(sum) + stored(bias[i % bias.length])))));
    const check = checkOf(problem, values);
    const peer: Contestant = {
      name: 'PyTorch', rounded: 'bfloat16', dispose: () => undefined, result: async () => [rounded], run: async (times) => Array<number>(times).fill(1),
    };
    const [entry] = await contest([peer], check, { runs: 1, warmUps: 1, limit: 60 });
    assert.is(entry.failed, undefined);
    assert.throws(() => check.one([rounded], 'fovea'), /times what rounding allows/, op);
    const bent = rounded.with(0, rounded[0] + 0.05 * rounded.reduce((a, b) => Math.max(a, b)));
    assert.throws(() => check.one([bent], 'PyTorch', 'bfloat16'), /element 0 of output 0.*times what rounding allows/, op);
    if (type.dtype !== 'float32') continue;
    const outcomes = [
      { who: 'fovea', results: [sums] }, { who: 'PyTorch', results: [rounded], rounded: 'bfloat16' }, { who: 'none', results: [rounded] },
    ] as const;
    assert.equal([...check.among!(outcomes).keys()], ['none']);
  }
});

test('runs that count are timed by the clock that was asked for, those before them by the host', async () => {
  const asked: unknown[] = [];
  const one: Contestant = {
    name: 'one', dispose: () => undefined, result: async () => [[1]],
    run: async (times, queued, clock) => (asked.push([times, queued, clock]), Array<number>(times).fill(1)),
  };
  await contest([one], { one: () => undefined }, { runs: 2, warmUps: 2, queued: 7, limit: 60, clock: 'gpu' });
  assert.equal(asked, [[1, 1, 'host'], [1, 1, 'host'], [2, 7, 'gpu']]);
});

test('the large product is told in both layouts, each beside a peer in the same', () => {
  const rowOf = (transposed: boolean, ours: number, theirs: number): Row => {
    const { name } = squareProduct(8192, transposed);
    return {
      group: 'gemm', device: 'cuda', name: `${name} bfloat16`, layers: [], flop: 2 * 8192 ** 3, bytes: 1,
      entries: [{ contestant: 'fovea', milliseconds: [ours] }, { contestant: 'PyTorch, cuda, graph', milliseconds: [theirs] }],
    };
  };
  const report: Report = {
    format: 1, machine: {}, options: {}, peers: [], failures: [], probes: [], rows: [rowOf(false, 2, 1.6), rowOf(true, 1.5, 1.8)],
    devices: [{ name: 'cuda:0', contestant: 'fovea', threads: 1, kind: 'cuda', software: false, fingerprint: {}, openSeconds: 0 }],
  };
  const goals = goalsOf(report);
  const at = goals.findIndex((g) => g.what.startsWith('product of 8192'));
  assert.equal(goals.slice(at, at + 4).map(({ what, value, verdict }) => [what, value!.toPrecision(3), verdict]), [
    ['product of 8192 with CUDA in bfloat16, rows by columns, TFLOP/s', '550', 'missed'],
    ['the same, over the best of PyTorch in that layout', '0.800', 'missed'],
    ['product of 8192 with CUDA in bfloat16, right transposed, TFLOP/s', '733', 'met'],
    ['the same, over the best of PyTorch in that layout', '1.20', 'met'],
  ]);
});

test('a run that was not asked for TF32 has not lost it', () => {
  const row: Row = { group: 'gemm', device: 'cuda', name: 'matmul 256x256x256', layers: [], flop: 1, bytes: 1, entries: [] };
  for (const device of [['cuda'], ['cuda', 'webgpu']]) {
    const contestant = device.length > 1 ? 'fovea, cuda, tf32' : 'fovea, tf32';
    assert.is(wasAsked({ options: { device, tf32: true } })(row, contestant), true);
    assert.is(wasAsked({ options: { device } })(row, contestant), false);
    assert.is(wasAsked({ options: { device } })(row, contestant.replace(', tf32', '')), true);
  }
});

/**
 * As much of torch as a product, a convolution and a filter's gradient take, on numbers that Python has; its GPU's clock goes on by 3 ms for each, by
 * 2 for a ReLU. Operands of several dtypes are refused, as torch has it, and results are rounded to theirs.
 */
const torch = `
import array, itertools, os, struct, types
def bits(x): return struct.unpack("I", struct.pack("f", x))[0]
def single(n): return struct.unpack("f", struct.pack("I", n))[0]
def stored(x, dtype): return x if dtype == "float32" else single(bits(x) + 0x7fff + (bits(x) >> 16 & 1) & 0xffff0000)
class Tensor:
    def __init__(self, data, shape, dtype="float32"): self.data, self.shape, self.dtype = data, list(shape), dtype
    def reshape(self, shape): return Tensor(self.data, [len(self.data)] if shape == -1 else shape, self.dtype)
    def at(self, place):
        flat = 0
        for i, length in zip(place, self.shape): flat = flat * length + i
        return self.data[flat]
    def permute(self, *order):
        shape = [self.shape[i] for i in order]
        place = lambda to: [to[order.index(i)] for i in range(len(order))]
        return Tensor([self.at(place(to)) for to in itertools.product(*map(range, shape))], shape, self.dtype)
    def to(self, device): return self
    def t(self):
        rows, columns = self.shape
        return Tensor([self.data[i * columns + j] for j in range(columns) for i in range(rows)], [columns, rows])
    def __matmul__(self, other):
        cuda.now += 3
        (rows, depth), (_, columns) = self.shape, other.shape
        return Tensor([sum(self.data[i * depth + k] * other.data[k * columns + j] for k in range(depth))
                       for i in range(rows) for j in range(columns)], [rows, columns])
    def detach(self): return self
    def cpu(self): return self
    def numel(self): return len(self.data)
    def copy_(self, other): self.data[:] = array.array("f", other.data)
class Nothing:
    def __init__(self, *_): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def wait_stream(self, _): pass
no_grad = Nothing
float32, bfloat16 = "float32", "bfloat16"
def frombuffer(raw, dtype):
    if dtype == "float32": return Tensor(memoryview(raw).cast("f"), [len(raw) // 4])
    return Tensor([single(n << 16) for n in memoryview(raw).cast("H")], [len(raw) // 2], dtype)
def zeros(shape, device, dtype=float32):
    count = 1
    for n in shape: count *= n
    return Tensor([0.0] * count, shape, dtype)
def convolution_backward(dy, x, w, bias, stride, pad, dilation, transposed, extra, groups, mask):
    if len({t.dtype for t in (dy, x, w)}) > 1 or mask != [False, True, False]: raise ValueError("expected operands of one dtype")
    cuda.now += 3
    (n, k, p, q), (_, c, h, wide) = dy.shape, x.shape
    def one(to, of, i, j):
        total = 0
        for image, y, z in itertools.product(range(n), range(p), range(q)):
            a, b = y * stride[0] + i - pad[0], z * stride[1] + j - pad[1]
            if 0 <= a < h and 0 <= b < wide: total += dy.at((image, to, y, z)) * x.at((image, of, a, b))
        return stored(total, w.dtype)
    return None, Tensor([one(*place) for place in itertools.product(*map(range, w.shape))], w.shape, w.dtype), None
def conv2d(x, w, bias, stride, pad, dilation):
    if len({t.dtype for t in (x, w, bias)}) > 1: raise RuntimeError("expected operands of one dtype")
    cuda.now += 3
    (n, c, h, wide), (k, _, r, s) = x.shape, w.shape
    p, q = ((length + 2 * pad[i] - dilation[i] * (w.shape[i + 2] - 1) - 1) // stride[i] + 1 for i, length in enumerate((h, wide)))
    def one(image, to, y, z):
        total = bias.data[to]
        for of, i, j in itertools.product(range(c), range(r), range(s)):
            a, b = y * stride[0] + i * dilation[0] - pad[0], z * stride[1] + j * dilation[1] - pad[1]
            if 0 <= a < h and 0 <= b < wide: total += x.at((image, of, a, b)) * w.at((to, of, i, j))
        return stored(total, x.dtype)
    shape = [n, k, p, q]
    return Tensor([one(*place) for place in itertools.product(*map(range, shape))], shape, x.dtype)
def relu_(y):
    cuda.now += 2
    y.data[:] = [max(v, 0.0) for v in y.data]
    return y
# How cuDNN's fused kernel does: milliseconds, or that it refuses, or that there is none.
fused = os.environ.get("FUSED", "missing")
if fused != "missing":
    def cudnn_convolution_relu(x, w, bias, stride, pad, dilation, groups):
        if fused == "refuses": raise RuntimeError("no such engine")
        before = cuda.now
        y = relu_(conv2d(x, w, bias, stride, pad, dilation))
        cuda.now = before + int(fused)
        return y
ops = types.SimpleNamespace(aten=types.SimpleNamespace(convolution_backward=convolution_backward))
set_num_threads = lambda n: None
__version__ = "made up"
backends = types.SimpleNamespace(cuda=types.SimpleNamespace(matmul=types.SimpleNamespace()), cudnn=types.SimpleNamespace(version=lambda: 9))
class Event:
    def __init__(self, enable_timing): pass
    def record(self): self.at = cuda.now
    def synchronize(self): pass
    def elapsed_time(self, end): return end.at - self.at
class CUDAGraph:
    def replay(self): cuda.now += self.took
class graph:
    def __init__(self, of): self.of = of
    def __enter__(self): self.began = cuda.now
    def __exit__(self, *_): self.of.took = cuda.now - self.began
cuda = types.SimpleNamespace(now=0, is_available=lambda: True, synchronize=lambda: None, get_device_name=lambda: "none", Event=Event, CUDAGraph=CUDAGraph,
                             graph=graph, Stream=Nothing, stream=Nothing, current_stream=Nothing, empty_cache=lambda: None)
class Module: pass
nn = types.SimpleNamespace(Module=Module)
`;

const python = spawnSync('python3', ['--version']).status === 0;
const asks = 'PyTorch is asked for the GPU\'s clock, and gives products and a filter gradient of bfloat16 by it, eager and as a graph';
const fused = 'PyTorch runs a convolution with ReLU by cuDNN\'s fused kernel where that is there and the quicker';
if (!python) {
  for (const name of [asks, fused]) skip(name, 'no python3');
} else {
  const stub = join(folder, 'stub', 'torch');
  mkdirSync(join(stub, 'nn'), { recursive: true });
  writeFileSync(join(stub, '__init__.py'), torch);
  writeFileSync(join(stub, 'nn', '__init__.py'), 'class Module: pass\n');
  writeFileSync(join(stub, 'nn', 'functional.py'), 'from torch import conv2d, relu_\nrelu = None\n');

  /** Peers by the torch above, with variables that it reads. */
  const withPeers = async (only: readonly string[], env: Readonly<Record<string, string>>, work: (peers: Peer[]) => Promise<void>): Promise<void> => {
    const all = { PYTHONPATH: join(folder, 'stub'), ...env };
    const before = Object.keys(all).map((key) => [key, process.env[key]] as const);
    Object.assign(process.env, all);
    try {
      const options = { beside: ['cuda'] as const, threads: [1], python: ['python3'], adapter: undefined, only, log: () => undefined };
      const peers = await pythonPeers(options) as Peer[];
      try {
        await work(peers);
      } finally {
        for (const peer of peers) await peer.dispose();
      }
    } finally {
      for (const [key, value] of before) {
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
      }
    }
  };

  test(asks, () => withPeers(['PyTorch, cuda$', 'PyTorch, cuda, graph$', 'cuda, graph, tf32$'], {}, async (peers) => {
    assert.equal(peers.map(({ name }) => name), ['PyTorch, cuda, graph, tf32', 'PyTorch, cuda', 'PyTorch, cuda, graph'], JSON.stringify(peers));
    assert.equal(peers.map(({ half }) => half), [false, true, true]);
    for (const transposed of [false, true]) {
      const problem = squareProduct(12, transposed);
      const values = inputValues(problem);
      for (const peer of peers) {
        assert.ok(peer.ops.includes('matmul') && peer.ops.includes('conv2d'));
        const contestant = await peer.enter(problem, values) as Contestant;
        assert.ok((await contestant.run(1))[0] < 1000);
        assert.equal(await contestant.run(2, 4, 'gpu'), [3, 3], peer.name);
        checkOf(problem, values).one(await contestant.result(), peer.name);
        await contestant.dispose();
      }
    }
    // PyTorch's is rounded to bfloat16, which it says; by the name alone it would be wrong.
    const conv = { stride: [2, 1], padding: [1, 1, 1, 1], dilation: [1, 1], filterShape: [4, 3, 3, 3] };
    const gradient: KernelProblem = {
      kind: 'kernel', group: 'conv', op: 'conv2dFilterGrad', name: 'conv2dFilterGrad bfloat16', layers: [], attrs: conv,
      inputs: [{ shape: [2, 9, 6, 3], dtype: 'bfloat16' }, { shape: [2, 5, 6, 4], dtype: 'bfloat16' }],
    };
    const values = inputValues(gradient);
    const check = checkOf(gradient, values);
    for (const peer of peers.filter(({ half }) => half)) {
      const contestant = await peer.enter(gradient, values) as Contestant;
      assert.equal(await contestant.run(1, 2, 'gpu'), [3], peer.name);
      const result = await contestant.result();
      check.one(result, peer.name, contestant.rounded);
      assert.throws(() => check.one(result, peer.name), /times what rounding allows/);
      await contestant.dispose();
    }
  }));

  test(fused, async () => {
    const problem = (activation: string): KernelProblem => ({
      kind: 'kernel', group: 'conv', op: 'conv2d', name: `conv2d ${activation}`, layers: [],
      attrs: { stride: [2, 1], padding: [1, 1, 1, 1], dilation: [1, 1], activation },
      inputs: [{ shape: [2, 9, 6, 3], dtype: 'float32' }, { shape: [4, 3, 3, 3], dtype: 'float32' }, { shape: [4], dtype: 'float32' }],
    });
    // 5 ms for the two of them; by what is said of the fused one.
    for (const [how, ms] of [['missing', 5], ['refuses', 5], ['4', 4], ['6', 5]] as const) {
      await withPeers(['PyTorch, cuda$', 'PyTorch, cuda, graph$'], { FUSED: how }, async (peers) => {
        assert.is(peers.length, 2);
        for (const peer of peers) {
          for (const [activation, expected] of [['relu', ms], ['none', 3]] as const) {
            const values = inputValues(problem(activation));
            const contestant = await peer.enter(problem(activation), values) as Contestant;
            assert.equal(await contestant.run(1, 2, 'gpu'), [expected], `${peer.name}, ${activation}, fused: ${how}`);
            checkOf(problem(activation), values).one(await contestant.result(), peer.name);
            await contestant.dispose();
          }
        }
      });
    }
  });
}
// Together: what is run while a file still waits for something is counted by itself.
for (const one of [faked, software, test]) one.run();
