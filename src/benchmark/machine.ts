/** What a benchmark ran on. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { createRequire } from 'node:module';

/** Processor, cores, memory, versions and the date. */
export function machineOf(): Record<string, string | number> {
  const processors = os.cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown', ...generationOf(), cores: processors.length, memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.arch()}`, node: process.version, v8: process.versions.v8, fovea: versionOf('../../package.json') ?? '',
    webgpu: versionOf('webgpu/package.json') ?? 'not installed', date: new Date().toISOString(),
  };
}

/** The processor's family and model, where the system tells: virtual machines call several generations by one name. */
function generationOf(): Record<string, number> {
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8');
    const found = ([['family', 'cpu family'], ['model', 'model']] as const).map(([key, label]) =>
      [key, Number(new RegExp(`^${label}\\s*: (\\d+)$`, 'm').exec(text)?.[1])] as const);
    return Object.fromEntries(found.filter(([, value]) => Number.isInteger(value)));
  } catch {
    return {};
  }
}

function versionOf(manifest: string): string | undefined {
  try {
    return (createRequire(import.meta.url)(manifest) as { version: string }).version;
  } catch {
    return undefined;
  }
}
