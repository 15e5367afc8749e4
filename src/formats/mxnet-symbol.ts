/**
 * MXNet's symbol JSON, read in every spelling that has existed and written as MXNet 1.9 writes it, byte for byte.
 * After dmlc/nnvm src/pass/saveload_json.cc, dmlc-core include/dmlc/json.h and apache/mxnet src/nnvm/legacy_json_util.cc.
 */
import { FormatError, FoveaError, OptionError } from '../errors.ts';
import type { Operator } from '../nn/operator.ts';
import { findOperator } from '../nn/operators.ts';
import { parseAttributes } from '../nn/attributes.ts';
import { ModelSymbol } from '../nn/symbol.ts';
import type { SymbolJson, SymbolJsonNode } from '../nn/symbol.ts';

/** Keys of users' attributes that old files wrote bare; they are `__key__` now. */
const hiddenKeys = ['ctx_group', 'lr_mult', 'wd_mult', 'force_mirroring', 'mirror_stage', 'profiler_scope'];

interface RawNode {
  readonly op: string;
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly inputs: readonly (readonly [number, number])[];
}

/** The version from which on files list the states of batch norms: 0.9.0. Older ones name no version. */
const FIRST_WITH_STATES = 900;

/**
 * How a batch norm of an old file is read that does not state what it means: by the defaults of MXNet 1.9, or by those of 2015, before
 * `fix_gamma` came (apache/mxnet, December 2015).
 */
export const batchNormDefaults = ['mxnet-1.9', '2015'] as const;
export type BatchNormDefaults = (typeof batchNormDefaults)[number];

const defaultsOf2015 = { eps: '1e-10', momentum: '0.1', fix_gamma: 'False' };

export interface ReadSymbolOptions {
  /** For messages. */
  readonly file: string;
  /** Default `mxnet-1.9`, as MXNet itself reads such files. */
  readonly batchNorm?: BatchNormDefaults;
  /** Told what was assumed. */
  readonly warn?: (message: string) => void;
}

/**
 * A symbol from the text of a `-symbol.json` file. Files of before MXNet 0.9 get the variables that they leave out; a batch norm there
 * that states no `fix_gamma` or no `eps` is warned of.
 *
 * @throws FormatError with file, node and field, for what is no symbol and for operators and attributes that are not known
 */
export function readSymbol(text: string, options: ReadSymbolOptions): ModelSymbol {
  const fail = (problem: string): never => {
    throw new FormatError(`${options.file}: ${problem}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    fail(`not JSON: ${(error as Error).message}`);
  }
  if (!isObject(json)) return fail('expected a JSON object');
  if (!Array.isArray(json.nodes) || json.nodes.length === 0) return fail('nodes: expected a list of nodes');
  let raw = json.nodes.map((node: unknown, i: number) => readNode(node, i, fail));
  if (versionOf(json, fail) < FIRST_WITH_STATES) raw = settleBatchNorms(raw, options);
  const heads = readEntries(json.heads, 'heads', raw.length, fail);
  if (heads.length === 0) fail('heads: expected one output or more');
  checkArguments(json.arg_nodes, raw, fail);
  try {
    return ModelSymbol.fromJSON(upgrade(raw, heads));
  } catch (error) {
    if (error instanceof FormatError || !(error instanceof FoveaError)) throw error;
    throw new FormatError(`${options.file}: ${error.message}`, { cause: error });
  }
}

type Fail = (problem: string) => never;

/** 0 where the file names none: it is of before 0.9. */
function versionOf(json: Record<string, unknown>, fail: Fail): number {
  if (!isObject(json.attrs) || json.attrs.mxnet_version === undefined) return 0;
  const stated = json.attrs.mxnet_version;
  const version: unknown = Array.isArray(stated) ? stated[1] : stated;
  if (!Number.isSafeInteger(version)) return fail(`the symbol's attrs.mxnet_version: expected ["int", version], got ${JSON.stringify(stated)}`);
  return version as number;
}

/** Batch norms that leave open what they mean, read by the defaults asked for. */
function settleBatchNorms(raw: readonly RawNode[], { file, batchNorm = 'mxnet-1.9', warn }: ReadSymbolOptions): RawNode[] {
  const open = raw.filter(({ op, attributes: a }) => /^(CuDNN)?BatchNorm(_v1)?$/.test(op) && (a.fix_gamma === undefined || a.eps === undefined));
  if (open.length === 0) return [...raw];
  if (batchNorm === '2015') {
    return raw.map((node) => (open.includes(node) ? { ...node, attributes: { ...defaultsOf2015, ...node.attributes } } : node));
  }
  const names = open.slice(0, 3).map((node) => `"${node.name}"`).join(', ');
  warn?.(`${file}: ${open.length} batch norm${open.length === 1 ? '' : 's'} (${names}${open.length > 3 ? ', ...' : ''}) of a file of before MXNet 0.9 ` +
    'state no fix_gamma or no eps: read as MXNet 1.9.1 reads them, fix_gamma True (gamma taken as 1), eps 1e-3, momentum 0.9. In 2015 gamma was learned, ' +
    "eps 1e-10, momentum 0.1: option batchNorm: '2015' (--batch-norm-defaults 2015) reads them so");
  return [...raw];
}

function readNode(node: unknown, index: number, fail: Fail): RawNode {
  if (!isObject(node)) return fail(`nodes[${index}]: expected an object`);
  const { op, name } = node;
  if (typeof op !== 'string' || op === '') return fail(`nodes[${index}].op: expected text, got ${JSON.stringify(op)}`);
  // Layers made by operators of C++ (a + b) bear no name.
  if (typeof name !== 'string' || (name === '' && op === 'null')) {
    return fail(`nodes[${index}].name: expected text, got ${JSON.stringify(name)}`);
  }
  const at = `nodes[${index}] "${name}"`;
  const attributes: Record<string, string> = Object.create(null) as Record<string, string>;
  // `param` held the operator's settings, `attr` the user's; `attrs` holds both.
  for (const spelling of ['param', 'attr', 'attrs']) {
    const found = node[spelling];
    if (found === undefined) continue;
    if (!isObject(found)) return fail(`${at}.${spelling}: expected an object of texts`);
    for (const [key, value] of Object.entries(found)) {
      if (typeof value !== 'string') fail(`${at}.${spelling}.${key}: expected text, got ${JSON.stringify(value)}`);
      const hidden = hiddenKeys.includes(key) || (spelling !== 'param' && hiddenKeys.some((k) => key.endsWith(`_${k}`)));
      attributes[hidden ? `__${key}__` : key] = value as string;
    }
  }
  const inputs = readEntries(node.inputs, `${at}.inputs`, index, fail);
  if (op === 'null' && inputs.length > 0) fail(`${at}.inputs: a variable has none`);
  return { op, name, attributes, inputs };
}

/** [node, output] or [node, output, version], of nodes before `limit`. */
function readEntries(value: unknown, at: string, limit: number, fail: Fail): (readonly [number, number])[] {
  if (!Array.isArray(value)) return fail(`${at}: expected a list`);
  return value.map((entry: unknown, i: number) => {
    const good = Array.isArray(entry) && (entry.length === 2 || entry.length === 3) &&
      entry.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
    if (!good) return fail(`${at}[${i}]: expected [node, output], got ${JSON.stringify(entry)}`);
    const [node, output] = entry as [number, number];
    if (node >= limit) return fail(`${at}[${i}]: node ${node} does not come before`);
    return [node, output] as const;
  });
}

function checkArguments(value: unknown, raw: readonly RawNode[], fail: Fail): void {
  if (!Array.isArray(value)) return fail('arg_nodes: expected a list');
  const variables = raw.flatMap((n, i) => (n.op === 'null' ? [i] : []));
  if (value.length !== variables.length || value.some((n, i) => n !== variables[i])) {
    fail('arg_nodes: does not list the variables of nodes');
  }
}

/**
 * Old files list no states of batch norms: missing trailing inputs are made, named as MXNet names them. Attributes that old
 * files put on a layer for its variables (`weight_lr_mult`) move there.
 */
function upgrade(
  raw: readonly RawNode[],
  heads: readonly (readonly [number, number])[],
): Pick<SymbolJson, 'nodes' | 'heads'> {
  const nodes: SymbolJsonNode[] = [];
  const moved = new Map<number, number>();
  const place = ([node, output]: readonly [number, number]): [number, number, number] => [moved.get(node)!, output, 0];
  raw.forEach((node, index) => {
    let { attributes } = node;
    const inputs = node.inputs.map(place);
    if (node.op !== 'null') {
      const operator = findOperator(node.op, node.name);
      attributes = passOn(attributes, operator, node, nodes, inputs);
      const own = ownAttributes(attributes);
      const names = operator.inputs?.(parseAttributes(node.name, operator.name, operator.schema, attributes));
      for (let i = inputs.length; names !== undefined && i < names.length; i++) {
        inputs.push([nodes.length, 0, 0]);
        nodes.push({ op: 'null', name: `${node.name}_${names[i]}`, attrs: own, inputs: [] });
      }
      if (names !== undefined && inputs.length > names.length) {
        throw new OptionError(`layer "${node.name}" (${node.op}): ${inputs.length} inputs, ` +
          `takes ${names.length} (${names.join(', ')})`);
      }
    }
    moved.set(index, nodes.length);
    nodes.push({ op: node.op, name: node.name, attrs: { ...attributes }, inputs });
  });
  return { nodes, heads: heads.map(place) };
}

/** Moves `__INPUT_lr_mult__` and its like from a layer to that input's variable. */
function passOn(
  attributes: Record<string, string>,
  operator: Operator,
  node: RawNode,
  nodes: SymbolJsonNode[],
  inputs: readonly (readonly number[])[],
): Record<string, string> {
  const left: Record<string, string> = {};
  const names = ['data', 'weight', 'bias', 'gamma', 'beta'];
  for (const [key, value] of Object.entries(attributes)) {
    const match = /^__([a-z]+)_(.+)__$/.exec(key);
    if (match === null || !names.includes(match[1]) || !hiddenKeys.includes(match[2])) {
      left[key] = value;
      continue;
    }
    const known = operator.inputs?.(parseAttributes(node.name, operator.name, operator.schema, attributes)) ?? [];
    const target = inputs[known.indexOf(match[1])];
    const variable = target === undefined ? undefined : nodes[target[0]];
    if (variable?.op !== 'null') continue;
    nodes[target[0]] = { ...variable, attrs: { ...variable.attrs, [`__${match[2]}__`]: value } };
  }
  return left;
}

function ownAttributes(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => key.startsWith('__')));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text of a `-symbol.json` file: the same bytes for the same symbol, and MXNet 1.9's own. */
export function writeSymbol(symbol: ModelSymbol): string {
  const json = symbol.toJSON();
  const out = ['{\n  "nodes": [\n'];
  json.nodes.forEach((node, i) => {
    out.push(`    {\n      "op": ${quote(node.op)}, \n      "name": ${quote(node.name)}, \n`);
    if (node.attrs !== undefined) out.push(`      "attrs": ${writeMap(node.attrs, '      ')}, \n`);
    out.push(`      "inputs": ${writeList(node.inputs.map((e) => `[${e.join(', ')}]`), '      ')}\n`);
    out.push(i === json.nodes.length - 1 ? '    }\n' : '    }, \n');
  });
  out.push('  ], \n');
  out.push(`  "arg_nodes": ${writeList(json.arg_nodes.map(String), '  ')}, \n`);
  out.push(`  "node_row_ptr": ${writeList(json.node_row_ptr.map(String), '  ')}, \n`);
  out.push(`  "heads": ${writeList(json.heads.map((e) => `[${e.join(', ')}]`), '  ')}, \n`);
  out.push(`  "attrs": {"mxnet_version": ["int", ${json.attrs.mxnet_version[1]}]}\n}`);
  return out.join('');
}

/** dmlc's writer puts lists of more than 10 elements on lines of their own. */
function writeList(items: readonly string[], indent: string): string {
  if (items.length <= 10) return `[${items.join(', ')}]`;
  return `[\n${items.map((item) => `${indent}  ${item}`).join(', \n')}\n${indent}]`;
}

/** And objects of more than one field. */
function writeMap(map: Readonly<Record<string, string>>, indent: string): string {
  const fields = Object.entries(map).map(([key, value]) => `${quote(key)}: ${quote(value)}`);
  if (fields.length <= 1) return `{${fields.join('')}}`;
  return `{\n${fields.map((field) => `${indent}  ${field}`).join(', \n')}\n${indent}}`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
