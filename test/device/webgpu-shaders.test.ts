/**
 * Every shader, with every set of replacements that lowerings make for the ops' samples, is valid WGSL: kernels for software and for
 * hardware adapters, all variants, float16, subgroups and matrix units. Compiled by Dawn's validating null backend, nothing is run.
 */
import { fileURLToPath } from 'node:url';
import { readdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { create } from 'webgpu';
import type { GpuFeatures, Launch, PlacedLaunch, WebgpuLaunch } from '../../src/device/types.ts';
import { sizeOf } from '../../src/device/types.ts';
import { shaderSource } from '../../src/device/webgpu/shader.ts';
import { withVariant } from '../../src/device/tuner.ts';
import '../../src/fovea.ts';
import { shaders as shaderTexts } from '../../src/generated/shaders.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import { hostArray } from '../../src/graph/leaves.ts';
import type { Sample } from '../../src/graph/op.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { apply } from '../../src/tensor/tensor.ts';
import { halfSamples, samplesOf } from '../../src/testing/check-op.ts';
import { layouts, placed, requested } from '../../src/testing/inputs.ts';
import { planningDevice } from '../support/planning-device.ts';

/** Devices that lowerings may meet: of both kinds without anything, and with matrix units as NVIDIA's, Intel's and lavapipe's. */
const machines: readonly GpuFeatures[] = [
  {},
  { hardware: true },
  { hardware: true, subgroup: 32, matrices: { M: 16, N: 16, K: 16 } },
  { hardware: true, subgroup: 16, matrices: { M: 8, N: 16, K: 16 } },
  { hardware: true, subgroup: 8, matrices: { M: 8, N: 8, K: 8 } },
];

interface Source {
  readonly launch: WebgpuLaunch;
  readonly code: string;
}

/** Text by text, the shaders of all that ops' samples become, in every placement. */
async function collect(): Promise<Map<string, Source>> {
  const sources = new Map<string, Source>();
  const seen = new Set<string>();
  const add = (launch: WebgpuLaunch): void => {
    const key = `${launch.shader} ${JSON.stringify(launch.replace ?? {})}`;
    if (seen.has(key)) return;
    seen.add(key);
    const code = shaderSource(launch.shader, launch.replace);
    sources.set(code, { launch, code });
  };
  const keep = (launch: Launch): void => {
    if (!('shader' in launch)) return;
    add(launch);
    for (const variant of launch.variants ?? []) add(withVariant(launch, variant));
  };
  for (const features of machines) {
    const planning = planningDevice();
    const device = {
      ...planning, features, build: (launches: readonly PlacedLaunch[]) => {
        launches.forEach(({ launch }) => keep(launch));
        return planning.build(launches);
      },
    };
    for (const op of registeredOps()) {
      // Features change matrix products alone.
      if (features.subgroup !== undefined && op.precision !== 'matrix') continue;
      for (const { inputs, outputs } of Object.values(layouts)) {
        const asked = [...samplesOf(op), ...halfSamples(op)].flatMap((sample: Sample) => {
          const values = sample.inputs.map((input, i) =>
            placed(hostArray(input.dtype, sizeOf(input.shape)), input, inputs[i % inputs.length]));
          return apply(op, values, sample.attrs).map((t, i) => requested(t, outputs[i % outputs.length]).tensor.value);
        });
        await evaluate(asked, device);
      }
    }
  }
  // What no op's sample asks for: copies of bytes, and the probes of devices and of the benchmark.
  const others: [string, Record<string, number>][] = [
    ['copy_u8', {}], ['probe_multiply_add', {}], ['probe_subgroups', { THREADS: 64 }],
    ...[[0, 1], [1, 0], [1, 1]].map(([READ, WRITE]): [string, Record<string, number>] => ['probe_stream', { READ, WRITE }]),
    ...machines.flatMap(({ subgroup, matrices }): [string, Record<string, number>][] =>
      (matrices === undefined ? [] : [['probe_matrices', { ...matrices, THREADS: 2 * subgroup! }]])),
  ];
  for (const [shader, replace] of others) keep({ shader, replace, uniforms: [], bindings: [], grid: [1, 1, 1] });
  return sources;
}

const sources = await collect();
// Dawn's instance must outlive what it made: the hook at the end, which names it, keeps it from being collected.
let gpu: GPU | undefined = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
const adapter = (await gpu.requestAdapter())!;
const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
const device = await adapter.requestDevice({ requiredFeatures: features });
const test = suite('shaders');

/** What the compiler has against a text. */
async function failureOf({ code }: Source): Promise<string | undefined> {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  // The null adapter's subgroups have up to 128 threads, of which a workgroup with matrices must be a multiple.
  if (!code.includes('subgroup_matrix_')) device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  return (await device.popErrorScope())?.message.split('\n').slice(0, 4).join(' ');
}

test('every shader that lowerings ask for is valid', async () => {
  const failures: string[] = [];
  for (const source of sources.values()) {
    const failure = await failureOf(source);
    if (failure !== undefined) failures.push(`${source.launch.shader} ${JSON.stringify(source.launch.replace)}: ${failure}`);
  }
  assert.is(failures.length, 0, `${failures.length}: ${failures.slice(0, 5).join('\n')}`);
  assert.ok([...sources.values()].some(({ code }) => code.includes('enable chromium_experimental_subgroup_matrix;')));
  assert.ok([...sources.values()].some(({ code }) => code.includes('subgroupShuffle')));
});

test('a name that the language keeps to itself is refused', async () => {
  const [source] = sources.values();
  assert.match(await failureOf({ ...source, code: `${source.code}\nfn filter() {}` }) ?? '', /'filter' is a reserved keyword/);
});

test('no shader is left out', () => {
  const folder = fileURLToPath(new URL('../../shaders/', import.meta.url));
  const seen = new Set([...sources.values()].map(({ launch }) => launch.shader));
  const named = readdirSync(folder).map((file) => file.replace('.wgsl', ''));
  const missing = named.filter((name) => !seen.has(name) && shaderTexts[name].includes('@compute'));
  assert.equal(missing, []);
});

test.after(() => {
  device.destroy();
  gpu = undefined;
});
test.run();
