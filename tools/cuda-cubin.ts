/** What a cubin says of its kernel: registers, shared and local memory. A cubin is an ELF file; NVIDIA's sections of it are not documented. */

export interface Resources {
  readonly registers: number;
  /** Bytes of shared memory that it declares. */
  readonly shared: number;
  /** Bytes of local memory a thread: where there are none, nothing is spilled. */
  readonly local: number;
}

/** Bytes of shared memory that the system keeps of every block's. */
const RESERVED = 1024;

/** Entries of .nv.info (EIATTR_REGCOUNT, EIATTR_FRAME_SIZE), each with a symbol and a value; names as in NVIDIA's cuobjdump. */
const Attribute = { registers: 0x2f, frame: 0x11 } as const;
/** An entry's form: two bytes of form and attribute, then either two bytes of value or their number and as many bytes. */
const SIZED = 4;

interface Section { readonly name: string; readonly type: number; readonly start: number; readonly size: number }

function sectionsOf(view: DataView): Section[] {
  if (view.getUint32(0) !== 0x7f454c46) throw new Error('not an ELF file');
  const table = Number(view.getBigUint64(0x28, true));
  const [entry, count, names] = [0x3a, 0x3c, 0x3e].map((at) => view.getUint16(at, true));
  const word = (i: number, at: number): number => Number(view.getBigUint64(table + i * entry + at, true));
  const text = (at: number): string => {
    let end = at;
    while (view.getUint8(end) !== 0) end++;
    return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, end - at));
  };
  const start = word(names, 0x18);
  return Array.from({ length: count }, (_, i) => ({
    name: text(start + view.getUint32(table + i * entry, true)),
    type: view.getUint32(table + i * entry + 4, true), start: word(i, 0x18), size: word(i, 0x20),
  }));
}

/**
 * @param capability of what it is compiled for: 80 or 90
 * @throws Error where it is no cubin of one kernel of that name
 */
export function resourcesOf(cubin: Uint8Array, kernel: string, capability: number): Resources {
  const view = new DataView(cubin.buffer, cubin.byteOffset, cubin.byteLength);
  const sections = sectionsOf(view);
  const info = sections.find(({ name }) => name === '.nv.info');
  if (info === undefined || !sections.some(({ name }) => name === `.text.${kernel}`)) throw new Error(`no cubin of a kernel ${kernel}`);
  const values = new Map<number, number>();
  for (let at = info.start; at < info.start + info.size;) {
    const [form, attribute, size] = [view.getUint8(at), view.getUint8(at + 1), view.getUint16(at + 2, true)];
    if (form === SIZED && size === 8) values.set(attribute, view.getUint32(at + 8, true));
    at += form === SIZED ? 4 + size : 4;
  }
  const [registers, local] = [values.get(Attribute.registers), values.get(Attribute.frame)];
  if (registers === undefined || local === undefined) throw new Error(`the cubin of ${kernel} does not say what it uses`);
  const shared = sections.find(({ name }) => name === `.nv.shared.${kernel}`)?.size ?? 0;
  // On Hopper, where it declares any, the kilobyte that the system keeps is part of it.
  return { registers, local, shared: capability >= 90 ? Math.max(0, shared - RESERVED) : shared };
}

/** A multiprocessor of compute capability 8.0 and 9.0 (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"). */
const multiprocessor = { registers: 65536, warps: 64, blocks: 32, shared: { 80: 164 << 10, 90: 228 << 10 } as Readonly<Record<number, number>> };

/** Part of a multiprocessor's warps that can be there at once; 0 where a block does not fit. */
export function occupancy({ registers, shared }: Resources, threads: number, dynamic: number, capability: number): number {
  const warps = Math.ceil(threads / 32);
  // Registers are given to warps in units of 256, and warps have them by fours.
  const byRegisters = Math.floor(multiprocessor.registers / (Math.ceil(registers * 32 / 256) * 256) / 4) * 4;
  const bytes = Math.ceil((shared + dynamic + RESERVED) / 128) * 128;
  const blocks = Math.min(multiprocessor.blocks, Math.floor(multiprocessor.warps / warps), Math.floor(byRegisters / warps),
    Math.floor(multiprocessor.shared[capability] / bytes));
  return blocks * warps / multiprocessor.warps;
}
