/** Where the control block's words lie, shared with kernels/wasm/threads.ts (which has them as constants of its own). */
export const SCRATCH_BYTES = 1 << 20;

/** Byte offsets in the control block. */
export const control = { generation: 0, current: 320, commands: 384, end: 388, times: 392, bytes: 512 } as const;

/** Bytes below this are the compiler's (constants of the kernels) and the control block's. */
export const CONTROL_ADDRESS = 65536 - control.bytes;
export const HEAP_START = 65536;

/** Values start at multiples of this many bytes. */
export const ALIGNMENT = 256;

/** Words of one command: kernel, tiles, address of its arguments, unused. */
export const COMMAND_BYTES = 16;

/** Exports of the module that are no kernels. */
export const notKernels: ReadonlySet<string> = new Set(['memory', 'table', 'walk', 'begin', 'launch', 'sleep', 'awaitWork']);
