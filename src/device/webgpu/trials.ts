/** What trials of variants need of a WebGPU device. */
import type { TrialHost } from '../trials.ts';
import type { Device, WebgpuLaunch } from '../types.ts';
import { buildExecutable } from './encode.ts';
import type { ExecutableHost } from './executable.ts';
import { boundOffset, boundRange } from './launch.ts';
import { scoped } from './scopes.ts';

export function trialHost(device: Device, host: ExecutableHost): TrialHost<WebgpuLaunch> {
  return {
    device,
    compile: async (launches) => void await Promise.all(launches.map((one) => host.pipelines.get(one))),
    operands: ({ bindings }) => bindings.map(({ value }) => value),
    results: ({ bindings }) => bindings.filter(({ access }) => access === 'write' || access === 'read-write').map(({ value }) => value),
    bytesOf: (value) => boundRange(value).bytes,
    inBuffer: (value, buffer) => ({ ...value, buffer, offset: boundOffset(value) }),
    moved: (launch, to) => ({ ...launch, bindings: launch.bindings.map((b) => ({ ...b, value: to(b.value) })) }),
    watched: (work) => scoped(host.device, work),
    // Its first run is in error scopes.
    build: (launches) => buildExecutable(host, launches),
  };
}
