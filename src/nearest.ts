/** The candidate that a mistyped name most likely meant, or undefined where none is near. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestCost = Infinity;
  for (const candidate of candidates) {
    const lower = candidate.toLowerCase();
    let cost = editDistance(wanted, lower);
    // 'grade' for 'dr_grade': a whole word of the candidate is near however long the rest is.
    if (wanted.length >= 3 && (lower.includes(wanted) || wanted.includes(lower))) cost = Math.min(cost, 0.5);
    if (cost < bestCost) {
      bestCost = cost;
      best = candidate;
    }
  }
  return bestCost <= Math.max(1, Math.floor(wanted.length / 3)) ? best : undefined;
}

/** "; did you mean 'x'?", or nothing. @param quote the mark that the message has about names */
export function didYouMean(name: string, candidates: Iterable<string>, quote = "'"): string {
  const found = nearest(name, candidates);
  return found === undefined ? '' : `; did you mean ${quote}${found}${quote}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours between two strings (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => {
    const row = new Array<number>(b.length + 1).fill(0);
    row[0] = i;
    return row;
  });
  for (let j = 0; j <= b.length; j++) rows[0][j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const change = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.length][b.length];
}
