import { defaultDevice } from '../device/index.ts';
import type { DeviceBuffer, Device, HostData, TensorType } from '../device/types.ts';
import { bytesPerElement, sizeOf } from '../device/types.ts';
import { FoveaError, GraphError, OptionError, OutOfMemoryError } from '../errors.ts';
import { evaluate, evaluateNow, exclusively, settleNow } from '../graph/evaluate.ts';
import { halfOf } from '../graph/half.ts';
import { Leaf, fromDeviceData, isLeaf } from '../graph/leaves.ts';
import type { LeafSource } from '../graph/leaves.ts';
import { Value, topologicalOrder } from '../graph/node.ts';
import { allocatedOf, fits, largestBatch, roomIsKnown } from '../graph/out-of-memory.ts';
import type { Rank } from '../graph/group.ts';
import type { ProgramMemory, ProgramSpec } from '../graph/planned.ts';
import { planProgram } from '../graph/planned.ts';
import type { ObservedStep, ProgramOutput } from '../graph/program.ts';
import { Program } from '../graph/program.ts';
import { Tensor } from './tensor.ts';
import { Trace, refuseInTrace, withTrace } from './trace.ts';
import { flatten, signatureOf, unflatten, type Structure, type Tree } from './tree.ts';

export interface CompileOptions {
  /** Where it runs; default: where its variables live, else the default device. */
  readonly device?: Device;
  /** For messages; default the function's own name. */
  readonly name?: string;
  /** False leaves out the fused kernels. Default true. */
  readonly fuse?: boolean;
  /**
   * Computes again in the backward pass what is cheap, such as relu(batchNorm(x)), where keeping it would raise the peak of memory.
   * The results are equal bit for bit. Default false.
   */
  readonly recompute?: boolean;
  /**
   * Mixed precision: convolutions and matrix products take the device's half (float16, or bfloat16 with CUDA) and give activations in it,
   * adding up in float32; losses, statistics, parameters, their gradients and updates stay float32. Needs a device that has a `half`,
   * and for training a loss scale (fovea/optim). Default false.
   */
  readonly mixed?: boolean;
  /** The rank that the function is in a group (`localGroup`), over which `allReduce` sums; its ranks are called by `together`. */
  readonly group?: Rank;
}

/** A traced function. Calls with equal signatures replay one Program. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  /** Resolves when the device has taken the work. The tensors returned are read by `data()`; see `ProgramOutput` for how long. */
  (...args: A): Promise<R>;
  /** Traces and compiles for the signature of these arguments without running, and says what the Program takes. */
  prepare(...args: A): Promise<ProgramMemory>;
  /** What `prepare` would say: traces and plans, but allocates nothing. Nothing is kept of it. */
  plan(...args: A): Promise<ProgramMemory>;
  /**
   * A call that stops at every step of its Program and hands `visit` what the step read and wrote, as it lies on the device; slow, for
   * checks. Variables change as in any call; where `visit` throws they are left half-way.
   */
  observe(visit: (step: ObservedStep, program: Program) => Promise<void>, ...args: A): Promise<void>;
  /** What a call would do, ready to be started by one who holds the queue of evaluations, as `together` does. */
  turn(...args: A): Promise<() => Promise<R>>;
  /** Programs made so far, one a signature. */
  readonly programs: readonly Program[];
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Calls for which a returned tensor can still be read, where outputs are small. */
const ringLength = 4;
/** Outputs larger than this in all are not copied to a ring: they can be read until the next call. */
const ringBytes = 1 << 20;

interface Entry {
  readonly program: Program;
  /** Arguments, in the order of the flattened tree. */
  readonly results: Structure;
  readonly values: readonly Value[];
  readonly ring: readonly (readonly DeviceBuffer[])[];
  calls: number;
  disposed: boolean;
}

/**
 * Compiles a function over tensors, traced once for each signature of its arguments (shapes and dtypes). Numbers among the
 * arguments are scalar inputs: a new number never recompiles. Numbers and tensors that the function captures are constants.
 * Variables that it reads and assigns are read and written in place at every call.
 *
 * @throws GraphError, while tracing, when the function asks for data or branches on a tensor; DeviceError for `mixed` on a device
 *   that has no half
 */
export function compile<A extends readonly Tree[], R extends Tree>(
  fn: (...args: A) => R, options: CompileOptions = {},
): CompiledFunction<A, R> {
  const name = options.name ?? (fn.name || 'compiled function');
  if (options.mixed && options.device) halfOf(options.device, `"${name}": mixed precision`);
  const entries = new Map<string, Promise<Entry>>();
  const made: Entry[] = [];
  let disposed = false;
  const assertAlive = (): void => {
    if (disposed) throw new GraphError(`"${name}" was disposed`);
  };

  const trace = (leaves: readonly Argument[], structure: Structure): Promise<Traced> =>
    traceSpec(fn as unknown as (...args: never[]) => Tree, name, leaves, structure, options);

  const lookup = (args: A): { leaves: (Tensor | number)[]; entry: Promise<Entry> } => {
    assertAlive();
    const { leaves, structure } = flatten(args);
    const signature = signatureOf(leaves, structure);
    let entry = entries.get(signature);
    if (entry === undefined) {
      if (entries.size === 2) warnRetrace(name, [...entries.keys()][1], signature);
      entry = exclusively(async () => {
        assertAlive();
        const built = await build(await trace(leaves, structure), name).catch(async (error: unknown) => {
          if (!(error instanceof OutOfMemoryError)) throw error;
          throw new OutOfMemoryError(error.message + await fitting(leaves, (smaller) => trace(smaller, structure)), { cause: error });
        });
        made.push(built);
        if (disposed) dispose();
        return built;
      });
      entry.catch(() => entries.delete(signature));
      entries.set(signature, entry);
    }
    return { leaves, entry };
  };

  const ready = async <T>(
    args: A, run: (entry: Entry, inputs: readonly (HostData | number)[]) => Promise<T>,
  ): Promise<() => Promise<T>> => {
    const { leaves, entry } = lookup(args);
    const lazy = leaves.filter((x): x is Tensor => typeof x !== 'number' && !hasHostData(x));
    const evaluated = lazy.length > 0 ? await evaluate(lazy.map((t) => t.value)) : [];
    const inputs = leaves.map((x) => (typeof x === 'number' ? x : evaluated[lazy.indexOf(x)] ?? hostData(x)));
    const made = await entry;
    return async () => {
      try {
        assertAlive();
        return await whenReady(made.program, () => run(made, inputs));
      } catch (error) {
        options.group?.fail(error);
        throw error;
      }
    };
  };
  const withInputs = async <T>(args: A, run: (entry: Entry, inputs: readonly (HostData | number)[]) => Promise<T>): Promise<T> => {
    if (options.group && options.group.ranks > 1) {
      throw new GraphError(`"${name}" is one of ${options.group.ranks} ranks, which wait for each other; call them by together()`);
    }
    return exclusively(await ready(args, run));
  };

  const call = (...args: A): Promise<R> => {
    // Thrown at once, not by the promise, so that a trace in which this is called ends here.
    refuseInTrace(`the compiled function "${name}" is called`);
    return withInputs(args, (entry, inputs) => runEntry(entry, inputs, name)) as Promise<R>;
  };
  const turn = (...args: A): Promise<() => Promise<R>> => {
    refuseInTrace(`the compiled function "${name}" is called`);
    return ready(args, (entry, inputs) => runEntry(entry, inputs, name)) as Promise<() => Promise<R>>;
  };
  const observe: CompiledFunction<A, R>['observe'] = (visit, ...args) =>
    withInputs(args, ({ program }, inputs) => program.runObserved(inputs, (step) => visit(step, program)));

  const prepare = async (...args: A): Promise<ProgramMemory> => {
    const { program, ring } = await lookup(args).entry;
    const { memory } = program;
    const results = ring.flat().reduce((sum, b) => sum + b.bytes, 0);
    return { ...memory, staging: memory.staging + results, total: memory.total + results };
  };
  const plan = (...args: A): Promise<ProgramMemory> => {
    const { leaves, structure } = flatten(args);
    return exclusively(async () => {
      assertAlive();
      return planProgram((await trace(leaves, structure)).spec).memory;
    });
  };
  const dispose = (): void => {
    disposed = true;
    for (const entry of made) {
      entry.disposed = true;
      entry.program.dispose();
      for (const buffers of entry.ring) for (const buffer of buffers) buffer.dispose();
    }
  };
  const compiled = Object.assign(call, { prepare, plan, observe, turn, dispose, [Symbol.dispose]: dispose });
  Object.defineProperty(compiled, 'programs', { get: () => made.map((e) => e.program) });
  return compiled as unknown as CompiledFunction<A, R>;
}

/** What is known of an argument while tracing. */
type Argument = TensorType | number;

interface Traced {
  readonly spec: ProgramSpec;
  readonly results: Structure;
}

async function traceSpec(
  fn: (...args: never[]) => Tree, name: string, leaves: readonly Argument[], structure: Structure, options: CompileOptions,
): Promise<Traced> {
  const inputs = leaves.map((x, position) => {
    const type = typeof x === 'number' ? { shape: [], dtype: 'float32' as const } : { shape: x.shape, dtype: x.dtype };
    return new Leaf({ kind: 'argument', position }, type);
  });
  const args = unflatten(structure, inputs.map((leaf) => new Tensor(leaf.value))) as unknown as never[];
  const trace = new Trace(name, options.device);
  const firstNode = inputs[0]?.id ?? new Leaf({ kind: 'number', value: 0 }, { shape: [], dtype: 'float32' }).id;
  const returned = withTrace(trace, () => fn(...args));
  if (returned instanceof Promise) {
    throw new GraphError(`"${name}" is asynchronous; a traced function returns its tensors at once`);
  }
  const results = flatten(returned as Tree);
  const values = results.leaves.map((x) => {
    if (typeof x === 'number') throw new OptionError(`"${name}" returned a number; a traced function returns tensors`);
    return x.value;
  });
  const { assignments } = trace;
  await settleNow(trace.cells, options.device);
  await evaluateCaptured([...values, ...assignments.map((a) => a.value)], firstNode, trace);
  const device = options.device ?? trace.cells.find((c) => c.device)?.device ?? (await defaultDevice());
  if (options.mixed) halfOf(device, `"${name}": mixed precision`);
  const { fuse, recompute, mixed, group } = options;
  return { spec: { device, requested: values, assignments, inputs, fuse, recompute, mixed, group }, results: results.structure };
}

async function build({ spec, results }: Traced, name: string): Promise<Entry> {
  const { device, requested: values } = spec;
  const program = await Program.create(spec);
  const bytes = values.reduce((sum, _, i) => sum + program.outputBuffer(i).bytes, 0);
  const ring = bytes > ringBytes ? [] : Array.from({ length: ringLength }, (_, k) =>
    values.map((_v, i) => device.allocate(program.outputBuffer(i).bytes, `${name} result ${k}`)));
  return { program, results, values, ring, calls: 0, disposed: false };
}

/**
 * What to say of the largest batch that fits, found by planning with the memory that there is now; that it is not known, where the device
 * refused what by all that it tells should have fit. The first axis of the largest argument is the batch, as it is of all others whose
 * first axis is as long; nothing where there is none, or where the function takes no other.
 */
async function fitting(leaves: readonly Argument[], trace: (leaves: readonly Argument[]) => Promise<Traced>): Promise<string> {
  const types = leaves.filter((x) => typeof x !== 'number');
  const size = (x: TensorType): number => sizeOf(x.shape) * bytesPerElement[x.dtype];
  const [largest] = [...types].sort((a, b) => size(b) - size(a));
  const batch = largest?.shape[0] ?? 1;
  if (batch <= 1) return '';
  const plan = async (n: number, look = false): Promise<{ device: Device; fit: boolean }> => {
    const { spec } = await trace(leaves.map((x) => (typeof x === 'number' || x.shape[0] !== batch ? x
      : { shape: [n, ...x.shape.slice(1)], dtype: x.dtype })));
    if (look) spec.device.lookAtMemory?.();
    const planned = planProgram(spec);
    return { device: spec.device, fit: fits([planned.memory], spec.device, allocatedOf(planned)) };
  };
  try {
    const { device, fit } = await plan(batch, true);
    if (fit) {
      return `; how large a batch would fit is not known, since ${roomIsKnown(device) ? `by what ${device.name} says is free this one would`
        : 'WebGPU does not tell what memory is free'}`;
    }
    const fitting = await largestBatch(batch, async (n) => (await plan(n)).fit);
    return `; of the input [${largest.shape}] ${fitting} of ${batch} along the first axis fit`;
  } catch (error) {
    if (error instanceof FoveaError) return '';
    throw error;
  }
}

/** Values computed outside the trace become constants of the Program: evaluated once, now. */
async function evaluateCaptured(roots: readonly Value[], firstNode: number, trace: Trace): Promise<void> {
  const captured = new Set<Value>();
  const outer = (v: Value): boolean => v.node.id < firstNode && !(isLeaf(v.node) && isConstant(v.node.source));
  for (const node of topologicalOrder(roots.map((v) => v.node))) {
    if (isLeaf(node) && node.source.kind === 'variable' && !trace.owns(node)) {
      throw new GraphError(`a reading of variable "${node.source.cell.name}" taken outside is captured by "${trace.name}"; `
        + 'read the variable inside, or capture its data()');
    }
    if (node.id >= firstNode) for (const input of node.inputs) if (outer(input)) captured.add(input);
  }
  for (const root of roots) if (outer(root)) captured.add(root);
  if (captured.size > 0) await evaluateNow([...captured]);
}

function isConstant(source: LeafSource): boolean {
  return source.kind === 'host' || source.kind === 'number';
}

/** Makes variables what the next run expects, moves their versions on, and starts it. */
async function whenReady<T>(program: Program, start: () => Promise<T>): Promise<T> {
  // Each of these waits, and the caller may read and assign meanwhile: only when nothing is left to wait for do the versions move
  // on, in one go with the start of the run. Whoever reads from then on reads what the run leaves.
  for (;;) {
    const read = program.assigned.find((cell) => cell.hasReaders);
    if (program.cells.some((cell) => cell.pending)) await settleNow(program.cells, program.device);
    else if (read !== undefined) read.preserve(await read.read());
    else if (!program.bound) await program.bind();
    else break;
  }
  for (const cell of program.assigned) cell.commit();
  return start();
}

async function runEntry(entry: Entry, inputs: readonly (HostData | number)[], name: string): Promise<Tree> {
  const { program, ring, values } = entry;
  await program.run(inputs);
  const serial = ++entry.calls;
  const slot = ring.length > 0 ? ring[serial % ringLength] : undefined;
  const tensors = values.map((value, i) => {
    const { buffer, byteOffset, bytes } = program.outputBuffer(i);
    if (slot) program.device.copy(buffer, byteOffset, slot[i], 0, bytes);
    const lifetime = slot ? ringLength : 1;
    const output: ProgramOutput = {
      read: async () => {
        if (entry.disposed) throw new GraphError(`result ${i} of "${name}" is gone: "${name}" was disposed`);
        if (entry.calls - serial >= lifetime) {
          throw new GraphError(`result ${i} of call ${serial} of "${name}" was overwritten by call ${entry.calls}; `
            + `read it within ${lifetime} call${lifetime > 1 ? 's' : ''}`);
        }
        const bytesRead = await program.device.read(slot ? slot[i] : buffer, slot ? 0 : byteOffset, bytes);
        return fromDeviceData(bytesRead, value.dtype);
      },
    };
    return new Tensor(new Leaf({ kind: 'output', output }, { shape: value.shape, dtype: value.dtype }).value);
  });
  return unflatten(entry.results, tensors);
}

function hasHostData(t: Tensor): boolean {
  const { node } = t.value;
  return isLeaf(node) && node.source.kind === 'host';
}

function hostData(t: Tensor): HostData {
  const { source } = t.value.node as Leaf;
  if (source.kind !== 'host') throw new GraphError('an argument has no data on the host');
  return source.data;
}

function warnRetrace(name: string, before: string, now: string): void {
  console.warn(`fovea: "${name}" is traced for the third time; arguments were ${before}, now ${now}. `
    + 'Keep shapes constant (full batches) to avoid compiling again');
}

