/**
 * How well logistic probes that see no lesion sort infected phantoms from healthy ones: the check that the phantom is
 * no toy. Usage: npx tsx tools/phantom-probes.ts [images = 2000] [size = 128] [seed = 2016]
 */
import {
  phantomCohort,
  PROBES,
  probeAuc,
  renderPhantom,
  SIMULATED_NOTICE,
  type ProbeName,
} from '../src/data/phantom/index.ts';

const [images = 2000, size = 128, seed = 2016] = process.argv.slice(2).map(Number);
const eyes = phantomCohort({ seed, patients: Math.round(images / 2), prevalence: 0.5 });
const names = Object.keys(PROBES) as ProbeName[];
const rows = new Map<ProbeName, number[][]>(names.map((name) => [name, []]));
let renderMs = 0;
for (const eye of eyes) {
  const start = performance.now();
  const { pixels } = renderPhantom(eye.spec, { size });
  renderMs += performance.now() - start;
  for (const name of names) rows.get(name)?.push(PROBES[name](pixels, size));
}
console.log(SIMULATED_NOTICE);
const infected = eyes.filter((e) => e.trueLabel === 1).length;
console.log(`${eyes.length} phantoms of ${size} x ${size}, ${infected} infected, seed ${seed}, `
  + `${(renderMs / eyes.length).toFixed(1)} ms each`);
const labels = eyes.map((e) => e.trueLabel);
const patients = eyes.map((e) => e.patient);
const all: number[][] = eyes.map((_, i) => names.flatMap((name) => rows.get(name)?.[i] ?? []));
for (const [name, features] of [...rows, ['all together', all] as const]) {
  const { auc, l2 } = probeAuc(features, labels, patients);
  const count = String(features[0].length).padStart(4);
  console.log(`${name.padEnd(20)} ${count} features   AUC ${auc.toFixed(3)}   (L2 ${l2})`);
}
