import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device, setDefaultDevice } from '../../src/device/index.ts';
import type { Device, PlacedLaunch } from '../../src/device/types.ts';
import { compile, grad, tensor, variable } from '../../src/fovea.ts';
import { getOp } from '../../src/graph/op.ts';
import { runReference } from '../../src/graph/reference.ts';
import { where } from '../../src/ops/where.ts';
import { apply1 } from '../../src/tensor/tensor.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { PhiloxStream } from '../../src/random/philox.ts';

const cpu = await device('cpu', { threads: 2 });
setDefaultDevice(cpu);

const seen: PlacedLaunch[] = [];

/** A device with memory laid out as WebGPU needs it, so that the planning of slots is tested everywhere. */
const withSlots = (real: Device): Device => new Proxy(real, {
  get(target, key) {
    if (key === 'memory') return { ...target.memory, arena: 'slots' };
    if (key === 'build') {
      return (launches: readonly PlacedLaunch[]) => {
        seen.push(...launches);
        return target.build(launches);
      };
    }
    const value = Reflect.get(target, key, target);
    return typeof value === 'function' ? value.bind(target) : value;
  },
});
const slotted = withSlots(cpu);

const concat = (axis: number, ...xs: Tensor[]): Tensor => apply1(getOp('concat'), xs, { axis });

/** A random graph of ops that the planner treats specially: views, concatenations, in-place ops, several users. */
function randomGraph(stream: PhiloxStream, inputs: Tensor[]): Tensor[] {
  const pool: Tensor[] = [...inputs];
  const pick = (): Tensor => pool[stream.int(pool.length)];
  for (let i = 0; i < 14; i++) {
    const x = pick();
    const same = pool.filter((t) => t.shape.join() === x.shape.join());
    const last = x.rank - 1;
    switch (stream.int(9)) {
      case 0: pool.push(x.relu()); break;
      case 1: pool.push(x.mul(0.5).add(same[stream.int(same.length)])); break;
      case 2: pool.push(concat(last, x, same[stream.int(same.length)].mul(2), x)); break;
      case 3: pool.push(concat(stream.int(x.rank), x.neg(), x.abs())); break;
      case 4: {
        const axis = stream.int(x.rank);
        const n = 1 + stream.int(x.shape[axis]);
        const begin = x.shape.map((d, a) => (a === axis ? stream.int(d - n + 1) : 0));
        pool.push(x.slice(begin, x.shape.map((d, a) => (a === axis ? n : d))));
        break;
      }
      case 5: pool.push(x.reshape([-1, x.shape[last]])); break;
      case 6: pool.push(x.reshape([x.size / x.shape[last], x.shape[last]]).add(1).reshape(x.shape)); break;
      case 7: pool.push(x.reshape([x.shape[last], -1])); break;
      default: pool.push(x.sigmoid().sub(x)); break;
    }
    if (pool[pool.length - 1].size > 4000) pool.pop();
  }
  return [pool[pool.length - 1], pick(), pick()];
}

for (const [name, target] of [['slab', cpu], ['slots', slotted]] as const) {
  test(`150 random graphs compute what the reference does (${name})`, async () => {
    for (let seed = 0; seed < 150; seed++) {
      const stream = new PhiloxStream(seed);
      const shape = [1 + stream.int(3), 1 + stream.int(4), 1 + stream.int(5)];
      const make = (): Tensor => tensor(Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, () => stream.uniform() * 2 - 1), shape);
      const args = [make(), make()];
      let expected: Float64Array[] = [];
      const f = compile((a: Tensor, b: Tensor) => {
        const out = randomGraph(new PhiloxStream(seed + 10_000), [a, b]);
        expected = runReference(out.map((t) => t.value), (leaf) =>
          leaf.source.kind === 'argument' ? (args[leaf.source.position].value.node as never as { source: { data: Float32Array } }).source.data : undefined);
        return out;
      }, { device: target, recompute: seed % 2 === 1 });
      for (let call = 0; call < 2; call++) {
        const results = await f(args[0], args[1]);
        for (let i = 0; i < results.length; i++) {
          const got = await results[i].data();
          const worst = Math.max(0, ...Array.from(got, (x, k) => Math.abs(x - expected[i][k])));
          assert.ok(worst < 1e-4, `seed ${seed}, call ${call}, output ${i} ${results[i]}: off by ${worst}`);
        }
      }
      f.dispose();
    }
  });
}

test('planned for slots, no launch reads one part of a buffer and writes another', () => {
  assert.ok(seen.length > 1000);
  for (const { launch, node } of seen) {
    const places = (launch as { args: readonly unknown[] }).args
      .map((a) => (a as { address?: { buffer: unknown; offset?: number; shape?: unknown } }).address).filter((p) => p?.shape);
    // Elementwise kernels take their output first, copies last.
    const first = (launch as { kernel: string }).kernel.startsWith('ew_');
    const out = places.at(first ? 0 : -1)!;
    for (const p of first ? places.slice(1) : places.slice(0, -1)) {
      assert.ok(p!.buffer !== out.buffer || p!.offset === out.offset, `${node} reads and writes ${(p!.buffer as { label: string }).label}`);
    }
  }
});

test('concatenation along the last axis costs no copy, also nested and in an Inception-like block', async () => {
  const f = compile((x: Tensor) => {
    const branch = (k: number): Tensor => x.mul(k).relu();
    return concat(2, branch(1), concat(2, branch(2), branch(3)), branch(4)).add(1);
  });
  const x = tensor(new Float32Array(2 * 3 * 4).fill(1), [2, 3, 4]);
  await f(x);
  const steps = (await f.programs[0].profile()).map((r) => r.label);
  assert.not.ok(steps.some((s) => /copy/.test(s)), steps.join(' '));
});

test('elementwise chains run in place: the plan takes two buffers where there are ten values', async () => {
  const f = compile((x: Tensor) => {
    let y = x;
    for (let i = 0; i < 10; i++) y = y.mul(1.1).relu();
    return y.sum();
  });
  const { planned, naive, bound } = await f.prepare(tensor(new Float32Array(10_000)));
  assert.ok(planned <= 40_960 * 2, `${planned}`);
  assert.ok(naive >= 20 * 40_000, `${naive}`);
  assert.ok(planned <= bound * 1.05, `${planned} of ${bound}`);
});

test('what is averaged into a variable is computed where that lies, unless its old value is still wanted', async () => {
  const moving = variable(Float32Array.of(1, 2), [2], { name: 'moving', trainable: false });
  const wanted = variable(0, [], { name: 'wanted', trainable: false });
  const f = compile((x: Tensor) => {
    const old = moving.read();
    moving.assign(where(wanted.read().equal(0), old.mul(0.5).add(x.mul(0.5)), old));
  });
  const g = compile((x: Tensor) => {
    const old = moving.read();
    moving.assign(old.add(x));
    return old.mul(2).add(moving.read());
  });
  const x = tensor(Float32Array.of(3, 4), [2]);
  await f(x);
  const steps = (await f.programs[0].profile()).map((r) => r.label);
  assert.not.ok(steps.some((s) => /copy/.test(s)), steps.join(' '));
  // Once by the call, once by the profile.
  assert.equal(Array.from(await moving.data()), [2.5, 3.5]);
  assert.equal(Array.from(await (await g(x)).data()), [10.5, 14.5]);
  assert.equal(Array.from(await moving.data()), [5.5, 7.5]);
  for (const one of [f, g, moving, wanted]) one.dispose();
});

test('values without elements are computed first of all on a new device', async () => {
  const fresh = await device('cpu', { threads: 1, relaxedSimd: false });
  for (const target of [fresh, withSlots(fresh)]) {
    const f = compile((x: Tensor) => x.mul(2).relu().neg(), { device: target });
    assert.equal([...(await (await f(tensor(new Float32Array(0), [0, 4]))).data())], []);
  }
  fresh.dispose();
});

test('a gradient arena is written straight by its producers', async () => {
  const w = variable(new Float32Array(12).fill(1), [3, 4]);
  const u = variable(new Float32Array(4).fill(2), [4]);
  const f = compile((x: Tensor) => {
    const [gw, gu] = grad(x.matmul(w.read()).add(u).square().sum(), [w, u]);
    return apply1(getOp('concatFlat'), [gw, gu], { starts: [0, 64], total: 128, persistent: true }).mul(1);
  });
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  const out = await (await f(x)).data();
  assert.is(out[63], 0);
  assert.is(out[64], 2 * ((6 + 2) + (15 + 2)));
});

test.after(() => cpu.dispose());
test.run();
