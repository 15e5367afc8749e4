/**
 * The list of faults that tools/faults.ts seeds follows the code: each is where it says it is, changes what is compiled, and names
 * tests that there are. What the tests make of the faults, the tool itself finds out.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../src/fovea.ts';
import { registeredOps } from '../../src/graph/op.ts';
import { samplesOf } from '../../src/testing/check-op.ts';
import { commandOf, withFault } from '../../tools/faults/fault.ts';
import type { Fault } from '../../tools/faults/fault.ts';
import { wasmFaults } from '../../tools/faults/wasm.ts';
import { wgslFaults } from '../../tools/faults/wgsl.ts';
import { throws } from '../support/errors.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const faults = [...wasmFaults, ...wgslFaults];
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Without comments and spaces: what a compiler sees. WGSL's `//#if` and the like are carried out before it. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/(?!#).*$/gm, '').replace(/\s+/g, ' ');
}

for (const fault of faults) {
  test(`${fault.name}: ${fault.what}`, () => {
    const text = read(fault.file);
    assert.is.not(code(withFault(text, fault)), code(text), 'nothing that is compiled changes');
    assert.ok(existsSync(join(root, fault.test.file)), `${fault.test.file} is gone`);
    for (const name of fault.test.ops ?? []) {
      const op = registeredOps().find((one) => one.name === name);
      assert.ok(op !== undefined && samplesOf(op).length > 0, `no op "${name}" with samples`);
    }
    assert.match(commandOf(fault.test), /^FOVEA_RUNNERS=(cpu|webgpu) /);
  });
}

test('names are unique; both devices have many, and every kind of kernel has some', () => {
  assert.is(new Set(faults.map(({ name }) => name)).size, faults.length);
  assert.ok(wasmFaults.length >= 24 && wgslFaults.length >= 24);
  const listed = (list: readonly Fault[]): Set<string> => new Set(list.map(({ file }) => file));
  // Files that hold declarations alone, or formulas that others would be wrong without.
  const spared = [
    'kernels/wasm/lib/simd.ts', 'shaders/conv_uniforms.wgsl', 'shaders/depthwise_uniforms.wgsl', 'shaders/norm_uniforms.wgsl',
    // Measurements for the benchmark's roofline, which have no right result.
    'kernels/wasm/probe.ts', 'shaders/probe_multiply_add.wgsl', 'shaders/probe_stream.wgsl',
    // What decides about a GPU's subgroups and matrix units, and what uses the latter: no software adapter runs them.
    'shaders/probe_matrices.wgsl', 'shaders/probe_subgroups.wgsl', 'shaders/tile_matrices.wgsl',
  ];
  const kernels = [
    ...readdirSync(join(root, 'kernels/wasm'), { recursive: true }).map((name) => `kernels/wasm/${String(name).replaceAll('\\', '/')}`),
    ...readdirSync(join(root, 'shaders')).map((name) => `shaders/${name}`),
  ].filter((path) => /\.(ts|mjs|wgsl)$/.test(path) && !spared.includes(path));
  assert.equal(kernels.filter((path) => !listed(faults).has(path)), [], 'kernel files without a fault');
});

test('a fault whose text is gone, or there more often, is refused by name', () => {
  const fault: Fault = { name: 'x', what: '', file: 'a.wgsl', find: 'b', replace: 'c', test: { file: 'd', runner: 'cpu' } };
  assert.is(withFault('a b', fault), 'a c');
  assert.is(withFault('b b b', { ...fault, occurs: { times: 3, take: 2 } }), 'b c b');
  throws(() => withFault('a', fault), Error, /fault x: expected 1 of "b" in a\.wgsl, found 0/);
  throws(() => withFault('b b', fault), Error, /found 2/);
});

test.run();
