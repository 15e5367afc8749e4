import { OptionError } from '../errors.ts';

/**
 * A Graphviz graph (`toDot`) as a picture. Graphviz itself is WebAssembly out of npm, loaded when first used; it runs in browsers too.
 *
 * @returns the text of an SVG file
 * @throws OptionError where Graphviz does not understand the graph
 */
export async function dotToSvg(dot: string): Promise<string> {
  const { Graphviz } = await import('@hpcc-js/wasm-graphviz');
  const graphviz = await Graphviz.load();
  try {
    return graphviz.layout(dot, 'svg', 'dot');
  } catch (cause) {
    throw new OptionError(`Graphviz: ${(cause as Error).message.trim()}`, { cause });
  }
}
