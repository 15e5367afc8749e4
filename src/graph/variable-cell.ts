import type { Device, DeviceBuffer, HostData, Shape, DType } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { GraphError } from '../errors.ts';
import { Leaf, fromDeviceData, hostLeaf, isLeaf, toDeviceData } from './leaves.ts';
import type { Value } from './node.ts';

let nextCellId = 0;

/**
 * The state behind a Variable: device memory, a version, and the assignment that is pending on it.
 *
 * Reading records the version current at that moment. `assign` makes the next one but runs nothing; the evaluation that first
 * touches the cell runs the assignment, and `commit` then moves the version on. Readers of an older version that were not
 * evaluated by then keep a copy of it (`preserve`).
 */
export class VariableCell {
  readonly id = nextCellId++;
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  version = 0;
  /** How often `assign` was called. */
  assignments = 0;
  /** What a read gives now: the leaf of this version, or the value assigned and not yet run. */
  current: Value;
  /** Programs that hold this cell's buffer listen here. */
  readonly onDispose = new Set<() => void>();
  #leaf: Leaf;
  #device: Device | undefined;
  #buffer: DeviceBuffer | undefined;
  #initial: HostData | undefined;
  #disposed = false;

  constructor(name: string, shape: Shape, dtype: DType, initial: HostData, device?: Device) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
    this.#initial = initial.slice();
    this.#device = device;
    this.#leaf = this.#newLeaf();
    this.current = this.#leaf.value;
  }

  get device(): Device | undefined {
    return this.#device;
  }

  get leaf(): Leaf {
    return this.#leaf;
  }

  get pending(): Value | undefined {
    return this.current === this.#leaf.value ? undefined : this.current;
  }

  get bytes(): number {
    return sizeOf(this.shape) * bytesPerElement[this.dtype];
  }

  /** True when the device holds memory for it. */
  get allocated(): boolean {
    return this.#buffer !== undefined;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Device memory, made and filled on first use. Throws GraphError when the variable lives on another device. */
  bufferOn(device: Device): DeviceBuffer {
    this.assertAlive();
    if (this.#device !== undefined && this.#device !== device) {
      throw new GraphError(`variable "${this.name}" lives on ${this.#device.name}; it cannot be used on ${device.name}`);
    }
    this.#device = device;
    if (this.#buffer === undefined) {
      this.#buffer = device.allocate(this.bytes, `variable ${this.name}`);
      if (this.#initial !== undefined) device.write(this.#buffer, 0, toDeviceData(this.#initial, this.dtype));
      this.#initial = undefined;
    }
    return this.#buffer;
  }

  /** Makes a value the next version; the evaluation that first touches the cell computes it. */
  assign(value: Value): void {
    this.assignments++;
    this.current = value;
  }

  /** Replaces the value from the host; what was pending is forgotten. Callers preserve unevaluated readers first. */
  write(data: HostData, elementOffset = 0): void {
    this.assertAlive();
    if (this.#buffer !== undefined) {
      this.#device!.write(this.#buffer, elementOffset * bytesPerElement[this.dtype], toDeviceData(data, this.dtype));
    } else {
      this.#initial!.set(data as Float32Array, elementOffset);
    }
    this.#advance();
  }

  /** The value of the current version, on the host. The array is the caller's own. */
  async read(elementOffset = 0, length = sizeOf(this.shape)): Promise<HostData> {
    this.assertAlive();
    if (this.#buffer === undefined) return this.#initial!.slice(elementOffset, elementOffset + length);
    const size = bytesPerElement[this.dtype];
    return fromDeviceData(await this.#device!.read(this.#buffer, elementOffset * size, length * size), this.dtype);
  }

  /** Moves the value into a part of another cell and disposes of this one. Throws GraphError while an assignment is pending. */
  moveInto(target: VariableCell, elementOffset: number): void {
    this.assertAlive();
    if (this.pending) throw new GraphError(`variable "${this.name}" has an assignment pending; evaluate it before packing`);
    if (this.#buffer === undefined) {
      target.write(this.#initial!, elementOffset);
    } else {
      const at = elementOffset * bytesPerElement[this.dtype];
      this.#device!.copy(this.#buffer, 0, target.bufferOn(this.#device!), at, this.bytes);
    }
    this.dispose();
  }

  /**
   * Moves the version on. With `assigned`, an evaluation wrote that value into the buffer, and whoever holds it now reads the new
   * version; what was assigned while it ran stays pending.
   */
  commit(assigned?: Value): void {
    const later = assigned !== undefined && this.current !== assigned ? this.current : undefined;
    this.#advance();
    if (assigned !== undefined && !isLeaf(assigned.node)) {
      assigned.become(this.#leaf);
      this.current = assigned;
    }
    if (later !== undefined) this.current = later;
  }

  /** True when someone may yet read the current version from the buffer, so that it must be preserved before a write. */
  get hasReaders(): boolean {
    const { value } = this.#leaf;
    return value.node === this.#leaf && value.isHeldOutside(new Set());
  }

  /** Lets whoever still reads the current version have it from the host. */
  preserve(data: HostData): void {
    this.#leaf.value.become(hostLeaf(data, this.shape, this.dtype, { version: this.id }));
  }

  /** Frees the device memory. Programs that use the variable become unusable and say so. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#buffer?.dispose();
    this.#buffer = undefined;
    this.#initial = undefined;
    for (const listener of this.onDispose) listener();
    this.onDispose.clear();
  }

  assertAlive(): void {
    if (this.#disposed) throw new GraphError(`variable "${this.name}" was disposed`);
  }

  #newLeaf(): Leaf {
    return new Leaf({ kind: 'variable', cell: this, version: this.version }, { shape: this.shape, dtype: this.dtype });
  }

  #advance(): void {
    this.version++;
    this.#leaf = this.#newLeaf();
    this.current = this.#leaf.value;
  }
}
