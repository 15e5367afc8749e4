import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import { DTypeError, GraphError, ShapeError } from '../../src/errors.ts';
import { compile, data, grad, keep, tensor, variable } from '../../src/fovea.ts';
import { pad } from '../../src/ops/pad.ts';
import { rejects, throws } from '../support/errors.ts';

const cpu = await device('cpu', { threads: 2 });
setDefaultDevice(cpu);

function capture(): { lines: string[]; restore(): void } {
  const lines: string[] = [];
  const { warn } = console;
  console.warn = (line: string) => lines.push(line);
  return { lines, restore: () => void (console.warn = warn) };
}

test('a wrong shape throws at the call, with both shapes and the op', () => {
  const a = tensor([[1, 2, 3]]);
  const b = tensor([[1, 2]]);
  assert.throws(() => a.add(b), (e: Error) => e instanceof ShapeError && /add/.test(e.message) && /1, ?3/.test(e.message) && /1, ?2/.test(e.message));
});

test('what is no tensor is refused by name, and so is a shape that nothing fills', () => {
  throws(() => tensor([1]).add(null as never), DTypeError, /add: b is null/);
  throws(() => tensor(['a'] as never), DTypeError, /string stands where a number/);
  throws(() => tensor([1, 2, 3]).reshape([2, -1]), ShapeError, /reshape: x \[3\].*\[2,-1\]/);
  throws(() => tensor([1, 2]).reshape([-1, -1]), ShapeError, /one length for -1/);
});

test('a read records the version of that moment', async () => {
  const w = variable([1, 2, 3], [3]);
  const y = w.read().mul(2);
  w.assign(0);
  assert.equal([...(await y.data())], [2, 4, 6]);
  assert.equal([...(await w.data())], [0, 0, 0]);
});

test('a reading outlives assignments that were evaluated before it', async () => {
  const w = variable([1, 2], [2]);
  const old = w.read();
  const y = w.read().mul(3);
  w.assign(w.read().add(10));
  assert.equal([...(await w.data())], [11, 12]);
  w.assign(0);
  assert.equal([...(await w.data())], [0, 0]);
  assert.equal([...(await y.data())], [3, 6]);
  assert.equal([...(await old.data())], [1, 2]);
});

test('the value assigned stays readable after later assignments', async () => {
  const w = variable([1, 2], [2]);
  const next = w.read().mul(5);
  w.assign(next);
  const user = next.add(1);
  assert.equal([...(await w.data())], [5, 10]);
  w.assign(-1);
  assert.equal([...(await w.data())], [-1, -1]);
  assert.equal([...(await user.data())], [6, 11]);
  assert.equal([...(await next.data())], [5, 10]);
});

test('one evaluation runs all pending assignments, once', async () => {
  const a = variable([1], [1]);
  const b = variable([10], [1]);
  a.assign(a.read().add(1));
  b.assign(b.read().add(a.read()));
  const [x, y] = await data(a.read(), b.read());
  assert.equal([x[0], y[0]], [2, 12]);
  assert.equal([(await a.data())[0], (await b.data())[0]], [2, 12]);
});

test('variables can be swapped', async () => {
  const a = variable([1], [1]);
  const b = variable([2], [1]);
  const old = a.read();
  a.assign(b.read());
  b.assign(old);
  assert.equal([(await a.data())[0], (await b.data())[0]], [2, 1]);
  const swap = compile(() => {
    const before = a.read();
    a.assign(b.read());
    b.assign(before);
  });
  await swap();
  assert.equal([(await a.data())[0], (await b.data())[0]], [1, 2]);
});

test('data() cuts history, and grad through a cut tensor says so', async () => {
  const w = variable([2, 3], [2]);
  const loss = w.read().square().sum();
  await loss.data();
  throws(() => grad(loss.mul(2), [w]), GraphError, /evaluated by data\(\) before/);
});

test('grad of a loss computed from an earlier version of a variable throws', async () => {
  const w = variable([1, 2], [2], { name: 'w' });
  const loss = w.read().square().sum();
  w.assign(0);
  throws(() => grad(loss, [w]), GraphError, /earlier version of variable "w"/);
  await w.data();
  throws(() => grad(loss, [w]), GraphError, /earlier version of variable "w"/);
  const [g] = grad(w.read().sub(1).square().sum().add(loss), [w]);
  assert.equal([...(await g.data())], [-2, -2]);
});

test('detach cuts the gradient alone', async () => {
  const w = variable([2, 3], [2]);
  const loss = w.read().mul(w.read().detach()).sum();
  const [g] = grad(loss, [w]);
  assert.equal([...(await g.data())], [2, 3]);
});

test('second derivatives', async () => {
  const w = variable([2, -3], [2]);
  const [first] = grad(w.read().pow(3).sum(), [w]);
  const [second] = grad(first.sum(), [w]);
  const result = await second.data();
  assert.ok(Math.abs(result[0] - 12) < 1e-4 && Math.abs(result[1] + 18) < 1e-4, `${[...result]}`);
});

test('a parameter that the loss does not touch has a gradient of zeros', async () => {
  const w = variable([1, 2], [2]);
  const u = variable([5], [1]);
  const [g] = grad(w.read().sum(), [u]);
  assert.equal([...(await g.data())], [0]);
});

test('keep() holds a computed value on the device', async () => {
  const kept = keep(tensor([1, 2]).mul(4), { name: 'kept' });
  assert.equal([...(await kept.data())], [4, 8]);
});

test('data() and branches inside a traced function throw and name the line', async () => {
  const asks = compile((x: ReturnType<typeof tensor>) => {
    void x.data();
    return x;
  });
  await rejects(() => asks(tensor([1])), GraphError, /data\(\).*semantics\.test\.ts:\d+/);
  const branches = compile((x: ReturnType<typeof tensor>) => ((x as unknown as number) > 0 ? x : x.neg()));
  await rejects(() => branches(tensor([1])), GraphError, /number or condition.*semantics\.test\.ts:\d+/);
});

test('a compiled function called inside a traced one throws there', async () => {
  const inner = compile((x: ReturnType<typeof tensor>) => x.neg(), { name: 'inner' });
  const outer = compile((x: ReturnType<typeof tensor>) => {
    void inner(x);
    return x;
  });
  await rejects(() => outer(tensor([1])), GraphError, /"inner" is called inside.*semantics\.test\.ts:\d+/);
});

test('an asynchronous function cannot be traced', async () => {
  const f = compile((async (x: unknown) => x) as never) as unknown as (x: unknown) => Promise<unknown>;
  await rejects(() => f(tensor([1])), GraphError, /asynchronous/);
});

test('a captured number is a constant, an argument is not', async () => {
  let captured = 2;
  const f = compile((x: ReturnType<typeof tensor>, k: number | ReturnType<typeof tensor>) => x.mul(captured).add(k as number));
  assert.equal([...(await (await f(tensor([1, 2]), 1)).data())], [3, 5]);
  captured = 100;
  assert.equal([...(await (await f(tensor([1, 2]), 5)).data())], [7, 9]);
  assert.is(f.programs.length, 1);
});

test('a reading of a variable and a computed tensor are arguments like any other', async () => {
  const w = variable([1, 2], [2]);
  const f = compile((x: ReturnType<typeof tensor>, y: ReturnType<typeof tensor>) => x.mul(2).add(y));
  assert.equal([...(await (await f(w.read(), w.read().add(1))).data())], [4, 7]);
});

test('attributes that JSON cannot tell apart are told apart', async () => {
  const x = tensor([1]);
  for (const value of [-Infinity, Infinity, NaN, 0, -0]) {
    const [, got] = await pad(x, [0], [1], { value }).data();
    assert.ok(Object.is(got, value), `${got} for ${value}`);
  }
});

test('a captured tensor is evaluated once and becomes an input', async () => {
  const table = tensor([1, 2, 3]).mul(10);
  const f = compile((x: ReturnType<typeof tensor>) => x.add(table));
  assert.equal([...(await (await f(tensor([1, 1, 1]))).data())], [11, 21, 31]);
  assert.equal([...(await (await f(tensor([2, 2, 2]))).data())], [12, 22, 32]);
});

test('a reading of a variable captured from outside is refused', async () => {
  const w = variable([1], [1], { name: 'outer' });
  const reading = w.read();
  const f = compile((x: ReturnType<typeof tensor>) => x.add(reading));
  await rejects(() => f(tensor([1])), GraphError, /"outer"/);
});

test('a compiled function updates variables at every call', async () => {
  const w = variable([1, 1], [2], { name: 'w' });
  const step = compile((x: ReturnType<typeof tensor>, rate: number) => {
    const loss = w.read().mul(x).sum();
    const [g] = grad(loss, [w]);
    w.assign(w.read().sub(g.mul(rate)));
    return loss;
  });
  const losses = [];
  for (let i = 0; i < 3; i++) losses.push(await (await step(tensor([1, 2]), 0.5)).item());
  assert.equal(losses, [3, 0.5, -2]);
  assert.equal([...(await w.data())], [-0.5, -2]);
});

test('what was assigned outside is seen by the next call, and old readings survive it', async () => {
  const w = variable([1], [1]);
  const step = compile(() => {
    w.assign(w.read().add(1));
    return w.read();
  });
  await step();
  const before = w.read().mul(10);
  w.assign(7);
  const result = await step();
  assert.is(await result.item(), 8);
  assert.is((await before.data())[0], 20);
});

test('results are read late, within four calls', async () => {
  const f = compile((x: ReturnType<typeof tensor>) => x.mul(2));
  const results: ReturnType<typeof tensor>[] = [];
  for (let i = 0; i < 5; i++) results.push(await f(tensor([i])));
  for (const i of [1, 2, 3, 4]) assert.is(await results[i].item(), 2 * i);
  await rejects(() => results[0].data(), GraphError, /overwritten by call 5/);
});

test('a result feeds another function', async () => {
  const f = compile((x: ReturnType<typeof tensor>) => x.mul(2));
  const y = await f(tensor([1, 2]));
  const z = await f(y);
  assert.equal([...(await z.data())], [4, 8]);
  assert.equal([...(await y.add(1).data())], [3, 5]);
});

test('the third trace of one function warns with the shapes', async () => {
  const seen = capture();
  try {
    const f = compile((x: ReturnType<typeof tensor>) => x.add(1), { name: 'growing' });
    for (const n of [1, 2, 3]) await f(tensor(new Float32Array(n)));
    assert.is(seen.lines.length, 1);
    assert.match(seen.lines[0], /growing.*float32\[2\].*float32\[3\]/);
  } finally {
    seen.restore();
  }
});

test('results keep the structure of what was returned', async () => {
  const f = compile((x: { a: ReturnType<typeof tensor>; b: readonly ReturnType<typeof tensor>[] }) =>
    ({ sum: x.a.add(x.b[0]), list: [x.b[1].neg()] }));
  const out = await f({ a: tensor([1]), b: [tensor([2]), tensor([3])] });
  assert.is(await out.sum.item(), 3);
  assert.is(await out.list[0].item(), -3);
});

test('disposal: a variable used afterwards throws by name; so does a Program that used it', async () => {
  const w = variable([1], [1], { name: 'gone' });
  const f = compile(() => w.read().add(1));
  await f();
  w.dispose();
  await rejects(() => w.data(), GraphError, /"gone" was disposed/);
  await rejects(() => f(), GraphError, /disposed/);
  const g = compile((x: ReturnType<typeof tensor>) => x);
  await g(tensor([1]));
  g.dispose();
  await rejects(() => g(tensor([1])), GraphError, /disposed/);
});

test('variables of two devices do not mix', async () => {
  const other = await device('cpu', { threads: 1 });
  const a = variable([1], [1], { name: 'a', device: cpu });
  const b = variable([1], [1], { name: 'b', device: other });
  await rejects(() => a.read().add(b.read()).data(), GraphError, /lives on/);
});

test('data() is typed by dtype', async () => {
  const floats: Float32Array = await tensor([1]).data();
  const integers: Int32Array = await tensor([1], [1], 'int32').data();
  const flags: Uint8Array = await tensor([1]).greater(0).data();
  assert.instance(floats, Float32Array);
  assert.instance(integers, Int32Array);
  assert.equal([...flags], [1]);
});

test.after(() => cpu.dispose());
test.run();
