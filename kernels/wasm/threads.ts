/**
 * The walk: all threads take tiles of the launch whose turn it is, by one atomic word, the ticket: address of the launch's command above,
 * a count below that reaches LIMIT when all tiles are taken.
 *
 *   repeat:  (command, count) = ticket++;   count < LIMIT:  kernel(args, tile, scratch); who has done the last tile hands out the next command
 *                                           else:           wait until it is handed out
 *
 * A launch ends when its tiles are done, not when all threads were there: one that another process keeps from its core holds up nothing
 * but a tile that it has begun. It may come back in a later launch or run, since the ticket alone says whether it has taken a tile. A command is four
 * words: table index of the kernel, tiles, address of its arguments, unused. Each word of the control block that several threads write
 * has a cache line of its own.
 *
 * `sleep` is called through the function table, because it must never be inlined: Liftoff of Node 20 loses the locals of a
 * function across memory.atomic.wait32.
 */

/** Private memory of a thread, passed to every kernel. src/device/cpu/layout.ts has the same figure. */
export const SCRATCH_BYTES: usize = 1 << 20;

// Byte offsets in the control block; src/device/cpu/layout.ts has the same.
const GENERATION: usize = 0;
const TICKET: usize = 64;
const DONE: usize = 128;
/** Counts the commands handed out. */
const PHASE: usize = 192;
const SLEEPERS: usize = 256;
const CURRENT: usize = 320;
/** Of the run: addresses of its first command, of the one after its last, and of the times or 0. */
const COMMANDS: usize = 384;
const END: usize = 388;
const TIMES: usize = 392;

const COMMAND_BYTES: usize = 16;

const LIMIT: u32 = 0x80000000;

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

/** Blocks until the generation is another than `seen`, and returns it. */
export function awaitWork(control: usize, seen: i32, sleeper: u32): i32 {
  awaitChange(control, GENERATION, seen, sleeper);
  return atomic.load<i32>(control + GENERATION);
}

/** Hands out the first command from `command` on that has tiles, or, at the run's end, none. Returns whether there was one. */
function handOut(control: usize, command: usize): bool {
  const commands = load<usize>(control + COMMANDS), end = load<usize>(control + END), times = load<usize>(control + TIMES);
  for (;; command += COMMAND_BYTES) {
    const index = (command - commands) / COMMAND_BYTES;
    if (times != 0) store<f64>(times + (index << 3), now());
    if (command == end || load<i32>(command, 4) > 0) {
      store<i32>(control + CURRENT, <i32>index);
      break;
    }
  }
  const some = command != end;
  atomic.store<i64>(control + TICKET, some ? (<i64>command) << 32 | (LIMIT - load<u32>(command, 4)) : 0);
  atomic.add<i32>(control + PHASE, 1);
  if (atomic.load<i32>(control + SLEEPERS) > 0) atomic.notify(control + PHASE, -1);
  return some;
}

/** Takes part in the run, if there is one. Returns whether this thread has ended it. */
export function walk(control: usize, scratch: usize, sleeper: u32): bool {
  while (true) {
    const phase = atomic.load<i32>(control + PHASE);
    const ticket = atomic.add<i64>(control + TICKET, 1);
    const command = <usize>(<u64>ticket >> 32);
    if (command == 0) return false;
    const count = <u32>ticket;
    if (count >= LIMIT) {
      awaitChange(control, PHASE, phase, sleeper);
      continue;
    }
    // Only now is the command sure to be there: a launch does not end before its tiles.
    const tiles = load<i32>(command, 4), t = tiles - <i32>(LIMIT - count);
    call_indirect<void>(load<u32>(command), load<usize>(command, 8), t, scratch);
    if (atomic.add<i32>(control + DONE, 1) < tiles - 1) continue;
    atomic.store<i32>(control + DONE, 0);
    if (!handOut(control, command + COMMAND_BYTES)) return true;
  }
}

/** Begins a run whose words are written: true where it has ended already, since none of its launches has tiles. */
export function begin(control: usize): bool {
  return !handOut(control, load<usize>(control + COMMANDS));
}

/** One launch, where there are no other threads. */
export function launch(command: usize, scratch: usize): void {
  const tiles = load<i32>(command, 4);
  for (let t = 0; t < tiles; t++) call_indirect<void>(load<u32>(command), load<usize>(command, 8), t, scratch);
}
