const ownFolder = new URL('../', import.meta.url).href;

/** The line in the caller's code, outside Fovea, from which this was reached: `train.js:12:5`. */
export function callSite(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  for (const line of stack?.split('\n').slice(1) ?? []) {
    if (line.includes(ownFolder) || line.includes(ownFolder.replace('file://', '')) || line.includes('node:internal')) continue;
    return line.replace(/^\s*at /, '').replace('file://', '');
  }
  return undefined;
}

let layer: string | undefined;

/** The layer that is being recorded, if any. */
export function currentLayer(): string | undefined {
  return layer;
}

/** Records that what `work` applies belongs to a layer. */
export function withLayer<T>(name: string | undefined, work: () => T): T {
  const outer = layer;
  layer = name;
  try {
    return work();
  } finally {
    layer = outer;
  }
}
