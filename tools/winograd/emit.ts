/** Prints the lines of minimal filtering for AssemblyScript and WGSL. */
import type { Filtering } from './derive.ts';
import type { Fraction, Matrix } from './fractions.ts';
import { decimal, show } from './fractions.ts';
import type { Expression, Line, Step } from './lines.ts';
import { linesOf } from './lines.ts';

/** How a language writes what a line is made of. */
interface Language {
  readonly name: (text: string) => string;
  readonly zero: string;
  readonly add: (a: string, b: string) => string;
  readonly subtract: (a: string, b: string) => string;
  readonly multiply: (a: string, by: string) => string;
  readonly madd: (a: string, by: string, c: string) => string;
  readonly constant: (by: Fraction) => string;
}

function print(e: Expression, l: Language): string {
  switch (e.kind) {
    case 'name': return l.name(e.name);
    case 'zero': return l.zero;
    case 'add': return l.add(print(e.a, l), print(e.b, l));
    case 'subtract': return l.subtract(print(e.a, l), print(e.b, l));
    case 'multiply': return l.multiply(print(e.a, l), l.constant(e.by));
    case 'madd': return l.madd(print(e.a, l), l.constant(e.by), print(e.c, l));
  }
}

/** Without the outer pair of brackets, which an expression of its own does not need. */
const bare = (text: string): string => (/^\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)$/.test(text) ? text.slice(1, -1) : text);

const body = (steps: readonly Step[], write: (step: Step) => string): string => steps.map((step) => `  ${write(step)}\n`).join('');

/** Rows of a matrix in columns, for comments and for the console. */
export function rows(matrix: Matrix): string[] {
  const words = matrix.map((row) => row.map(show));
  const width = words[0].map((_, j) => Math.max(...words.map((row) => row[j].length)));
  return words.map((row) => row.map((word, j) => word.padStart(width[j])).join('  '));
}

const title = ({ tile, filter }: Filtering): string => `F(${tile}, ${filter})`;
const pointList = ({ points }: Filtering): string => [...points.map(show), 'infinity'].join(', ');
/** The command that writes the file anew. */
const command = 'npx tsx tools/winograd.ts --write';

export type Target = 'wasm' | 'wgsl';
export const targets: readonly Target[] = ['wasm', 'wgsl'];

/** Where a target's file lies. */
export function fileOf(target: Target, { tile, filter }: Filtering): string {
  const name = `winograd_f${tile}x${filter}`;
  return { wasm: `kernels/wasm/lib/${name.replace('_', '-')}.ts`, wgsl: `shaders/${name}.wgsl` }[target];
}

/** The text of a target's file. */
export function emit(target: Target, f: Filtering): string {
  return { wasm: emitWasm, wgsl: emitWgsl }[target](f);
}

function emitWasm(f: Filtering): string {
  const language: Language = {
    name: (text) => text,
    zero: 'c4(0.0)',
    add: (a, b) => `f32x4.add(${a}, ${b})`,
    subtract: (a, b) => `f32x4.sub(${a}, ${b})`,
    multiply: (a, by) => `f32x4.mul(${a}, ${by})`,
    madd: (a, by, c) => `madd(${a}, ${by}, ${c})`,
    constant: (by) => `c4(${decimal(by)})`,
  };
  const place = (row: number): string => ['to', 'to + step'][row] ?? `to + ${row} * step`;
  const line = ({ name, formula, matrix, inputs, steps }: Line): string => `
/**
 * ${formula} of ${inputs.length} vectors, to \`to\`, \`step\` bytes apart.
 *
${rows(matrix).map((row) => ` *     ${row}\n`).join('')} */
// @ts-ignore: decorator
@inline
export function ${name}(${inputs.map((input) => `${input}: v128`).join(', ')}, to: usize, step: usize): void {
${body(steps, (s) => {
    const text = print(s.as, language);
    return 'define' in s ? `const ${s.define} = ${text};` : `v128.store(${place(s.result)}, ${text});`;
  })}}
`;
  return `/**
 * The one-dimensional transforms of minimal filtering ${title(f)} with points ${pointList(f)}, on four
 * channels at a time; applied to columns and then to rows they give the two-dimensional ones. See winograd.ts.
 *
 * Written by tools/winograd.ts: \`${command}\`. Not for editing.
 */
import { madd } from './simd';

// @ts-ignore: decorator
@inline
function c4(v: f32): v128 {
  return f32x4.splat(v);
}
${linesOf(f).map(line).join('')}`;
}

function emitWgsl(f: Filtering): string {
  const language: Language = {
    name: (text) => (/^[a-z]\d+$/.test(text) ? `${text[0]}.e${text.slice(1)}` : text),
    zero: 'Real()',
    add: (a, b) => `(${a} + ${b})`,
    subtract: (a, b) => `(${a} - ${b})`,
    multiply: (a, by) => `${by} * ${a}`,
    madd: (a, by, c) => `(${by} * ${a} + ${c})`,
    constant: (by) => (decimal(by).startsWith('-') ? `(${decimal(by)})` : decimal(by)),
  };
  const lengths = [...new Set([f.tile, f.filter, f.tile + f.filter - 1])].sort((a, b) => a - b);
  const structs = lengths.map((n) => `struct Line${n} { ${Array.from({ length: n }, (_, i) => `e${i}: Real`).join(', ')} }\n`).join('');
  const line = ({ name, formula, matrix, inputs, steps }: Line): string => `
// ${formula}:
${rows(matrix).map((row) => `//     ${row}\n`).join('')}fn ${name}(${inputs[0][0]}: Line${inputs.length}) -> Line${matrix.length} {
  var line: Line${matrix.length};
${body(steps, (s) => {
    const text = bare(print(s.as, language));
    return 'define' in s ? `let ${s.define} = ${text};` : `line.e${s.result} = ${text};`;
  })}  return line;
}
`;
  return `// The one-dimensional transforms of minimal filtering ${title(f)} with points ${pointList(f)}, on values
// of type Real, which is f32 or vec4f where they are included; applied to columns and then to rows they give the two-dimensional ones.
// Written by tools/winograd.ts: ${command}. Not for editing.

${structs}${linesOf(f).map(line).join('')}`;
}
