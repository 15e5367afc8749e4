/**
 * The walk: every thread goes through the same list of launches, claiming tiles by an atomic counter.
 *
 *   for each launch:  while (t = next++) < tiles:  kernel(args, t, scratch);   barrier
 *
 * A command is four words: table index of the kernel, tiles, address of its arguments, unused. The barrier counts arrivals; the
 * last to arrive resets the counters and raises the phase on which the others spin, then sleep. Each word of the control block
 * that several threads write has a cache line of its own.
 *
 * `sleep` is called through the function table, because it must never be inlined: Liftoff of Node 20 loses the locals of a
 * function across memory.atomic.wait32.
 */

/** Private memory of a thread, passed to every kernel. src/device/cpu/layout.ts has the same figure. */
export const SCRATCH_BYTES: usize = 1 << 20;

// Byte offsets in the control block; src/device/cpu/layout.ts has the same.
const GENERATION: usize = 0;
const NEXT_TILE: usize = 64;
const ARRIVED: usize = 128;
const PHASE: usize = 192;
const SLEEPERS: usize = 256;
const CURRENT: usize = 320;

/** Looks at an atomic this often before sleeping: some 20 microseconds. */
const SPINS: i32 = 20000;

// @ts-ignore: decorators on functions are AssemblyScript
@external("env", "now")
declare function now(): f64;

/** Nothing else may stand in this function: see above. */
export function sleep(address: usize, expected: i32): void {
  atomic.wait<i32>(address, expected, -1);
}

/** Waits until the word at `address` is no longer `value`. `sleeper` is the table index of `sleep`. */
function awaitChange(control: usize, word: usize, value: i32, sleeper: u32): void {
  const address = control + word;
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(address) != value) return;
  }
  atomic.add<i32>(control + SLEEPERS, 1);
  while (atomic.load<i32>(address) == value) call_indirect<void>(sleeper, address, value);
  atomic.sub<i32>(control + SLEEPERS, 1);
}

function barrier(control: usize, threads: i32, sleeper: u32): void {
  const phase = atomic.load<i32>(control + PHASE);
  if (atomic.add<i32>(control + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(control + ARRIVED, 0);
    atomic.store<i32>(control + NEXT_TILE, 0);
    atomic.add<i32>(control + PHASE, 1);
    if (atomic.load<i32>(control + SLEEPERS) > 0) atomic.notify(control + PHASE, -1);
  } else {
    awaitChange(control, PHASE, phase, sleeper);
  }
}

/** Blocks until the generation is another than `seen`, and returns it. */
export function awaitWork(control: usize, seen: i32, sleeper: u32): i32 {
  awaitChange(control, GENERATION, seen, sleeper);
  return atomic.load<i32>(control + GENERATION);
}

/** Runs launches `first` to `last` - 1. With `times`, thread 0 writes there when each was done, in milliseconds. */
export function walk(
  control: usize, commands: usize, first: i32, last: i32, thread: i32, threads: i32, scratch: usize, times: usize,
  sleeper: u32,
): void {
  if (times != 0 && thread == 0) store<f64>(times, now());
  for (let i = first; i < last; i++) {
    const command = commands + ((<usize>i) << 4);
    const kernel = load<u32>(command);
    const tiles = load<i32>(command, 4);
    const args = load<usize>(command, 8);
    if (thread == 0) store<i32>(control + CURRENT, i);
    if (threads == 1) {
      for (let t = 0; t < tiles; t++) call_indirect<void>(kernel, args, t, scratch);
    } else {
      let t = atomic.add<i32>(control + NEXT_TILE, 1);
      while (t < tiles) {
        call_indirect<void>(kernel, args, t, scratch);
        t = atomic.add<i32>(control + NEXT_TILE, 1);
      }
      barrier(control, threads, sleeper);
    }
    if (times != 0 && thread == 0) store<f64>(times + ((<usize>(i + 1)) << 3), now());
  }
}
