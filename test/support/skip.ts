/**
 * Reports a test as skipped, by name and with the reason: `npm test` lists these and counts them. Use it in place of
 * declaring the test, never inside one.
 *
 * @param name the test's name, as it would have been declared
 * @param reason what is missing and what to do about it
 */
export function skip(name: string, reason: string): void {
  console.log(`\n# skip: ${oneLine(name)} # ${oneLine(reason)}`);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll(' # ', ' - ').trim();
}
