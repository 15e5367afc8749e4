import type { Device, DeviceBuffer, Executable, HostData, Launch, Lowering, Placed, PlacedLaunch, Scratch } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { copyLaunch } from '../device/copy.ts';
import { DeviceError, GraphError } from '../errors.ts';
import { allocateSlab, allocateSlots, livenessBound } from './allocate.ts';
import type { Arena } from './arena.ts';
import { arenaOf } from './arena.ts';
import type { Leaf } from './leaves.ts';
import { fromDeviceData, isLeaf, toDeviceData } from './leaves.ts';
import type { Attrs, Node, Value } from './node.ts';
import type { Assignment } from './order.ts';
import { schedule } from './order.ts';
import { assertBindable, explain } from './out-of-memory.ts';
import type { Layout, Plan, Root } from './plan.ts';
import { plan } from './plan.ts';
import { mixed } from './mixed.ts';
import type { HostTensor, Op } from './op.ts';
import { rewrite } from './rewrite.ts';
import type { VariableCell } from './variable-cell.ts';

/** What a Program holds and would hold, in bytes. */
export interface ProgramMemory {
  /** Temporaries as planned in the arena. */
  readonly planned: number;
  /** The same without sharing. */
  readonly naive: number;
  /** The most that is alive at one step: a lower bound of `planned`. */
  readonly bound: number;
  /** Inputs, constants, outputs and the flat gradient arena. */
  readonly own: number;
  /** Variables that the Program reads or writes. */
  readonly variables: number;
}

export interface ProgramSpec {
  readonly device: Device;
  readonly requested: readonly Value[];
  readonly assignments: readonly Assignment[];
  /** Leaves written before each run, in the order of `run`'s argument. All other host leaves are uploaded once. */
  readonly inputs: readonly Leaf[];
  /** False keeps the graph as recorded; tests compare both. */
  readonly fuse?: boolean;
  /** True rewrites the graph for mixed precision (graph/mixed.ts). */
  readonly mixed?: boolean;
}

interface HostStep {
  readonly node: Node;
  readonly inputs: readonly Placed[];
  readonly outputs: readonly Placed[];
}

type Segment = { readonly kind: 'device'; readonly executable: Executable } | ({ readonly kind: 'host' } & HostStep);

/**
 * A graph made ready to run again and again: ordered, planned, its memory allocated and its launches encoded. A run writes the
 * inputs, replays the segments and leaves the asked-for values in buffers of the Program.
 */
export class Program {
  readonly device: Device;
  readonly memory: ProgramMemory;
  readonly launchCount: number;
  /** Names of the rewrites that were applied. */
  readonly rewrites: readonly string[];
  readonly cells: readonly VariableCell[];
  readonly assigned: readonly VariableCell[];
  readonly #arena: Arena;
  readonly #plan: Plan;
  readonly #slotBytes: readonly number[];
  readonly #inputs: readonly Leaf[];
  readonly #pinned = new Map<Root, DeviceBuffer>();
  readonly #owned: DeviceBuffer[] = [];
  readonly #leafRoots = new Map<Leaf, Root>();
  #segments: Segment[] = [];
  #generation = -1;
  #disposed = false;

  private constructor(spec: ProgramSpec, plan: Plan, rewrites: readonly string[]) {
    const { device, inputs } = spec;
    this.device = device;
    this.#plan = plan;
    this.#inputs = inputs;
    this.rewrites = rewrites;
    this.#arena = arenaOf(device);
    const { alignment, arena } = device.memory;
    const temporaries = plan.roots.filter((r) => r.pinned === undefined && r.last >= 0);
    // Values without elements need a buffer too: launches name it.
    this.#slotBytes = temporaries.length === 0 ? []
      : arena === 'slab' ? [allocateSlab(temporaries, alignment)] : allocateSlots(temporaries, alignment);
    this.cells = [...new Set(plan.roots.flatMap(({ pinned }) => (pinned?.kind === 'variable' ? [pinned.cell] : [])))];
    this.assigned = spec.assignments.map((a) => a.cell);
    this.launchCount = plan.steps.length;
    const own = plan.roots.filter((r) => r.pinned !== undefined && r.pinned.kind !== 'variable');
    this.memory = {
      planned: this.#slotBytes.reduce((a, b) => a + b, 0),
      naive: plan.naiveBytes,
      bound: livenessBound(temporaries, alignment),
      own: own.reduce((sum, r) => sum + r.bytes, 0),
      variables: this.cells.reduce((sum, c) => sum + c.bytes, 0),
    };
  }

  /** Rewrites, orders, plans and encodes. Compilation errors name the kernel and the node. */
  static async create(spec: ProgramSpec): Promise<Program> {
    const { device, requested, assignments } = spec;
    const values = [...requested, ...assignments.map((a) => a.value)];
    const { roots: fused, applied } = spec.fuse === false ? { roots: values, applied: [] } : rewrite(values);
    const roots = spec.mixed ? mixed(fused) : fused;
    const wanted = roots.slice(0, requested.length);
    const assigned = assignments.map(({ cell }, i) => ({ cell, value: roots[requested.length + i] }));
    const options = {
      arena: device.memory.arena,
      scratch: (node: Node) => scratchOf(node, device.kind),
      runsOnHost: (node: Node) => kernelsOf(node, device.kind) === undefined,
    };
    const ordered = schedule(wanted, assigned);
    assertStorable(ordered.order, device);
    const program = new Program(spec, plan(ordered, wanted, assigned, options), applied);
    try {
      program.#allocate();
      await program.bind();
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** True when a run would start at once. Throws GraphError when the Program was disposed. */
  get bound(): boolean {
    this.#assertAlive();
    return this.#generation === this.#arena.generation;
  }

  /** Writes the inputs (in the order of the spec) and runs all segments. */
  async run(data: readonly (HostData | number)[]): Promise<void> {
    if (!this.bound) await this.bind();
    this.#inputs.forEach((leaf, i) => this.#writeInput(leaf, data[i]));
    for (const segment of this.#segments) {
      if (segment.kind === 'device') await segment.executable.run();
      else await this.#runOnHost(segment);
    }
  }

  /** Times each launch of one run on the inputs last written. */
  async profile(): Promise<{ label: string; node: string; ms: number }[]> {
    if (!this.bound) await this.bind();
    const rows = [];
    for (const segment of this.#segments) {
      if (segment.kind === 'device') rows.push(...(await segment.executable.profile()));
      else await this.#runOnHost(segment);
    }
    return rows;
  }

  /** The memory in which output `position` lies, contiguous. */
  outputBuffer(position: number): { buffer: DeviceBuffer; byteOffset: number; bytes: number } {
    const layout = this.#plan.outputs[position];
    const size = bytesPerElement[layout.dtype];
    return { buffer: this.#pinned.get(layout.root)!, byteOffset: layout.offset * size, bytes: sizeOf(layout.shape) * size };
  }

  async readOutput(position: number): Promise<HostData> {
    this.#assertAlive();
    const { buffer, byteOffset, bytes } = this.outputBuffer(position);
    return fromDeviceData(await this.device.read(buffer, byteOffset, bytes), this.#plan.outputs[position].dtype);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const cell of this.cells) cell.onDispose.delete(this.#onCellDisposed);
    this.#release();
    for (const buffer of this.#owned) buffer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  readonly #onCellDisposed = (): void => this.dispose();

  #assertAlive(): void {
    if (this.#disposed) throw new GraphError('the Program was disposed, or a variable that it uses was');
  }

  #release(): void {
    for (const segment of this.#segments) if (segment.kind === 'device') segment.executable.dispose();
    this.#segments = [];
  }

  /** Makes the memory that is the Program's own and finds that of its variables. */
  #allocate(): void {
    const { device } = this;
    assertBindable(this.#plan, this.#inputs, device);
    for (const cell of this.cells) cell.onDispose.add(this.#onCellDisposed);
    for (const root of this.#plan.roots) {
      const { pinned } = root;
      if (pinned === undefined) continue;
      if (pinned.kind === 'variable') {
        this.#pinned.set(root, pinned.cell.bufferOn(device));
        continue;
      }
      const buffer = this.#orExplain(() => device.allocate(root.bytes, pinned.kind));
      this.#owned.push(buffer);
      this.#pinned.set(root, buffer);
      if (pinned.kind === 'leaf') {
        this.#leafRoots.set(pinned.leaf, root);
        if (!this.#inputs.includes(pinned.leaf)) this.#writeConstant(pinned.leaf, buffer);
      }
    }
  }

  #orExplain<T>(allocate: () => T): T {
    try {
      return allocate();
    } catch (error) {
      const held = this.#owned.reduce((sum, b) => sum + b.bytes, this.#arena.bytes);
      throw explain(error, this.memory.planned + this.memory.own, held, this.#inputs, this.device);
    }
  }

  /** Encodes the launches for where the arena lies now. */
  async bind(): Promise<void> {
    const { device } = this;
    this.#orExplain(() => this.#arena.ensure(this.#slotBytes));
    this.#release();
    const segments: Segment[] = [];
    let launches: PlacedLaunch[] = [];
    const flush = async (): Promise<void> => {
      if (launches.length > 0) segments.push({ kind: 'device', executable: await device.build(launches) });
      launches = [];
    };
    for (const step of this.#plan.steps) {
      if (step.kind === 'copy') {
        const launch = copyLaunch(device.kind, this.#place(step.from), this.#place(step.to));
        launches.push({ launch, node: step.label, flop: 0 });
        continue;
      }
      const { node } = step;
      const inputs = step.inputs.map((l) => this.#place(l));
      const outputs = step.outputs.map((l) => this.#place(l));
      const lowering = kernelsOf(node, device.kind);
      if (lowering === undefined) {
        assertRunsOnHost(node, device);
        await flush();
        segments.push({ kind: 'host', node, inputs, outputs });
        continue;
      }
      const scratch = step.scratch.map((root): Scratch => ({ ...this.#locate(root), bytes: root.bytes }));
      const made: Launch[] = lowering.launches({ attrs: node.attrs, inputs, outputs, scratch });
      const flop = node.op.cost?.(node.inputs, node.outputs, node.attrs).flop ?? node.outputs[0].size;
      for (const launch of made) launches.push({ launch, node: node.label, site: node.site, flop: flop / made.length });
    }
    await flush();
    this.#segments = segments;
    this.#generation = this.#arena.generation;
  }

  #locate(root: Root): { buffer: DeviceBuffer; byteOffset: number } {
    const pinned = this.#pinned.get(root);
    if (pinned) return { buffer: pinned, byteOffset: 0 };
    return { buffer: this.#arena.buffer(root.slot), byteOffset: root.byteOffset };
  }

  #place(layout: Layout): Placed {
    const { buffer, byteOffset } = this.#locate(layout.root);
    const { shape, dtype, rows, channels, stride } = layout;
    return { buffer, offset: byteOffset / bytesPerElement[dtype] + layout.offset, rows, channels, stride, shape, dtype };
  }

  #writeConstant(leaf: Leaf, buffer: DeviceBuffer): void {
    const { source } = leaf;
    if (source.kind === 'number') this.#writeNumber(buffer, leaf, source.value);
    else if (source.kind === 'host') this.device.write(buffer, 0, toDeviceData(source.data, leaf.value.dtype));
    else throw new GraphError(`${leaf.label} is not known when the Program is made`);
  }

  #writeInput(leaf: Leaf, data: HostData | number): void {
    const root = this.#leafRoots.get(leaf);
    if (root === undefined) return; // An argument that the function does not use.
    const buffer = this.#pinned.get(root)!;
    if (typeof data === 'number') this.#writeNumber(buffer, leaf, data);
    else this.device.write(buffer, 0, toDeviceData(data, leaf.value.dtype));
  }

  #writeNumber(buffer: DeviceBuffer, leaf: Leaf, value: number): void {
    this.device.write(buffer, 0, leaf.value.dtype === 'int32' ? Int32Array.of(value) : Float32Array.of(value));
  }

  async #runOnHost({ node, inputs, outputs }: HostStep): Promise<void> {
    const tensors: HostTensor[] = [];
    for (const placed of inputs) tensors.push({ shape: placed.shape, dtype: placed.dtype, data: await readPlaced(this.device, placed) });
    const results = node.op.reference!(tensors, node.attrs, node.outputs);
    outputs.forEach((placed, i) => {
      const typed = placed.dtype === 'int32' ? Int32Array.from(results[i])
        : placed.dtype === 'uint8' ? Uint8Array.from(results[i]) : Float32Array.from(results[i]);
      this.device.write(placed.buffer, placed.offset * bytesPerElement[placed.dtype], typed);
    });
  }
}

/** What a compiled function returned: the place of a value and the call that made it. */
export interface ProgramOutput {
  read(): Promise<HostData>;
}

async function readPlaced(device: Device, placed: Placed): Promise<Float64Array> {
  const size = bytesPerElement[placed.dtype];
  const span = (placed.rows - 1) * placed.stride + placed.channels;
  const flat = fromDeviceData(await device.read(placed.buffer, placed.offset * size, span * size), placed.dtype);
  const data = new Float64Array(placed.rows * placed.channels);
  for (let r = 0; r < placed.rows; r++) {
    for (let c = 0; c < placed.channels; c++) data[r * placed.channels + c] = flat[r * placed.stride + c];
  }
  return data;
}

function kernelsOf(node: Node, kind: Device['kind']): Lowering<Attrs, Launch> | undefined {
  const kernels: Op<Attrs>['kernels'] = node.op.kernels;
  return kind === 'cuda' ? undefined : kernels?.[kind];
}

function scratchOf(node: Node, kind: Device['kind']): number[] {
  return kernelsOf(node, kind)?.scratch?.(node.inputs, node.outputs, node.attrs) ?? [];
}

/** Refuses values of a dtype that the device does not have, by the op that gives the first of them. */
function assertStorable(order: readonly Node[], device: Device): void {
  for (const node of order) {
    const lacking = node.outputs.find((v) => !device.supports(v.dtype));
    if (lacking === undefined) continue;
    const what = isLeaf(node) ? node.label : `op "${node.op.name}"`;
    throw new DeviceError(`${what} gives ${lacking.dtype}, which ${device.name} does not have: it is for WebGPU adapters with shader-f16`
      + (node.site ? ` (called at ${node.site})` : ''));
  }
}

const warned = new Set<string>();

/** An op without kernels runs by its reference on the cpu device, slowly; other devices refuse it by name. */
function assertRunsOnHost(node: Node, device: Device): void {
  const { name, reference } = node.op;
  if (device.kind !== 'cpu' || reference === undefined) {
    throw new DeviceError(`op "${name}" has no kernel for ${device.name}` + (node.site ? ` (called at ${node.site})` : ''));
  }
  if (!warned.has(name)) {
    warned.add(name);
    console.warn(`fovea: op "${name}" has no cpu kernel; its float64 reference runs in its place`);
  }
}
