/**
 * Shader sources: includes, replacements and repeated lines filled in.
 *
 * Register tiles need their statements written out, since a software adapter keeps an array that is indexed by a variable in memory.
 * So that a kernel file stays readable, lines between `//#for i 8` and `//#end` are repeated with `$i` = 0 .. 7, and lines between
 * `//#if 1` or `//#if 0` and `//#end` are kept or left out (`//#else` is allowed). They nest.
 *
 * `//#input 2 x vec4f 1` declares binding 2 as what `loadX(i)` reads element `i` of, of the type given: a storage buffer, or with 1 at
 * the end a texture (of vec4f only), which software adapters read several times as fast.
 *
 * Extensions of the language are enabled by what the text names, once everything is filled in.
 */
import { DeviceError } from '../../errors.ts';
import { shaders } from '../../generated/shaders.ts';

const extensions: readonly (readonly [string, RegExp])[] = [
  ['f16', /\b(f16|vec[234]h)\b/],
  ['subgroups', /\bsubgroup/],
  ['chromium_experimental_subgroup_matrix', /\bsubgroup_matrix_/],
];

/**
 * The source of a shader: lines `//#include NAME` replaced by the files of those names, `${NAME}` by `replace`, then repeats.
 * @throws DeviceError for an unknown file, a replacement that is missing, or a repeat that does not end.
 */
export function shaderSource(name: string, replace: Readonly<Record<string, string | number>> = {}): string {
  const included = new Set<string>([name]);
  const fill = (text: string): string => includeFiles(text, included).replace(/\$\{(\w+)\}/g, (_, key: string) => {
    const value = replace[key];
    if (value === undefined) throw new DeviceError(`shader "${name}" needs a replacement for \${${key}}`);
    return String(value);
  });
  // Replacements may include files too, and those have replacements of their own.
  const text = includeFiles(declareInputs(fill(fill(sourceOf(name)))), included);
  const code = repeatLines(name, text.split('\n')).join('\n');
  const words = code.replace(/\/\/.*$/gm, '');
  return [...extensions.filter(([, sign]) => sign.test(words)).map(([name]) => `enable ${name};`), code].join('\n');
}

function sourceOf(name: string): string {
  const text = shaders[name];
  if (text === undefined) throw new DeviceError(`no shader named "${name}" under shaders/`);
  return text;
}

function includeFiles(text: string, included: Set<string>): string {
  return text.replace(/^\/\/#include (\w+)\s*$/gm, (_, other: string) => {
    if (included.has(other)) return '';
    included.add(other);
    return includeFiles(sourceOf(other), included);
  });
}

function declareInputs(text: string): string {
  return text.replace(/^\/\/#input (\d+) (\w)(\w*) (\w+) ([01])$/gm, (_, binding: string, head: string, tail: string, type: string, through: string) => {
    const name = head + tail;
    const load = `fn load${head.toUpperCase()}${tail}(i: u32) -> ${type}`;
    return through === '1'
      ? `//#include texel\n@group(0) @binding(${binding}) var ${name}: texture_2d<f32>;\n${load} { return textureLoad(${name}, texel(i), 0); }`
      : `@group(0) @binding(${binding}) var<storage, read> ${name}: array<${type}>;\n${load} { return ${name}[i]; }`;
  });
}

function repeatLines(name: string, lines: readonly string[]): string[] {
  const out: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const start = /^\s*\/\/#(?:for (\w+)|if) (\d+)\s*$/.exec(lines[at]);
    if (start === null) {
      out.push(lines[at]);
      continue;
    }
    const [, variable, count] = start;
    let depth = 1;
    let end = at;
    let otherwise: number | undefined;
    while (depth > 0) {
      if (++end >= lines.length) throw new DeviceError(`shader "${name}": "${lines[at].trim()}" has no //#end`);
      if (/^\s*\/\/#(for|if) /.test(lines[end])) depth++;
      if (/^\s*\/\/#end\s*$/.test(lines[end])) depth--;
      if (depth === 1 && /^\s*\/\/#else\s*$/.test(lines[end])) otherwise = end;
    }
    if (variable === undefined) {
      const [from, to] = Number(count) !== 0 ? [at + 1, otherwise ?? end] : [(otherwise ?? end) + 1, end];
      out.push(...repeatLines(name, lines.slice(from, to)));
    } else {
      const body = lines.slice(at + 1, end);
      for (let i = 0; i < Number(count); i++) {
        out.push(...repeatLines(name, body.map((line) => line.replaceAll(`$${variable}`, String(i)))));
      }
    }
    at = end;
  }
  return out;
}
