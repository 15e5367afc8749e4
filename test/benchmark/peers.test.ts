import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isolated } from '../../bench/peers/isolated.ts';
import { PeerProcess, lines } from '../../bench/peers/process.ts';
import { submitted } from '../../bench/peers/tfjs-webgpu.ts';
import { outputTypes } from '../../src/benchmark/check.ts';
import { contest, timed } from '../../src/benchmark/contest.ts';
import { kernelProblems } from '../../src/benchmark/problems.ts';
import { readReport, writeReport } from '../../src/benchmark/report-file.ts';
import type { Openers, TargetOptions } from '../../src/benchmark/targets.ts';
import { openTargets } from '../../src/benchmark/targets.ts';
import type { AbsentPeer, Contestant, Entry, Peer, PeerSource, Report } from '../../src/benchmark/types.ts';
import { hostTensor, inputValues } from '../../src/benchmark/values.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { Device } from '../../src/device/types.ts';
import { DeviceError } from '../../src/errors.ts';
import { getOp } from '../../src/fovea.ts';
import type { EngineOptions, Manner } from './support/engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-peers-'));

const problems = kernelProblems(4).filter((p) => p.op === 'softmaxCrossEntropy');
const results = Object.fromEntries(problems.map((p) => {
  const values = inputValues(p);
  return [p.name, [...getOp(p.op).reference!(p.inputs.map((t, i) => hostTensor(t, values[i])), p.attrs, outputTypes(p))[0]]];
}));

const engine = (manner: Manner): Promise<Peer | AbsentPeer> =>
  isolated(`one that is ${manner}`, new URL('support/engine.ts', import.meta.url), { manner, results } satisfies EngineOptions);

async function bench(args: readonly string[], benchmarkPeers?: PeerSource): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  return { code: await runProgram(['bench', ...args], { terminal, signal: new AbortController().signal, benchmarkPeers }), out, err };
}

test('peers that are absent, throw, die, are wrong or hang are named in the row and not timed; ours and the right one are', async () => {
  const file = join(folder, 'peers.json');
  const manners: Manner[] = ['right', 'wrong', 'throws', 'hangs', 'dies', 'absent'];
  const started = performance.now();
  const { code, out, err } = await bench(
    ['--device', 'cpu', '--threads', '1', '--filter', 'softmaxCrossEntropy ', '--runs', '3', '--limit', '4', '--no-probes', '--out', file],
    () => Promise.all(manners.map(engine)),
  );
  assert.ok(performance.now() - started < 60_000, 'the one that hangs holds up one row, for its limit');
  assert.is(code, 1, err);
  const report = await readReport(file);
  assert.equal(report.rows.map((r) => r.name), ['softmaxCrossEntropy 4x2', 'softmaxCrossEntropy 128x1000']);
  const [first, second] = report.rows.map((row) => (who: string): Entry => row.entries.find((e) => e.contestant.endsWith(who))!);
  for (const who of ['1 thread', 'right']) assert.is(first(who).milliseconds.length, 3, who);
  for (const who of ['wrong', 'throws', 'hangs', 'dies']) assert.equal(first(who).milliseconds, [], who);
  assert.match(first('wrong').failed!, /one that is wrong: element \d+ of output 0 is .*, expected/);
  assert.is(first('throws').failed, 'no such kernel');
  assert.match(first('dies').failed!, /ended with 3/);
  assert.is(first('hangs').absent, 'too slow: 4.0 s a run or more, limit 4 s a row');
  // What hung in the small row is spared the large one; what died is there again.
  assert.match(second('hangs').absent!, /too slow: .*as earlier rows have it/);
  assert.match(second('dies').failed!, /ended with 3/);
  assert.equal(report.peers.find((p) => p.name.endsWith('absent')), { name: 'one that is absent', absent: 'install it' });
  assert.is(report.failures.length, 6);
  assert.match(out, /failed: cpu: softmaxCrossEntropy 4x2, one that is throws: no such kernel/);
  assert.match(out, /too slow: 4\.0 s/);
  assert.match(err, /2 rows, likely to take \d+:\d\d/);
  assert.match(err, /1\/2, \d+:\d\d left: cpu: softmaxCrossEntropy 4x2: fovea, 1 thread/);
  assert.match(err, /6 entries do not count; the first: cpu: softmaxCrossEntropy 4x2, one that is wrong/);
});

test('a peer that was ended enters again, in a new process', async () => {
  const peer = (await engine('right')) as Peer;
  const [small] = problems;
  const values = inputValues(small);
  for (let i = 0; i < 2; i++) {
    const contestant = (await peer.enter(small, values)) as Contestant;
    assert.is((await contestant.run(2)).length, 2);
    assert.is((await contestant.result())[0].length, 4);
    contestant.abandon!();
    let failure = '';
    await contestant.run(1).catch((error: Error) => (failure = error.message));
    assert.ok(failure !== '', 'a contestant that was abandoned has no runs');
  }
  await peer.dispose();
  assert.match(((await engine('absent')) as AbsentPeer).absent, 'install it');
  const broken = await isolated('broken', new URL('support/no-such-file.ts', import.meta.url), {});
  assert.is(broken.name, 'broken');
  assert.match((broken as AbsentPeer).absent, /no-such-file/);
});

test("tfjs's webgpu backend is made to submit what it recorded before the clock stops, and one without these fields is refused", async () => {
  const did: string[] = [];
  const backend = {
    commandEncoder: {} as object | null, device: { queue: { onSubmittedWorkDone: async () => void did.push('done') } } as unknown as GPUDevice,
    endComputePassEncoder: () => void did.push('end'),
    submitQueue: () => {
      did.push('submit');
      backend.commandEncoder = null;
    },
  };
  await submitted(backend);
  await submitted(backend);
  assert.equal(did, ['end', 'submit', 'done', 'end', 'done']);
  const refused = async (without: object): Promise<string> => submitted({ ...backend, ...without }).then(() => '', (error: Error) => error.message);
  for (const key of ['commandEncoder', 'submitQueue', 'endComputePassEncoder', 'device']) {
    assert.match(await refused({ [key]: undefined }), new RegExp(`webgpu backend has no ${key}: expected that of 4.22`));
  }
});

test('a line that is no JSON fails the request by name and ends the process; the next request starts another', async () => {
  const script = "console.log('welcome'); process.stdin.on('data', () => console.log('{}'))";
  const peer = new PeerProcess<object>(() => spawn(process.execPath, ['-e', script], { stdio: 'pipe' }), lines, { call: 'hello' });
  const failure = async (): Promise<string> => peer.ask({ call: 'run' }).then(() => '', (error: Error) => error.message);
  assert.is(await failure(), 'answered what is no JSON: welcome');
  assert.is(peer.running, false);
  assert.is(await failure(), 'answered what is no JSON: welcome');
  peer.end();
});

test('who does not leave is abandoned after some seconds', async () => {
  const peer: Peer = {
    name: 'stays', beside: ['cpu'], versions: {}, ops: ['softmaxCrossEntropy'], abandon: () => undefined, dispose: () => undefined,
    enter: async ({ name }) => {
      let gone = false;
      return {
        name: 'stays', run: (times) => timed(times, () => undefined), result: async () => [Float32Array.from(results[name])],
        dispose: () => new Promise<void>((done) => void setTimeout(() => gone || done(), 60_000).unref()), abandon: () => void (gone = true),
      };
    },
  };
  const started = performance.now();
  const { code, err } = await bench(
    ['--device', 'cpu', '--threads', '1', '--filter', 'softmaxCrossEntropy 4x2', '--runs', '1', '--no-probes'], () => Promise.resolve([peer]),
  );
  assert.is(code, 0, err);
  assert.ok(performance.now() - started < 30_000);
});

test('a contest ends the slow one at its limit, keeps the turns that it had, and stops at once when the signal says so', async () => {
  const abandoned: string[] = [];
  const make = (name: string, ms: (run: number) => number): Contestant => {
    let run = 0;
    const once = (): Promise<void> => new Promise((done) => setTimeout(done, ms(run++)).unref());
    return { name, run: (times) => timed(times, once), result: async () => [[1]], dispose: () => undefined, abandon: () => void abandoned.push(name) };
  };
  const options = { runs: 10, warmUps: 1, limit: 0.4 };
  const [quick, late, never] = await contest([
    make('quick', () => 1), make('late', (run) => (run < 8 ? 1 : 1e9)), make('never', () => 1e9),
  ], { one: () => undefined }, options);
  assert.is(quick.milliseconds.length, 10);
  assert.is(late.milliseconds.length, 5);
  assert.equal([never.milliseconds, never.absent], [[], 'too slow: 0.40 s a run or more, limit 0.4 s a row']);
  assert.equal(abandoned, ['never', 'late']);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  let name = '';
  const stopped = contest([make('last', () => 1e9)], { one: () => undefined }, { ...options, limit: 60, signal: controller.signal });
  await stopped.catch((error: Error) => (name = error.name));
  assert.equal([name, abandoned.at(-1)], ['AbortError', 'last']);
});

test('a device that fails to open is said by its threads, and what was open before it is closed where all ends', async () => {
  const did: string[] = [];
  const openersOf = (failure: Error): Openers => ({
    async cpu(threads) {
      if (threads === 2) throw failure;
      return { device: { name: `cpu ${threads}`, kind: 'cpu' } as Device, close: () => void did.push(`closed ${threads}`) };
    },
    other: () => Promise.reject(failure),
  });
  const said: string[] = [];
  const options: TargetOptions = { devices: ['cpu', 'webgpu'], threads: [1, 2, 3], relaxed: true, log: (line) => void said.push(line) };
  const targets = await openTargets(options, openersOf(new DeviceError('no memory')));
  assert.equal([targets.map((t) => t.contestant), did], [['fovea, 1 thread', 'fovea, 3 threads'], []]);
  assert.equal(said, ['cpu, 2 threads: absent (no memory)', 'webgpu: absent (no memory)']);
  let message = '';
  await openTargets(options, openersOf(new Error('a bug'))).catch((error: Error) => (message = error.message));
  assert.equal([message, did], ['a bug', ['closed 1']]);
});

test('peers that throw when they are opened leave no device open', async () => {
  const closed: string[] = [];
  const { terminate } = Worker.prototype;
  Worker.prototype.terminate = function (this: Worker) {
    closed.push('worker');
    return terminate.call(this);
  };
  try {
    const { code, err } = await bench(
      ['--device', 'cpu', '--threads', '2', '--plain', '--filter', 'softmaxCrossEntropy 4x2', '--no-probes'], () => Promise.reject(new Error('no peers today')),
    );
    assert.is(code, 1);
    assert.match(err, /no peers today/);
  } finally {
    Worker.prototype.terminate = terminate;
  }
  assert.ok(closed.length > 0, 'the workers of the cpu device are ended');
});

test('where charts cannot go is said before the run, with exit code 2', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  for (const charts of [file, join(file, 'below')]) {
    const { code, err, out } = await bench(['--device', 'cpu', '--threads', '1', '--filter', 'softmaxCrossEntropy 4x2', '--no-probes', '--charts', charts]);
    assert.equal([code, out], [2, ''], err);
    assert.match(err, /--charts .*a-file.*: .*a-file is not a folder/);
  }
});

test('a file of a report that is incomplete is named with the field and what it should be, in words of ours', async () => {
  const file = join(folder, 'malformed.json');
  const failure = async (report: object): Promise<string> => {
    writeFileSync(file, JSON.stringify({ format: 1, ...report }));
    return readReport(file).then(() => '', (error: Error) => error.message);
  };
  const whole = { machine: {}, options: {}, peers: [], failures: [], devices: [], probes: [], rows: [] };
  assert.is(await failure(whole), '');
  const wrote = ': a file that fovea bench --out wrote was expected';
  assert.is(await failure({ ...whole, machine: undefined }), `${file}: "machine" is missing${wrote}`);
  assert.is(await failure({ ...whole, rows: 3 }), `${file}: "rows" is 3, expected a list${wrote}`);
  assert.is(await failure({ ...whole, probes: [{ device: 'a', what: 'b', value: 'c', unit: 'd', milliseconds: [] }] }),
    `${file}: "probes[0].value" is "c", expected a number${wrote}`);
  assert.is(await failure({ ...whole, machine: { cores: [] } }), `${file}: "machine.cores" is [], expected a string, a number or a boolean${wrote}`);
  assert.match(await failure({ ...whole, rows: [{ group: 'x' }] }), /"rows\[0\]\.group" is "x", expected one of gemm, conv/);
});

test('compare: a row that got slower is named, with exit code 1; a faster one is not held against it', async () => {
  const report = (conv: number, gemm: number): Report => ({
    format: 1, machine: {}, options: {}, devices: [], peers: [], failures: [], probes: [],
    rows: ([['conv', 'conv2d 7x7', conv], ['gemm', 'matmul 8x8', gemm]] as const).map(([group, name, ms]) => ({
      group, device: 'cpu', name, layers: [], flop: 1, bytes: 1, entries: [{ contestant: 'fovea, 1 thread', milliseconds: [ms, ms * 1.01, ms * 0.99] }],
    })),
  });
  const [before, after] = ['before', 'after'].map((name) => join(folder, `${name}.json`));
  await writeReport(before, report(10, 10));
  await writeReport(after, report(12, 5));
  const { code, out, err } = await bench(['compare', before, after]);
  assert.is(code, 1);
  assert.match(out, /conv2d 7x7 .*10\.0 .*12\.0 .*1\.20 .*slower/);
  assert.match(out, /1 slower, 1 faster, 0 the same/);
  assert.match(err, /1 of 2 got slower; the worst: conv2d 7x7/);
  assert.is((await bench(['compare', before, before])).code, 0);
  // A row whose ratio is the largest, but whose quartiles overlap, is not the one that got slower.
  const uncertain = { group: 'norm', device: 'cpu', name: 'norm 1', layers: [], flop: 1, bytes: 1 } as const;
  const entry = (...milliseconds: number[]): Entry => ({ contestant: 'fovea, 1 thread', milliseconds });
  await writeReport(before, { ...report(10, 10), rows: [...report(10, 10).rows, { ...uncertain, entries: [entry(1, 2, 9)] }] });
  await writeReport(after, { ...report(12, 5), rows: [...report(12, 5).rows, { ...uncertain, entries: [entry(2, 9, 9)] }] });
  assert.match((await bench(['compare', before, after])).err, /1 of 3 got slower; the worst: conv2d 7x7/);
  await writeReport(after, report(10, 10));
  const gone = await bench(['compare', before, after]);
  assert.is(gone.code, 1);
  assert.match(gone.out, /lost: cpu: norm 1, fovea, 1 thread: not in the file\n0 slower, 0 faster, 2 the same, 1 lost/);
  assert.match(gone.err, /1 lost; the first: norm 1/);
  await writeReport(after, { ...report(10, 10), rows: [] });
  assert.match((await bench(['compare', before, after])).err, /no row in common/);
  await writeReport(before, report(10, 10));
  await writeReport(after, report(9, 5));
  assert.is((await bench(['compare', before, after])).code, 0);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
