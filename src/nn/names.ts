/**
 * Names of layers that were given none: the operator's in lower case and a count, `convolution0`, as MXNet's NameManager.
 */
let counts = new Map<string, number>();

export function automaticName(operator: string): string {
  const stem = operator.toLowerCase().replace(/^_+/, '');
  const count = counts.get(stem) ?? 0;
  counts.set(stem, count + 1);
  return `${stem}${count}`;
}

/** Counts from zero within `build`, so that the same code gives the same names wherever it runs. */
export function nameScope<T>(build: () => T): T {
  const outer = counts;
  counts = new Map();
  try {
    return build();
  } finally {
    counts = outer;
  }
}
