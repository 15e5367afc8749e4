/** What a benchmark ran on. */
import os from 'node:os';
import { createRequire } from 'node:module';

/** Processor, cores, memory, versions and the date. */
export function machineOf(): Record<string, string | number> {
  const processors = os.cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown', cores: processors.length, memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.arch()}`, node: process.version, v8: process.versions.v8, fovea: versionOf('../../package.json') ?? '',
    webgpu: versionOf('webgpu/package.json') ?? 'not installed', date: new Date().toISOString(),
  };
}

function versionOf(manifest: string): string | undefined {
  try {
    return (createRequire(import.meta.url)(manifest) as { version: string }).version;
  } catch {
    return undefined;
  }
}
