import { OptionError } from '../errors.ts';
import { Tensor } from './tensor.ts';

/** Arguments and results of compiled functions: tensors and numbers in arrays and plain objects. */
export type Tree = Tensor | number | readonly Tree[] | { readonly [key: string]: Tree } | void;

/** The shape of a tree without its leaves. */
export type Structure = 'leaf' | 'nothing' | readonly Structure[] | { readonly [key: string]: Structure };

export function flatten(tree: Tree): { leaves: (Tensor | number)[]; structure: Structure } {
  const leaves: (Tensor | number)[] = [];
  const walk = (t: Tree, path: string): Structure => {
    if (t === undefined) return 'nothing';
    if (t instanceof Tensor || typeof t === 'number') {
      leaves.push(t);
      return 'leaf';
    }
    if (Array.isArray(t)) return (t as readonly Tree[]).map((x, i) => walk(x, `${path}[${i}]`));
    const prototype = typeof t === 'object' && t !== null ? Object.getPrototypeOf(t) : undefined;
    if (prototype === Object.prototype || prototype === null) {
      return Object.fromEntries(Object.entries(t as object).map(([k, x]) => [k, walk(x as Tree, `${path}.${k}`)]));
    }
    throw new OptionError(`${path} is ${t === null ? 'null' : `a ${typeof t}`}; a compiled function takes and returns tensors, `
      + 'numbers, and arrays or plain objects of them');
  };
  const structure = walk(tree, 'value');
  return { leaves, structure };
}

export function unflatten(structure: Structure, leaves: readonly Tensor[]): Tree {
  let next = 0;
  const build = (s: Structure): Tree => {
    if (s === 'leaf') return leaves[next++];
    if (s === 'nothing') return undefined;
    if (Array.isArray(s)) return (s as readonly Structure[]).map(build) as Tree;
    return Object.fromEntries(Object.entries(s).map(([k, x]) => [k, build(x)])) as Tree;
  };
  return build(structure);
}

/** What decides whether a Program can be used again. */
export function signatureOf(leaves: readonly (Tensor | number)[], structure: Structure): string {
  const types = leaves.map((x) => (typeof x === 'number' ? 'number' : `${x.dtype}[${x.shape}]`));
  return structure !== 'leaf' && Array.isArray(structure) && structure.every((s) => s === 'leaf')
    ? types.join(', ') : `${types.join(', ')} as ${JSON.stringify(structure)}`;
}
