// time limit: 60 s
/** The tuner by itself, with trials that are made up: what it does where measuring fails, takes too long, or gives other bits. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { WebgpuLaunch } from '../../src/device/types.ts';
import type { Choices, Trials } from '../../src/device/tuner.ts';
import { Tuner, tuningKey } from '../../src/device/tuner.ts';

/** A launch of three variants; what they take is in their replacements. */
function launch(shader: string, ms: readonly number[], bits: readonly number[] = [0, 0, 0]): WebgpuLaunch {
  const variants = ms.map((m, i) => ({ name: `variant ${i}`, grid: [i + 1, 1, 1] as const, replace: { MS: m, BITS: bits[i], TILE: i } }));
  return { shader, uniforms: [], bindings: [], grid: variants[0].grid, replace: variants[0].replace, variants, tuning: '1' };
}

interface Made {
  readonly trials: Trials<WebgpuLaunch>;
  /** What was asked for, in order. */
  readonly asked: string[];
}

function made(parts: Partial<Trials<WebgpuLaunch>> = {}): Made {
  const asked: string[] = [];
  const trials: Trials<WebgpuLaunch> = {
    compile: async (launches) => { asked.push(`compile ${launches.map(({ shader }) => shader).join()}`); },
    open: async ({ shader }) => {
      asked.push(`open ${shader}`);
      return {
        time: async ({ replace }) => replace!.MS as number,
        bits: async ({ replace }) => [Uint8Array.of(replace!.BITS as number)],
        dispose: () => { asked.push(`dispose ${shader}`); },
      };
    },
    ...parts,
  };
  return { trials, asked };
}

/** Numbers of the variants that a tuner chooses. */
async function choose(tuner: Tuner<WebgpuLaunch>, launches: readonly WebgpuLaunch[]): Promise<number[]> {
  return (await tuner.choose(launches)).map(({ grid }) => grid[0] - 1);
}

function tunerOf(trials: Trials<WebgpuLaunch>, kept: Choices = {}): { tuner: Tuner<WebgpuLaunch>; log: string[]; saved: Choices[] } {
  const log: string[] = [];
  const saved: Choices[] = [];
  const store = { load: async () => ({ ...kept }), save: async (_: string, choices: Choices) => { saved.push({ ...choices }); } };
  return { tuner: new Tuner({ mode: 'measure', store }, 'made up', trials, {}, (line) => log.push(line)), log, saved };
}

test('the fastest is chosen and kept; pipelines of all are asked for before the first is timed, the defaults first', async () => {
  const { trials, asked } = made();
  const { tuner, log, saved } = tunerOf(trials);
  const launches = [launch('a', [3, 1, 2]), launch('b', [1, 2, 3])];
  assert.equal(await choose(tuner, launches), [1, 0]);
  assert.equal(asked, ['compile a,b', 'compile a,a,a', 'compile b,b,b', 'open a', 'dispose a', 'open b', 'dispose b']);
  assert.equal(await choose(tuner, launches), [1, 0]);
  assert.is(asked.length, 7);
  assert.is(tuner.measurements, 6);
  assert.equal(log, []);
  assert.equal(saved, [{ [tuningKey(launches[0])]: 'variant 1', [tuningKey(launches[1])]: 'variant 0' }]);
});

test('a variant of other bits is passed over, for the next fastest of the same', async () => {
  const { tuner, log } = tunerOf(made().trials);
  assert.equal(await choose(tuner, [launch('a', [3, 1, 2], [0, 1, 0]), launch('b', [3, 2, 1], [0, 1, 1])]), [2, 0]);
  assert.is(log.length, 3);
  assert.match(log[0], /a: "variant 1" gives other bits than "variant 0"/);
});

test('what cannot be measured keeps its default, is named, and is not tried again or kept', async () => {
  const { open } = made().trials;
  let opened = 0;
  const { tuner, log, saved } = tunerOf({
    compile: async (launches) => { if (launches[0].shader === 'broken') throw new Error('does not compile'); },
    open: async (l) => {
      opened++;
      if (l.shader === 'large') throw new Error('no room');
      return open(l);
    },
  });
  const launches = [launch('large', [3, 1, 2]), launch('broken', [3, 1, 2]), launch('a', [3, 1, 2])];
  for (let i = 0; i < 2; i++) assert.equal(await choose(tuner, launches), [0, 0, 1]);
  assert.is(opened, 2);
  assert.is(log.length, 2);
  assert.match(log[0], /large keeps its default \(large\|.*\): no room/);
  assert.match(log[1], /broken keeps its default .*: does not compile/);
  assert.equal(saved, [{ [tuningKey(launches[2])]: 'variant 1' }]);
});

test('operands are given back where a variant fails', async () => {
  const { trials, asked } = made();
  const { tuner } = tunerOf({
    ...trials, open: async (l) => ({ ...await trials.open(l), time: async () => { throw new Error('lost'); } }),
  });
  assert.equal(await choose(tuner, [launch('a', [3, 1, 2])]), [0]);
  assert.is(asked.at(-1), 'dispose a');
});

test('compilers that take too long are not waited for: it says how much is left, and measures it the next time', async () => {
  let answer = (): void => {};
  const slow = new Promise<void>((resolve) => { answer = resolve; });
  const { trials } = made();
  const { tuner, log } = tunerOf({ ...trials, compile: (launches) => (launches[0].shader === 'slow' ? slow : trials.compile(launches)) });
  const launches = [launch('quick', [3, 1, 2]), launch('slow', [3, 1, 2])];
  assert.equal(await choose(tuner, launches), [1, 0]);
  assert.equal(log, ['fovea: tuning: 1 of 2 kinds of launches keep their default for now: 4 s are up']);
  answer();
  assert.equal(await choose(tuner, launches), [1, 1]);
});

test.run();
