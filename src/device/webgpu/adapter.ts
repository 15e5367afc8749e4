/**
 * Finding a WebGPU adapter: `navigator.gpu` in a browser, npm `webgpu` (Dawn) in Node; hardware first, llvmpipe by name or where
 * there is nothing else.
 */
import { DeviceError, MissingPackageError } from '../../errors.ts';

/** The part of WebGPU's `GPU` that is called here; given so that no WebGPU type shows in the public surface. */
export interface GpuLike {
  requestAdapter(options?: object): Promise<object | null>;
}

export interface FoundAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** As the adapter calls itself. */
  readonly name: string;
  readonly driver: string;
  /** Computes on the CPU. */
  readonly software: boolean;
  /** Version of the `webgpu` package, or the browser. */
  readonly implementation: string;
  /** Why this one, in a few words. */
  readonly why: string;
  /** What was found or missed before it, and not taken. */
  readonly refused: readonly string[];
}

interface DawnPackage {
  create(options: string[]): GPU;
}

const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** Dawn's instances must outlive their adapters, and one per backend is enough. */
const instances = new Map<string, GPU>();

/**
 * Toggles of Dawn. Bounds checks and clearing of workgroup memory are for untrusted shaders; ours keep to their bounds, as the suite
 * checks. Matrix units are an experiment that is offered only with unsafe APIs, on Vulkan's own memory model, and on NVIDIA need float16,
 * which Dawn keeps back there; probe.ts sees whether they work.
 */
const TOGGLES = ['disable_robustness', 'disable_workgroup_init'];
const MATRIX_TOGGLES = ['allow_unsafe_apis', 'use_vulkan_memory_model', 'vulkan_enable_f16_on_nvidia'];
/** Rounds timestamps to 0.07 ms, against web pages that measure others: more than most of our launches take. */
const DISABLED = ['timestamp_quantization'];

async function importDawn(): Promise<DawnPackage> {
  try {
    return await import('webgpu') as unknown as DawnPackage;
  } catch (cause) {
    throw new MissingPackageError('WebGPU in Node needs the optional package "webgpu": npm install webgpu', { cause });
  }
}

async function dawnInstance(backend: string | undefined): Promise<GPU> {
  const key = backend ?? '';
  let gpu = instances.get(key);
  if (gpu === undefined) {
    const { create } = await importDawn();
    const toggles = backend === 'opengles' ? TOGGLES : [...TOGGLES, ...MATRIX_TOGGLES];
    gpu = create([
      ...(backend === undefined ? [] : [`backend=${backend}`]), `enable-dawn-features=${toggles.join(',')}`, `disable-dawn-features=${DISABLED.join(',')}`,
    ]);
    instances.set(key, gpu);
  }
  return gpu;
}

async function dawnVersion(): Promise<string> {
  try {
    const { createRequire } = await import('node:module');
    const found = createRequire(import.meta.url)('webgpu/package.json') as { version: string };
    return `webgpu ${found.version}`;
  } catch {
    return 'webgpu';
  }
}

function describe(adapter: GPUAdapter): { name: string; driver: string; software: boolean } {
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const words = [vendor, architecture, device, description].filter((w) => w);
  const name = device?.replace(/-+$/, '') || [vendor, architecture].filter((w) => w).join(' ') || description || 'unnamed adapter';
  const software = isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|softpipe|basic render|warp/i.test(words.join(' '));
  return { name, driver: description || words.join(' '), software };
}

function matches(found: { name: string; driver: string }, wanted: string): boolean {
  return `${found.name} ${found.driver}`.toLowerCase().includes(wanted.toLowerCase());
}

/** Asks one instance for its adapters, core ones first. */
async function adaptersOf(gpu: GPU): Promise<GPUAdapter[]> {
  const options: GPURequestAdapterOptions[] = [
    { powerPreference: 'high-performance' },
    { powerPreference: 'high-performance', featureLevel: 'compatibility' },
  ];
  const found: GPUAdapter[] = [];
  for (const o of options) {
    const adapter = await gpu.requestAdapter(o).catch(() => null);
    if (adapter !== null) {
      found.push(adapter);
      break;
    }
  }
  return found;
}

/** What was tried and what came of it, for the error. */
type Attempt = string;

async function inBrowser(gpu: GPU, tried: Attempt[], wanted: string | undefined): Promise<Omit<FoundAdapter, 'refused'> | undefined> {
  const implementation = isNode ? 'given' : (globalThis.navigator?.userAgent ?? 'browser');
  for (const adapter of await adaptersOf(gpu)) {
    const about = describe(adapter);
    if (wanted === undefined || matches(about, wanted)) {
      return { gpu, adapter, ...about, implementation, why: wanted === undefined ? 'the only adapter offered' : `named ${wanted}` };
    }
    tried.push(about.name);
  }
  return undefined;
}

/** Mesa's software Vulkan driver from its folder, which must be loaded before Dawn first looks for Vulkan. */
async function lavapipe(tried: Attempt[]): Promise<Omit<FoundAdapter, 'refused'> | undefined> {
  await importDawn();
  const { loadLavapipe } = await import('./lavapipe.ts');
  try {
    if (!loadLavapipe()) {
      tried.push('no lavapipe driver (node tools/webgpu-driver.mjs --lavapipe fetches one)');
      return undefined;
    }
  } catch (error) {
    tried.push(`the lavapipe driver does not load: ${(error as Error).message}`);
    return undefined;
  }
  const gpu = await dawnInstance('vulkan');
  for (const adapter of await adaptersOf(gpu)) {
    const about = describe(adapter);
    // Hardware that came first in this process has loaded the other Vulkan drivers.
    if (about.software) return { gpu, adapter, ...about, implementation: await dawnVersion(), why: 'named lavapipe' };
    tried.push(about.name);
  }
  return undefined;
}

async function inNode(tried: Attempt[], wanted: string | undefined, hardwareOnly: boolean): Promise<Omit<FoundAdapter, 'refused'> | undefined> {
  if (wanted?.toLowerCase() === 'lavapipe') return lavapipe(tried);
  const wantsLlvmpipe = wanted !== undefined && 'llvmpipe'.includes(wanted.toLowerCase());
  await importDawn();
  const implementation = await dawnVersion();
  const { loadSoftwareDriver, findSoftwareDriver } = await import('./driver.ts');
  // Dawn reads the environment at its first call, so the software driver's variables must be set by then; they are only set where
  // a software adapter could be taken.
  const software = hardwareOnly ? undefined : findSoftwareDriver();
  let failure: string | undefined;
  if (software !== undefined) {
    try {
      loadSoftwareDriver();
    } catch (error) {
      failure = (error as Error).message;
    }
  }
  const { missingVulkan } = await import('./vulkan.ts');
  const missing = wantsLlvmpipe ? undefined : await missingVulkan();
  if (missing !== undefined) tried.push(missing);
  if (missing !== undefined && hardwareOnly) return undefined;
  if (!wantsLlvmpipe && missing === undefined) {
    const gpu = await dawnInstance(undefined);
    for (const adapter of await adaptersOf(gpu)) {
      const about = describe(adapter);
      if (wanted !== undefined ? matches(about, wanted) : !about.software) {
        return { gpu, adapter, ...about, implementation, why: wanted === undefined ? 'a hardware adapter' : `named ${wanted}` };
      }
      tried.push(about.software ? `${about.name} (software)` : about.name);
    }
    if (hardwareOnly) return undefined;
  }
  if (software === undefined || failure !== undefined) {
    tried.push(failure === undefined ?
      'no llvmpipe driver (node tools/webgpu-driver.mjs fetches one)' : `the llvmpipe driver does not load: ${failure}`);
    return undefined;
  }
  const gpu = await dawnInstance('opengles');
  const adapter = await gpu.requestAdapter({ featureLevel: 'compatibility' });
  if (adapter === null) {
    tried.push('Dawn gives no OpenGL ES adapter');
    return undefined;
  }
  const about = describe(adapter);
  if (wanted !== undefined && !matches(about, wanted)) {
    tried.push(about.name);
    return undefined;
  }
  return { gpu, adapter, ...about, implementation, why: wanted === undefined ? 'no hardware adapter was found' : `named ${wanted}` };
}

/**
 * The adapter asked for by (part of) its name; else a hardware adapter; else, unless `hardwareOnly`, a software one.
 * @throws DeviceError saying what was found in its place; MissingPackageError in Node without npm `webgpu`.
 */
export async function findAdapter(options: {
  readonly adapter?: string | undefined;
  readonly gpu?: GpuLike | undefined;
  readonly hardwareOnly?: boolean | undefined;
}): Promise<FoundAdapter> {
  const tried: Attempt[] = [];
  const wanted = options.adapter === '' ? undefined : options.adapter;
  const given = (options.gpu ?? (isNode ? undefined : globalThis.navigator?.gpu)) as GPU | undefined;
  let found: Omit<FoundAdapter, 'refused'> | undefined;
  if (given !== undefined) found = await inBrowser(given, tried, wanted);
  else if (isNode) found = await inNode(tried, wanted, options.hardwareOnly === true);
  else tried.push('this browser has no navigator.gpu');
  if (found !== undefined && options.hardwareOnly === true && found.software) {
    tried.push(`${found.name} (software)`);
    found = undefined;
  }
  if (found === undefined) {
    const what = wanted === undefined ? (options.hardwareOnly ? 'no hardware WebGPU adapter' : 'no WebGPU adapter') :
      `no WebGPU adapter named "${wanted}"`;
    throw new DeviceError(tried.length === 0 ? what : `${what}; found ${tried.join(', ')}`);
  }
  return { ...found, refused: tried };
}
