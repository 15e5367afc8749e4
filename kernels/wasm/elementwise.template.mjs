/**
 * Writes the elementwise kernels: out[i] = f(x[i], y[i]) with any strides, zero ones (broadcasting) and negative ones included.
 * f is a v128 expression of src/ops/unary-expressions.ts or binary-expressions.ts.
 *
 * The outer axes are walked row by row, the inner one four elements at a time; an operand that stands still along the inner axis
 * is spread into 16 bytes of scratch and read from there again and again, so that there is one inner loop for all cases. What is
 * left over, and operands with other inner strides, go one element at a time through the same expression: bits do not depend on
 * where an element lies.
 *
 * Arguments: 0 inner length, 1 elements of a row a tile, 2 tiles a row, 3 rows a tile, 4 rows, 5 outer axes, 6 and 7 parameters;
 * 8.. address and inner stride of out, x, y, c; 16.. for each outer axis, outermost first: length, byte strides of out, x, y, c.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';

/** Loads a TypeScript module that imports types alone. */
async function load(file) {
  const { code } = transformSync(readFileSync(file, 'utf8'), { loader: 'ts', format: 'esm' });
  return import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`);
}

const operandNames = ['x', 'y', 'c'];

function kernel(name, expression, arity, parameters = []) {
  const operands = operandNames.slice(0, arity);
  const all = ['o', ...operands];
  const each = (f) => operands.map(f).join('\n');
  const every = (f) => all.map(f).join('\n');
  return `
export function ${name}(args: usize, tile: i32, scratch: usize): void {
  const n = int(args, 0), tilesPerRow = int(args, 2), dims = int(args, 5);
  let row = 0, last = 0, from = 0, to = n;
  if (tilesPerRow > 1) {
    row = tile / tilesPerRow;
    last = row + 1;
    from = (tile % tilesPerRow) * int(args, 1);
    to = min32(from + int(args, 1), n);
  } else {
    row = tile * int(args, 3);
    last = min32(row + int(args, 3), int(args, 4));
  }
  ${parameters.map((p, i) => `const ${p} = f32x4.splat(float(args, ${6 + i}));`).join('\n')}
  ${every((v, i) => `const s${v} = int(args, ${9 + 2 * i});`)}
  const vector = so == 4${operands.map((v) => ` && (s${v} == 4 || s${v} == 0)`).join('')};
  ${each((v) => `const step${v}: usize = s${v} == 0 ? 0 : 16;`)}
  for (; row < last; row++) {
    ${every((v, i) => `let p${v} = addr(args, ${8 + 2 * i}) + <usize>(from * s${v});`)}
    let rest = row;
    for (let d = dims - 1; d >= 0; d--) {
      const axis = args + ((<usize>(16 + 5 * d)) << 2);
      const length = load<i32>(axis);
      let index = rest;
      if (d > 0) {
        rest = index / length;
        index -= rest * length;
      }
      ${every((v, i) => `p${v} += <usize>(index * load<i32>(axis, ${4 + 4 * i}));`)}
    }
    let i = from;
    if (vector && to - from >= 4) {
      ${each((v, i) => `let q${v} = p${v};
      if (s${v} == 0) {
        q${v} = scratch + ${16 * i};
        v128.store(q${v}, v128.load32_splat(p${v}));
      }`)}
      for (; i + 4 <= to; i += 4) {
        ${each((v) => `const ${v} = v128.load(q${v});`)}
        v128.store(po, ${expression});
        po += 16;
        ${each((v) => `q${v} += step${v};`)}
      }
      ${each((v) => `p${v} += <usize>((i - from) * s${v});`)}
    }
    for (; i < to; i++) {
      ${each((v) => `const ${v} = v128.load32_splat(p${v});`)}
      store<i32>(po, i32x4.extract_lane(${expression}, 0));
      po += <usize>so;
      ${each((v) => `p${v} += <usize>s${v};`)}
    }
  }
}
`;
}

/** AssemblyScript source of all elementwise kernels: `add`, `addInt`, `exp`, `identity`, ... */
export async function elementwiseSource(root) {
  const { unaryExpressions } = await load(join(root, 'src/ops/unary-expressions.ts'));
  const { binaryExpressions, whereExpression } = await load(join(root, 'src/ops/binary-expressions.ts'));
  const parts = [kernel('ew_identity', 'x', 1)];
  for (const [name, e] of Object.entries(unaryExpressions)) parts.push(kernel(`ew_${name}`, e.wasm, 1, e.parameters));
  for (const [name, e] of Object.entries(binaryExpressions)) {
    parts.push(kernel(`ew_${name}`, e.wasm, 2, e.parameters));
    if (e.wasmInt) parts.push(kernel(`ew_${name}Int`, e.wasmInt, 2));
  }
  parts.push(kernel('ew_where', whereExpression.wasm, 3));
  return `import { addr, float, int, min32 } from './lib/simd';
import { cos4, exp4, log4, pow4, sin4, tanh4 } from './lib/math';
${parts.join('')}`;
}
