/** Imports the package: which names it exports, and whether doing so changed the page's globals. */
const before = Object.getOwnPropertyNames(globalThis).sort().join();
export default async function run() {
  const fovea = await import('fovea');
  const after = Object.getOwnPropertyNames(globalThis).filter((name) => name !== 'run').sort().join();
  return { names: Object.keys(fovea), unchanged: before === after };
}
