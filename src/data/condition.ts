/**
 * Conditions over the columns of a table, such as `grade >= 2 or dme >= 1`: which rows are positive.
 *
 * mathjs parses; what it parsed is checked node by node against a short list (numbers, strings, columns, + - * /,
 * comparisons, and/or/xor/not, abs/min/max), then evaluated here. An empty cell is unknown, and unknown spreads as in
 * SQL (Kleene's logic): `unknown or true` is true, `unknown or false` is unknown.
 */
import type * as MathJs from 'mathjs';
import { DataError, OptionError } from '../errors.ts';
import { didYouMean, nearest } from '../nearest.ts';
import { importPackage } from './node.ts';

export interface Condition {
  readonly text: string;
  /** The columns it reads, in the order of their first use. */
  readonly columns: readonly string[];
  /** Whether the row meets it; undefined where an empty cell leaves that open. @throws DataError for text in sums. */
  test(row: Readonly<Record<string, string>>): boolean | undefined;
}

type Value = number | string | boolean | undefined;
type Row = Readonly<Record<string, string>>;
interface Compiled {
  kind: 'truth' | 'value';
  run(row: Row): Value;
}

const comparisons: Record<string, (a: number, b: number) => boolean> = {
  '>': (a, b) => a > b, '>=': (a, b) => a >= b, '<': (a, b) => a < b, '<=': (a, b) => a <= b,
};
const arithmetic: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b,
};
const functions: Record<string, (...values: number[]) => number> = { abs: Math.abs, min: Math.min, max: Math.max };
const relational: Record<string, string> = {
  smaller: '<', smallerEq: '<=', larger: '>', largerEq: '>=', equal: '==', unequal: '!=',
};

/**
 * Compiles a condition. A column whose name is no plain word takes underscores: `Image_grade` for 'Image grade'.
 *
 * @param columns all the columns there are.
 * @throws OptionError, before any row is read, for what does not parse, an unknown column (with its nearest neighbour
 *   and the list) or function, anything beyond the list above, or an expression that is not a condition.
 */
export async function compileCondition(text: string, columns: readonly string[]): Promise<Condition> {
  const { parse } = await importPackage<typeof MathJs>('mathjs/number', 'an expression over columns');
  const used: string[] = [];
  const fail = (reason: string): never => {
    throw new OptionError(`expression '${text}': ${reason}`);
  };
  let root: MathJs.MathNode;
  try {
    root = parse(text);
  } catch (cause) {
    const hint = /&&|\|\|/.test(text) ? " (write 'and', 'or')" : '';
    throw new OptionError(`expression '${text}': ${(cause as Error).message}${hint}`, { cause });
  }
  const compiled = compileNode(root, { columns, used, fail });
  if (compiled.kind !== 'truth') fail("not a condition: compare something, as in 'grade >= 2'");
  return {
    text, columns: used,
    test(row) {
      return compiled.run(row) as boolean | undefined;
    },
  };
}

interface Context {
  columns: readonly string[];
  used: string[];
  fail(reason: string): never;
}

function compileNode(node: MathJs.MathNode, context: Context): Compiled {
  const { fail } = context;
  switch (node.type) {
    case 'ParenthesisNode':
      return compileNode((node as MathJs.ParenthesisNode).content, context);
    case 'ConstantNode': {
      const { value } = node as MathJs.ConstantNode;
      if (typeof value === 'boolean') return { kind: 'truth', run: () => value };
      if (typeof value === 'number' || typeof value === 'string') return { kind: 'value', run: () => value };
      return fail(`${node.toString()} cannot be used here`);
    }
    case 'SymbolNode':
      return compileColumn((node as MathJs.SymbolNode).name, context);
    case 'OperatorNode':
      return compileOperator(node as MathJs.OperatorNode, context);
    case 'RelationalNode': {
      const { conditionals, params } = node as unknown as { conditionals: string[]; params: MathJs.MathNode[] };
      const parts = params.map((param) => need('value', param, context));
      const links = conditionals.map((name, i) => compare(relational[name], parts[i], parts[i + 1], context));
      return links.reduce((a, b) => logical('and', a, b));
    }
    case 'FunctionNode': {
      const { fn, args } = node as MathJs.FunctionNode;
      const name = (fn as { name?: string }).name ?? String(fn);
      if (!Object.hasOwn(functions, name)) {
        const known = Object.keys(functions);
        return fail(`unknown function '${name}'; there are ${known.join(', ')}${didYouMean(name, known)}`);
      }
      if (args.length === 0 || (name === 'abs' && args.length > 1)) fail(`${name} of ${args.length} values`);
      const parts = args.map((arg) => need('value', arg, context));
      return { kind: 'value', run: (row) => numeric(parts.map((part) => part.run(row)), functions[name], context) };
    }
    case 'AssignmentNode':
      return fail("'=' assigns; write '==' to compare");
    default:
      return fail(`'${node.toString()}' is not allowed: columns, numbers, "text", + - * /, comparisons, and, or, not`);
  }
}

function compileColumn(name: string, context: Context): Compiled {
  const column = context.columns.find((c) => c === name) ??
    context.columns.find((c) => c.replace(/[^A-Za-z0-9_]+/g, '_') === name);
  if (column === undefined) {
    const quoted = nearest(name, context.columns) === undefined ? ' (text goes in quotes)' : '';
    const hint = didYouMean(name, context.columns) || ';';
    return context.fail(`unknown column '${name}'${quoted}${hint} columns: ${context.columns.join(', ')}`);
  }
  if (!context.used.includes(column)) context.used.push(column);
  return {
    kind: 'value',
    run(row) {
      const cell = row[column];
      if (cell === undefined || cell === '') return undefined;
      const number = Number(cell);
      return Number.isNaN(number) ? cell : number;
    },
  };
}

function compileOperator(node: MathJs.OperatorNode, context: Context): Compiled {
  const { op } = node;
  if ((node as unknown as { implicit: boolean }).implicit) {
    context.fail(`'${node.toString()}' lacks an operator between its two parts`);
  }
  if (op === 'and' || op === 'or' || op === 'xor') {
    return logical(op, need('truth', node.args[0], context), need('truth', node.args[1], context));
  }
  if (op === 'not') {
    const part = need('truth', node.args[0], context);
    return {
      kind: 'truth',
      run(row) {
        const value = part.run(row);
        return value === undefined ? undefined : !value;
      },
    };
  }
  if (node.args.length === 2 && (op in comparisons || op === '==' || op === '!=')) {
    return compare(op, need('value', node.args[0], context), need('value', node.args[1], context), context);
  }
  if (op in arithmetic) {
    const parts = node.args.map((arg) => need('value', arg, context));
    // A sign is a sum with zero.
    const f = parts.length === 1 ? (a: number) => arithmetic[op](0, a) : arithmetic[op];
    return { kind: 'value', run: (row) => numeric(parts.map((part) => part.run(row)), f, context) };
  }
  return context.fail(`operator '${op}' is not allowed: + - * /, comparisons, and, or, xor, not`);
}

function need(kind: 'truth' | 'value', node: MathJs.MathNode, context: Context): Compiled {
  const compiled = compileNode(node, context);
  if (compiled.kind !== kind) {
    context.fail(kind === 'truth'
      ? `'${node.toString()}' is not a condition: compare it, as in '${node.toString()} >= 1'`
      : `'${node.toString()}' is a condition where a value was expected`);
  }
  return compiled;
}

function logical(op: string, a: Compiled, b: Compiled): Compiled {
  return {
    kind: 'truth',
    run(row) {
      const [x, y] = [a.run(row), b.run(row)];
      if (op === 'and' && (x === false || y === false)) return false;
      if (op === 'or' && (x === true || y === true)) return true;
      if (x === undefined || y === undefined) return undefined;
      return op === 'xor' ? x !== y : op === 'and';
    },
  };
}

function compare(op: string, a: Compiled, b: Compiled, context: Context): Compiled {
  return {
    kind: 'truth',
    run(row) {
      const [x, y] = [a.run(row), b.run(row)];
      if (x === undefined || y === undefined) return undefined;
      if (op === '==') return x === y || String(x) === String(y);
      if (op === '!=') return x !== y && String(x) !== String(y);
      return comparisons[op](asNumber(x, context), asNumber(y, context));
    },
  };
}

function numeric(values: Value[], f: (...values: number[]) => number, context: Context): Value {
  return values.includes(undefined) ? undefined : f(...values.map((value) => asNumber(value, context)));
}

function asNumber(value: Value, context: Context): number {
  if (typeof value === 'number') return value;
  // Reached with data at hand only: the row's fault, which the caller names.
  throw new DataError(`'${String(value)}' is not a number (columns used: ${context.used.join(', ')})`);
}
