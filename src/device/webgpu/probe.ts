/**
 * What an adapter's subgroups and matrix units are like, seen by running them. Both are young: the language's words for matrices have
 * changed, drivers offer what then fails, and kernels rely on more than the standard promises. What is not as kernels need it is not used,
 * and `fovea devices` says why.
 */
import type { GpuFeatures } from '../types.ts';
import { BufferUsage, MAP_MODE_READ } from './constants.ts';
import { scoped } from './scopes.ts';
import { shaderSource } from './shader.ts';

/** To be asked of a device where its adapter has them. */
export const PROBED_FEATURES = ['subgroups', 'chromium-experimental-subgroup-matrix'];

/** A matrix product of a few instructions that takes longer than this hangs. */
const PATIENCE_MS = 10_000;

/** Bytes of workgroup memory that the largest tiles of tile_matrices.wgsl take. */
const WORKGROUP_BYTES = 28672;

export interface Probed {
  readonly features: GpuFeatures;
  /** What was found, or why not, in words. */
  readonly words: readonly string[];
}

/** As an adapter's info lists them. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

type AdapterInfo = GPUAdapterInfo & {
  readonly subgroupMinSize?: number; readonly subgroupMaxSize?: number; readonly subgroupMatrixConfigs?: Iterable<MatrixConfig>;
};

/**
 * Tries what a device was made with of PROBED_FEATURES. The device is used up: a shader that hangs may leave its queue hung for ever, so
 * nothing else should be done on it. Never rejects: what fails is not there.
 *
 * @param patience milliseconds after which a shader counts as hung
 */
export async function probe(device: GPUDevice, info: GPUAdapterInfo, patience = PATIENCE_MS): Promise<Probed> {
  let hung = false;
  const ask: Ask = async (shader, replace, size) => {
    const answer = await run(device, shader, replace, size, patience);
    hung ||= answer.hung === true;
    return answer;
  };
  const subgroup = await subgroupOf(device, info, ask);
  const matrices = typeof subgroup === 'string' ? 'they need subgroups' : await matricesOf(device, info, subgroup, ask);
  // Dawn waits for the queue when it destroys a device: one that hangs is left alone.
  if (!hung) device.destroy();
  if (typeof subgroup === 'string') return { features: {}, words: [`no subgroups: ${subgroup}`, `no matrix units: ${String(matrices)}`] };
  const found = `subgroups of ${subgroup}`;
  if (typeof matrices === 'string') return { features: { subgroup }, words: [found, `no matrix units: ${matrices}`] };
  const { M, N, K } = matrices;
  return { features: { subgroup, matrices: { M, N, K } }, words: [found, `matrix units of ${M}x${N}x${K}`] };
}

/** What became of a shader: the bytes that it wrote, or what went wrong. */
type Answer = { readonly bytes: ArrayBuffer; readonly failure?: undefined; readonly hung?: undefined } | Failure;
/** Nothing more is asked of a device on which a shader hung. */
interface Failure {
  readonly failure: string;
  readonly hung?: boolean;
}

/** Runs one workgroup of a shader that fills a buffer of so many bytes. */
type Ask = (shader: string, replace: Record<string, number>, size: number) => Promise<Answer>;

/** Threads of a subgroup, or why kernels cannot use it. */
async function subgroupOf(
  device: GPUDevice, { subgroupMinSize: least, subgroupMaxSize: most }: AdapterInfo, ask: Ask,
): Promise<number | string> {
  if (!device.features.has('subgroups')) return 'not offered';
  if (least === undefined || least !== most) return `their sizes are from ${least} to ${most}`;
  const threads = 2 * most;
  const out = await ask('probe_subgroups', { THREADS: threads }, 16 * threads);
  if (out.failure !== undefined) return out.failure;
  const words = new Uint32Array(out.bytes);
  for (let lane = 0; lane < threads; lane++) {
    const place = lane % most;
    const expected = [place, most, lane - place + (place + 1) % most];
    if (expected.some((v, i) => words[4 * lane + i] !== v)) return 'threads are not in order';
  }
  return most;
}

/** The largest product of float16 with sums in float32 that gives what it should, or why there is none. */
async function matricesOf(device: GPUDevice, info: AdapterInfo, subgroup: number, ask: Ask): Promise<MatrixConfig | string> {
  if (!device.features.has('chromium-experimental-subgroup-matrix')) return 'not offered';
  if (!device.features.has('shader-f16')) return 'they need shader-f16';
  const { maxComputeWorkgroupStorageSize: bytes, maxComputeInvocationsPerWorkgroup: threads } = device.limits;
  if (bytes < WORKGROUP_BYTES || 4 * subgroup > threads) return `workgroups have ${bytes} bytes and ${threads} threads at most`;
  const all = [...info.subgroupMatrixConfigs ?? []];
  // Tiles divide 16 x 16 results and 32 steps.
  const suitable = all.filter((c) => c.componentType === 'f16' && c.resultComponentType === 'f32' && 16 % c.M === 0 && 16 % c.N === 0 && 32 % c.K === 0)
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  const list = all.map((c) => `${c.componentType} to ${c.resultComponentType} ${c.M}x${c.N}x${c.K}`).join(', ');
  let why = `none of float16 with sums in float32 among ${list || 'none at all'}`;
  for (const config of suitable) {
    const failed = await matrixFailure(config, subgroup, ask);
    if (failed === undefined) return config;
    why = `${config.M}x${config.N}x${config.K}: ${failed.failure}`;
    if (failed.hung) break;
  }
  return why;
}

async function matrixFailure({ M, N, K }: MatrixConfig, subgroup: number, ask: Ask): Promise<Failure | undefined> {
  const subgroups = 2;
  const out = await ask('probe_matrices', { M, N, K, THREADS: subgroups * subgroup }, 4 * subgroups * M * N);
  if (out.failure !== undefined) return out;
  const got = new Float32Array(out.bytes);
  for (let i = 0; i < got.length; i++) {
    const [m, n] = [Math.floor(i / N) % M, i % N];
    let expected = 0;
    for (let k = 0; k < K; k++) expected += 2 * ((k * M + m) % 7 - 3) * ((k * N + n) % 5 - 2);
    if (got[i] !== expected) return { failure: `the product is wrong: ${got[i]}, expected ${expected}` };
  }
  return undefined;
}

async function run(
  device: GPUDevice, shader: string, replace: Record<string, number>, size: number, patience: number,
): Promise<Answer> {
  const made: GPUBuffer[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Failure>((resolve) => {
    timer = setTimeout(() => resolve({ failure: `no answer in ${patience / 1000} seconds`, hung: true }), patience);
  });
  try {
    const buffer = device.createBuffer({ label: shader, size, usage: BufferUsage.STORAGE | BufferUsage.COPY_SRC });
    made.push(buffer);
    const staging = device.createBuffer({ label: shader, size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
    made.push(staging);
    const error = await Promise.race([late, scoped(device, () => {
      const module = device.createShaderModule({ label: shader, code: shaderSource(shader, replace) });
      const pipeline = device.createComputePipeline({ label: shader, layout: 'auto', compute: { module, entryPoint: 'main' } });
      const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] });
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
      pass.end();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
    })]);
    if (error !== undefined) return typeof error === 'string' ? { failure: firstLine(error) } : error;
    const mapped = await Promise.race([late, staging.mapAsync(MAP_MODE_READ)]);
    return mapped ?? { bytes: staging.getMappedRange().slice(0) };
  } catch (error) {
    return { failure: firstLine((error as Error).message) };
  } finally {
    clearTimeout(timer);
    for (const buffer of made) buffer.destroy();
  }
}

/** The compiler's own words, without the listing. */
function firstLine(message: string): string {
  const lines = message.split('\n').map((line) => line.trim());
  return lines.find((line) => /\berror: /.test(line))?.replace(/^.*?\berror: /, '') ?? lines.find((line) => line !== '') ?? 'it failed';
}
