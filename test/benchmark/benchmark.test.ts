// time limit: 180 s
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkOf, outputTypes } from '../../src/benchmark/check.ts';
import { contest, runsWithin, timed } from '../../src/benchmark/contest.ts';
import type { Burst, Gate } from '../../src/benchmark/gate.ts';
import { coreGate, gateOf } from '../../src/benchmark/gate.ts';
import { kernelContestant } from '../../src/benchmark/kernel.ts';
import { kernelProblems } from '../../src/benchmark/problems.ts';
import { readReport } from '../../src/benchmark/report-file.ts';
import { quantile, spread } from '../../src/benchmark/statistics.ts';
import { referenceFailure, referenceLosses, stepContestant, stepProblem } from '../../src/benchmark/step.ts';
import { kernelNotes } from '../../src/benchmark/table.ts';
import type { Contestant, Entry, KernelProblem, Row } from '../../src/benchmark/types.ts';
import { hostTensor, inputValues } from '../../src/benchmark/values.ts';
import { runProgram } from '../../src/cli/program.ts';
import { cpu } from '../../src/device/cpu/index.ts';
import type { DeviceBuffer } from '../../src/device/types.ts';
import { getOp } from '../../src/fovea.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-bench-'));

async function fovea(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  return { code: await runProgram(args, { terminal, signal: new AbortController().signal }), out, err };
}

test('quartiles and spread', () => {
  assert.is(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.is(quantile([1, 2, 3, 4, 5], 0.25), 2);
  assert.ok(Math.abs(spread([8, 9, 10, 11, 12]) - 0.1) < 1e-12);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test('sampled checks are the reference, in every direction, at every stride and padding', () => {
  const wanted = ['conv2d', 'conv2dStats', 'conv2dInputGrad', 'conv2dFilterGrad', 'matmul'];
  // The smallest of every form: 1x1, 3x3, 5x5, 1x7 and 7x1, stride 2 with and without padding.
  const chosen = new Map<string, { problem: KernelProblem; flop: number }>();
  for (const problem of kernelProblems(1)) {
    const { op, inputs, attrs } = problem;
    if (!wanted.includes(op)) continue;
    const { flop } = getOp(op).cost!(inputs, outputTypes(problem), attrs);
    const key = `${op} ${String(attrs.stride)} ${String(attrs.padding)}`;
    if (flop < 80e6 && flop < (chosen.get(key)?.flop ?? Infinity)) chosen.set(key, { problem, flop });
  }
  for (const { problem } of chosen.values()) {
    const { op, inputs, attrs } = problem;
    const values = inputValues(problem);
    const right = getOp(op).reference!(inputs.map((t, i) => hostTensor(t, values[i])), attrs, outputTypes(problem));
    const check = checkOf(problem, values);
    check.one(right, 'the reference');
    const wrong = right.map((y) => y.map((v) => v * 1.01 + 0.01));
    assert.throws(() => check.one(wrong, 'a wrong one'), /a wrong one: element \d+ of output 0 is .*, expected/);
    assert.throws(() => check.one([right[0].subarray(1)], 'a short one'), /elements, expected/);
    // The corners are always looked at.
    for (const at of [0, right[0].length - 1]) {
      const bent = right[0].with(at, right[0][at] + 1);
      assert.throws(() => check.one([bent], 'bent at a corner'), new RegExp(`element ${at} of output 0`));
    }
  }
  for (const op of wanted.slice(0, 4)) assert.ok([...chosen.keys()].filter((k) => k.startsWith(`${op} `)).length >= 4, [...chosen.keys()].join('; '));
});

test('whole outputs are held to each other: who is wrong in one element that nobody looked at is named, first or not', () => {
  const problem = kernelProblems(1).find((p) => p.name === 'matmul 256x256x256')!;
  const values = inputValues(problem);
  const [right] = getOp('matmul').reference!(problem.inputs.map((t, i) => hostTensor(t, values[i])), problem.attrs, outputTypes(problem));
  const { one, among } = checkOf(problem, values);
  const passes = (y: Float64Array): boolean => {
    try {
      one([y], '');
      return true;
    } catch {
      return false;
    }
  };
  const at = Array.from(right.keys()).find((i) => passes(right.with(i, right[i] + 1)))!;
  const [good, bad] = [[right], [right.with(at, right[at] + 1)]];
  const wrong = (...results: Float64Array[][]): string[] => [...among!(results.map((r, i) => ({ who: `no. ${i}`, results: r })))].map(([, why]) => why);
  assert.equal(wrong(good, good, good), []);
  for (const [i, of] of [[bad, good, good], [good, bad, good], [good, good, bad]].entries()) {
    assert.is(wrong(...of).length, 1);
    assert.match(wrong(...of)[0], new RegExp(`no\\. ${i}: element ${at} of output 0 is`));
  }
  assert.is(wrong(bad, bad, good).length, 2);
});

test('a contest times none with wrong outputs, slow contestants run less, and turns of five', async () => {
  const order: string[] = [];
  const make = (name: string, value: number): Contestant => ({
    name, dispose: () => undefined, result: async () => [[value]], run: (times) => timed(times, () => void order.push(name)),
  });
  const check = ([result]: readonly ArrayLike<number>[], who: string): void => assert.is(result[0], 1, who);
  const entries = await contest([make('a', 1), make('b', 1)], { one: check }, { runs: 7, warmUps: 1, limit: 60 });
  assert.equal(order.join(''), 'ab' + 'aaaaabbbbb' + 'aabb');
  assert.equal(entries.map((e) => e.milliseconds.length), [7, 7]);
  const [right, wrong] = await contest([make('a', 1), make('b', 2)], { one: check }, { runs: 1, warmUps: 1, limit: 60 });
  assert.is(right.milliseconds.length, 1);
  assert.equal(wrong.milliseconds, []);
  assert.match(wrong.failed!, 'b');
  // Results beside each other: who is named has no times.
  const among = (outcomes: readonly { who: string }[]): Map<string, string> => new Map([[outcomes[0].who, 'alone']]);
  const [odd, even] = await contest([make('a', 1), make('b', 1)], { one: check, among }, { runs: 1, warmUps: 1, limit: 60 });
  assert.equal([odd.failed, odd.milliseconds, even.milliseconds.length], ['alone', [], 1]);
  assert.is(runsWithin({ runs: 20, limit: 60 }, 100), 20);
  assert.is(runsWithin({ runs: 20, limit: 60 }, 10_000), 6);
  assert.is(runsWithin({ runs: 20, limit: 60 }, 1e6), 1);
});

const rowOf = (entry: Entry): Row => ({ group: 'conv', device: 'cpu', name: 'conv2d', layers: [], flop: 1, bytes: 1, entries: [entry] });

test('with a gate, runs count where all cores were there before and after them; where they never are, all count and are marked', async () => {
  const steady = (): Contestant => ({ name: 'a', dispose: () => undefined, result: async () => [[1]],
    run: async (times) => new Array<number>(times).fill(0.1) });
  const run = async (gate: Gate) => (await contest([steady()], { one: () => undefined }, { runs: 10, warmUps: 1, limit: 60, gate }))[0];
  const scripted = (opens: (turn: number) => boolean, free: (turn: number) => boolean): Gate => {
    let turn = 0;
    return { opens: async () => opens(turn), free: async () => free(turn++), dispose: () => undefined };
  };
  const always = await run(scripted(() => true, () => true));
  assert.equal([always.milliseconds.length, always.disturbed, always.shared], [10, undefined, undefined]);
  // gone by the end of every other turn of five
  const half = await run(scripted(() => true, (turn) => turn % 2 === 1));
  assert.equal([half.milliseconds.length, half.disturbed?.length, half.shared], [10, 10, undefined]);
  const never = await run(scripted(() => false, () => true));
  assert.equal([never.milliseconds.length, never.disturbed, never.shared], [50, undefined, true]);
  assert.match(kernelNotes([rowOf(never)])[0], /all runs count/);
  assert.equal(kernelNotes([rowOf(half)]), []);
});

test('the gate is free where all threads are as fast as so many single ones', async () => {
  let [alone, together, disposed] = [10, 19, 0];
  const burst = (speed: () => number): Burst => ({ speed: async () => speed(), dispose: () => void disposed++ });
  const gate = await gateOf(burst(() => alone), burst(() => together), 2);
  assert.is(await gate.free(), true);
  together = 12; // two threads of one core
  assert.is(await gate.free(), false);
  assert.is(await gate.opens(), false);
  setTimeout(() => (together = 19), 20);
  assert.is(await gate.opens(), true, 'waits for it');
  // another process on both: the one thread's best is remembered
  [alone, together] = [5, 10];
  assert.is(await gate.free(), false);
  gate.dispose();
  assert.is(disposed, 2);
});

test('the gate measures this machine', async () => {
  const gate = await coreGate(2, true);
  for (let i = 0; i < 3; i++) assert.type(await gate.free(), 'boolean');
  gate.dispose();
});

test('a method of its own states its FLOP, and less than direct convolution', async () => {
  const device = await cpu({ threads: 1 });
  const problem = kernelProblems(4).find((p) => p.op === 'conv2d' && p.layers.includes('inception-bn conv_2'))!;
  const values = inputValues(problem);
  const contestant = await kernelContestant('fovea, 1 thread', device, problem, values);
  const { flop, method } = await contestant.facts!();
  const { flop: direct } = getOp('conv2d').cost!(problem.inputs, outputTypes(problem), problem.attrs);
  assert.match(method!, 'F(');
  assert.ok(flop! > direct / 9 && flop! < direct / 2, `${flop} of ${direct}`);
  await contestant.dispose();
  device.dispose();
});

test('a run on the cpu: outputs checked, a table, a file with raw samples and the roofline, and a comparison with itself', async () => {
  const file = join(folder, 'a.json');
  const { code, out, err } = await fovea('bench', '--device', 'cpu', '--threads', '1', '--only', 'gemm,conv,softmax', '--filter', ' 4x2', '--batch', '4',
    '--runs', '3', '--quick', '--out', file);
  assert.is(code, 0, err);
  assert.match(out, /softmaxCrossEntropy 4x2/);
  assert.match(out, /multiply-add .*GFLOP\/s/);
  const report = await readReport(file);
  assert.equal(report.rows.map((r) => r.name), ['softmaxCrossEntropy 4x2', 'softmaxCrossEntropyGrad 4x2']);
  for (const { bytes, entries: [entry] } of report.rows) {
    assert.is(entry.milliseconds.length, 3);
    assert.ok(entry.attainable! > 0 && entry.attainable! < 1 && bytes > 0);
  }
  assert.equal(report.probes.map((p) => p.what), ['clock', 'multiply-add', 'read', 'write', 'copy']);
  assert.match(JSON.parse(readFileSync(file, 'utf8')).machine.node, /^v\d+/);
  const compared = await fovea('bench', 'compare', file, file);
  assert.is(compared.code, 0, compared.err);
  assert.match(compared.out, /0 slower, 0 faster, 2 the same/);
});

test('an interrupted run shows and writes what it measured, with exit code 130; a malformed file is refused by its field', async () => {
  const file = join(folder, 'stopped.json');
  const controller = new AbortController();
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), watched: false, err: (text: string) => {
    err += text;
    if (text.startsWith('1/')) controller.abort();
  } };
  const args = ['bench', '--device', 'cpu', '--threads', '1', '--only', 'softmax', '--runs', '2', '--no-probes', '--out', file];
  const code = await runProgram(args, { terminal, signal: controller.signal });
  assert.is(code, 130, err);
  assert.match(err, /interrupted; 1 rows? w/);
  assert.match(out, /softmaxCrossEntropy 4x2/);
  const { rows } = await readReport(file);
  assert.is(rows.length, 1);
  const whole = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const refused = async (change: object, pattern: RegExp): Promise<void> => {
    const bad = join(folder, 'bad.json');
    writeFileSync(bad, JSON.stringify({ ...whole, ...change }));
    const { code: failed, err: why } = await fovea('bench', 'compare', bad, file);
    assert.is(failed, 1);
    assert.match(why, pattern);
    assert.not.match(why, /\n\s+at /);
  };
  await refused({ options: undefined }, /bad\.json: "options" is missing: a file that fovea bench --out wrote was expected/);
  await refused({ probes: {} }, /"probes" is {}, expected a list/);
  const entries = [{ contestant: 'a', milliseconds: ['1'] }];
  await refused({ rows: [{ ...rows[0], entries }] }, /"rows\[0\]\.entries\[0\]\.milliseconds\[0\]" is "1", expected a number/);
  await refused({ format: 2 }, /"format" is 2, expected 1/);
});

test('training steps: one network on one and two threads, losses alike, with memory, start and main thread; charts', async () => {
  const file = join(folder, 'step.json');
  const { code, out, err } = await fovea('bench', '--device', 'cpu', '--threads', '1,2', '--only', 'step', '--step-batch', '4', '--side', '64',
    '--width', '0.125', '--runs', '2', '--recompute', '--no-probes', '--out', file, '--charts', join(folder, 'charts'));
  assert.is(code, 0, err);
  const { rows: [row] } = await readReport(file);
  assert.equal(row.entries.map((e) => e.contestant), [1, 2].flatMap((n) => ['', ', recompute'].map((how) => `fovea, ${n} thread${n > 1 ? 's' : ''}${how}`)));
  const [{ memory: kept }, { memory: recomputed }] = row.entries.map((e) => e.facts!.step!);
  assert.ok(recomputed.peak < kept.peak, `${recomputed.peak} B with recomputation, ${kept.peak} B without`);
  for (const { facts } of row.entries) {
    const { start, mainThreadMs, memory, launches, compilations } = facts!.step!;
    assert.ok(start.plan > 0 && start.first > 0 && mainThreadMs > 0 && launches > 100 && compilations >= 1);
    assert.ok(memory.arena >= memory.bound && memory.peak >= memory.arena + memory.own);
  }
  for (const name of ['training-time-batch-4.svg', 'threads-batch-4.svg']) {
    assert.match(out, name);
    assert.match(readFileSync(join(folder, 'charts', name), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);
  }
});

/** A float that lies in four bytes, times a factor. */
function scaled(data: ArrayBufferView, factor: number): Float32Array {
  return Float32Array.of(factor * new DataView(data.buffer, data.byteOffset).getFloat32(0, true));
}

test('ours are held to two steps by the float64 reference: one whose learning rate is another, fails', async () => {
  const problem = stepProblem({ batch: 4, side: 64, width: 0.125 });
  const [first, second] = referenceLosses(problem, 0.125);
  const device = await cpu({ threads: 1 });
  const target = { name: device.name, contestant: 'fovea, 1 thread', device, threads: 1, openSeconds: 0, close: () => undefined };
  assert.is(await referenceFailure(target, 'plain'), undefined);
  const { bytesAllocated } = device.counters;
  const refusal = await stepContestant(target, problem, 0.125, 'mixed').then(() => '', (error: Error) => error.message);
  assert.match(refusal, /has no float16/);
  assert.is(device.counters.bytesAllocated, bytesAllocated, 'what is refused holds nothing');
  const ours = await stepContestant(target, problem, 0.125, 'plain');
  await ours.run(2);
  const [losses] = await ours.result();
  const [a, b] = [losses[0], losses[1]];
  assert.ok(Math.abs(a / first - 1) < 1e-4 && Math.abs((a - b) / (first - second) - 1) < 0.05, `${a}, ${b}; expected ${first}, ${second}`);
  await ours.dispose();
  const wrong = { ...target, device: new Proxy(device, {
    get(of, key) {
      const value = Reflect.get(of, key, of);
      // The one scalar that it is given is the learning rate.
      if (key === 'write') {
        return (buffer: DeviceBuffer, at: number, data: ArrayBufferView) => of.write(buffer, at, data.byteLength === 4 ? scaled(data, 3) : data);
      }
      return typeof value === 'function' ? value.bind(of) : value;
    },
  }) };
  assert.match((await referenceFailure(wrong, 'plain'))!, /by the float64 reference: the losses of two steps are/);
  device.dispose();
});

test('bad options are one line and exit code 2; without peers there is no option for them', async () => {
  const bad = async (args: string[], pattern: RegExp): Promise<void> => {
    const { code, err } = await fovea('bench', ...args);
    assert.is(code, 2, err);
    assert.match(err, pattern);
    assert.not.match(err, /\n\s+at /);
  };
  await bad(['--only', 'conv,gem'], /--only: expected some of gemm, conv, .*, got "conv,gem"/);
  await bad(['--device', 'gpu'], /--device: expected cpu, webgpu, webgpu:NAME, cuda or cuda:NUMBER/);
  await bad(['--step-batch', '2,x'], /--step-batch: expected integers from 1 to 1024/);
  await bad(['--runs', '0'], /--runs: expected an integer from 1 to 10000, got "0"/);
  await bad(['--threads', '0'], /--threads/);
  await bad(['--python', 'x'], /unknown option '--python'/);
  await bad(['--out', join(folder, 'nowhere', 'a.json')], /--out .*: no such folder/);
  const { code, err } = await fovea('bench', '--device', 'cpu', '--filter', 'no such row', '--no-probes');
  assert.is(code, 1);
  assert.match(err, /nothing to measure: .*"no such row"/);
  const compared = await fovea('bench', 'compare', join(folder, 'x.json'), join(folder, 'y.json'));
  assert.is(compared.code, 1);
  assert.match(compared.err, /x\.json: no such file/);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
