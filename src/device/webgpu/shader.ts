/** Shader sources: includes and replacements filled in. */
import { DeviceError } from '../../errors.ts';
import { shaders } from '../../generated/shaders.ts';

/**
 * The source of a shader with `//#include NAME` lines replaced by the files of those names, and `${NAME}` by `replace`.
 * @throws DeviceError for an unknown file, or a replacement that is missing.
 */
export function shaderSource(name: string, replace: Readonly<Record<string, string | number>> = {}): string {
  const text = expand(name, new Set());
  return text.replace(/\$\{(\w+)\}/g, (_, key: string) => {
    const value = replace[key];
    if (value === undefined) throw new DeviceError(`shader "${name}" needs a replacement for \${${key}}`);
    return String(value);
  });
}

function expand(name: string, included: Set<string>): string {
  const text = shaders[name];
  if (text === undefined) throw new DeviceError(`no shader named "${name}" under shaders/`);
  included.add(name);
  return text.replace(/^\/\/#include (\w+)\s*$/gm, (_, other: string) => (included.has(other) ? '' : expand(other, included)));
}
