import type { Device, DeviceBuffer, Executable, HostData, Launch, Placed, PlacedLaunch, Scratch } from '../device/types.ts';
import { bytesPerElement, isHalfType, sizeOf } from '../device/types.ts';
import { copyLaunch } from '../device/copy.ts';
import { DeviceError, GraphError, OutOfMemoryError } from '../errors.ts';
import type { Arena } from './arena.ts';
import { arenaOf } from './arena.ts';
import { requireHalf } from './half.ts';
import type { Rank } from './group.ts';
import type { Layout, Root } from './layout.ts';
import type { Leaf } from './leaves.ts';
import { fromDeviceData, isLeaf, toDeviceData } from './leaves.ts';
import type { Node } from './node.ts';
import { assertFits, explain } from './out-of-memory.ts';
import type { Plan, Step } from './plan.ts';
import type { HostTensor } from './op.ts';
import type { Planned, ProgramMemory, ProgramSpec } from './planned.ts';
import { costOf, kernelsOf, planProgram } from './planned.ts';
import type { VariableCell } from './variable-cell.ts';

/** A value as it was read back from the device, and where it lay. */
export interface ObservedValue extends HostTensor {
  readonly placed: Placed;
}

/** One step of a run. */
export interface ObservedStep {
  /** What was computed; undefined for a copy that the plan needs. */
  readonly node: Node | undefined;
  readonly label: string;
  /** As they were before the step. */
  readonly inputs: readonly ObservedValue[];
  readonly outputs: readonly ObservedValue[];
}

type OpStep = Extract<Step, { kind: 'op' }>;

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
  readonly launchCount: number;
  /** Names of the rewrites that were applied. */
  readonly rewrites: readonly string[];
  readonly cells: readonly VariableCell[];
  readonly assigned: readonly VariableCell[];
  readonly #arena: Arena;
  readonly #plan: Plan;
  readonly #planned: ProgramMemory;
  readonly #slotBytes: readonly number[];
  readonly #inputs: readonly Leaf[];
  readonly #group: Rank | undefined;
  readonly #pinned = new Map<Root, DeviceBuffer>();
  readonly #owned: DeviceBuffer[] = [];
  readonly #leafRoots = new Map<Leaf, Root>();
  #segments: Segment[] = [];
  #generation = -1;
  #disposed = false;

  private constructor(spec: ProgramSpec, planned: Planned) {
    const { device, inputs } = spec;
    this.device = device;
    this.#plan = planned.plan;
    this.#inputs = inputs;
    this.#group = spec.group;
    this.rewrites = planned.rewrites;
    this.#arena = arenaOf(device);
    this.#slotBytes = planned.memory.arena;
    this.cells = planned.cells;
    this.assigned = spec.assignments.map((a) => a.cell);
    this.launchCount = planned.plan.steps.length;
    this.#planned = planned.memory;
  }

  /** Rewrites, orders, plans and encodes. Compilation errors name the kernel and the node. */
  static async create(spec: ProgramSpec): Promise<Program> {
    const planned = planProgram(spec);
    assertStorable(planned.plan, spec.device);
    assertFits(planned, spec.device);
    const program = new Program(spec, planned);
    try {
      program.#allocate();
      await program.bind();
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  get memory(): ProgramMemory {
    const staging = this.#segments.reduce((sum, s) => sum + (s.kind === 'device' ? s.executable.bytes : 0), 0);
    return { ...this.#planned, staging, total: this.#planned.total - this.#planned.staging + staging };
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

  /** The nodes that its steps compute, in order: the graph as it runs, rewritten. Views and free concatenations take no step. */
  get nodes(): Node[] {
    return this.#plan.steps.flatMap((step) => (step.kind === 'op' ? [step.node] : []));
  }

  /**
   * A run that stops at each step: inputs are read back before it, outputs after it, as they lie in memory. What runs is what `run`
   * runs, launch for launch. Where `observe` throws, variables are left half-way.
   */
  async runObserved(data: readonly (HostData | number)[], observe: (step: ObservedStep) => Promise<void>): Promise<void> {
    if (!this.bound) await this.bind();
    this.#inputs.forEach((leaf, i) => this.#writeInput(leaf, data[i]));
    const see = async (layout: Layout): Promise<ObservedValue> => {
      const placed = this.#place(layout);
      return { shape: placed.shape, dtype: placed.dtype, data: await readPlaced(this.device, placed), placed };
    };
    for (const step of this.#plan.steps) {
      const [from, to] = step.kind === 'copy' ? [[step.from], [step.to]] : [step.inputs, step.outputs];
      const inputs: ObservedValue[] = [];
      for (const layout of from) inputs.push(await see(layout));
      const launches = this.#launches(step);
      if (launches === undefined) await this.#runOnHost(this.#hostStep(step as OpStep));
      else {
        const executable = await this.device.build(launches);
        await executable.run();
        await this.device.synchronize();
        executable.dispose();
      }
      const outputs: ObservedValue[] = [];
      for (const layout of to) outputs.push(await see(layout));
      const [node, label] = step.kind === 'copy' ? [undefined, step.label] : [step.node, step.node.label];
      await observe({ node, label, inputs, outputs });
    }
  }

  /** Times each launch of one run on the inputs last written. @throws GraphError where other ranks would have to run too */
  async profile(): Promise<{ label: string; node: string; ms: number }[]> {
    if (this.#group !== undefined && this.#group.ranks > 1) throw new GraphError('a Program cannot be timed without the others of its group');
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
      throw explain(error, this.#planned);
    }
  }

  /** Encodes the launches for where the arena lies now, which it gives back where there is no memory for it. */
  async bind(): Promise<void> {
    try {
      this.#arena.ensure(this.#slotBytes);
      await this.#encode();
    } catch (error) {
      // A device may tell late, so that what the arena was given last is a buffer in name alone.
      if (error instanceof OutOfMemoryError) this.#arena.release();
      throw explain(error, this.#planned);
    }
  }

  async #encode(): Promise<void> {
    const { device } = this;
    this.#release();
    const segments: Segment[] = [];
    let launches: PlacedLaunch[] = [];
    const flush = async (): Promise<void> => {
      if (launches.length > 0) segments.push({ kind: 'device', executable: await device.build(launches) });
      launches = [];
    };
    for (const step of this.#plan.steps) {
      const made = this.#launches(step);
      if (made !== undefined) {
        launches.push(...made);
        continue;
      }
      await flush();
      segments.push({ kind: 'host', ...this.#hostStep(step as OpStep) });
    }
    await flush();
    this.#segments = segments;
    this.#generation = this.#arena.generation;
  }

  /** The launches of a step for where its values lie now; undefined where the host computes it, or sums it over the group. */
  #launches(step: Step): PlacedLaunch[] | undefined {
    const { device } = this;
    if (step.kind === 'copy') {
      return [{ launch: copyLaunch(device.kind, this.#place(step.from), this.#place(step.to)), node: step.label, flop: 0 }];
    }
    const { node } = step;
    if (node.op.exchanges && this.#group !== undefined) return undefined;
    const lowering = kernelsOf(node, device.kind);
    if (lowering === undefined) {
      assertRunsOnHost(node, device);
      return undefined;
    }
    const scratch = step.scratch.map((root): Scratch => ({ ...this.#locate(root), bytes: root.bytes }));
    const made: Launch[] = lowering.launches({ attrs: node.attrs, ...this.#hostStep(step), scratch, features: device.features });
    const flop = costOf(node);
    return made.map((launch) => ({ launch, node: node.label, site: node.site, flop: flop / made.length }));
  }

  #hostStep({ node, inputs, outputs }: OpStep): HostStep {
    return { node, inputs: inputs.map((l) => this.#place(l)), outputs: outputs.map((l) => this.#place(l)) };
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

  /** Sums a contiguous float32 value over the ranks. */
  async #exchange(from: Placed, to: Placed): Promise<void> {
    const bytes = sizeOf(from.shape) * bytesPerElement.float32;
    const read = await this.device.read(from.buffer, from.offset * bytesPerElement.float32, bytes);
    const values = new Float32Array(read.buffer, read.byteOffset, sizeOf(from.shape));
    await this.#group!.allReduce(values);
    this.device.write(to.buffer, to.offset * bytesPerElement.float32, values);
  }

  async #runOnHost({ node, inputs, outputs }: HostStep): Promise<void> {
    if (node.op.exchanges) return this.#exchange(inputs[0], outputs[0]);
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
  const data = new Float64Array(placed.rows * placed.channels);
  if (data.length === 0) return data;
  const span = (placed.rows - 1) * placed.stride + placed.channels;
  const flat = fromDeviceData(await device.read(placed.buffer, placed.offset * size, span * size), placed.dtype);
  for (let r = 0; r < placed.rows; r++) {
    for (let c = 0; c < placed.channels; c++) data[r * placed.channels + c] = flat[r * placed.stride + c];
  }
  return data;
}

/** Refuses halves where the device has none, by the op that gives the first of them. */
function assertStorable({ layouts }: Plan, device: Device): void {
  for (const { node, dtype } of layouts.keys()) {
    if (!isHalfType(dtype)) continue;
    const what = isLeaf(node) ? node.label : `op "${node.op.name}"`;
    requireHalf(device, dtype, `${what} gives ${dtype}, which`, node.site ? ` (called at ${node.site})` : '');
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
