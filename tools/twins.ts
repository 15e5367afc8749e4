/**
 * Whether a run's network looks at the lesions: it scores twins of phantoms with and without their lesions, with the lesions
 * painted out, and with as much painted elsewhere.
 *
 *   node --import tsx tools/twins.ts RUN [PAIRS]
 *
 * The eyes are of patients that no run has seen: their numbers lie beyond those of any cohort.
 */
import { memoryDataset } from '../src/data/dataset.ts';
import { SIMULATED_NOTICE, paintPhantom, phantomCohort, renderPhantom } from '../src/data/phantom/index.ts';
import { TrainedNetwork } from '../src/train/index.ts';

/** Of the first patient: cohorts of training number theirs from 0. */
const unseen = 10_000_000;
const forms = ['infected', 'healthy twin', 'painted out', 'painted elsewhere'] as const;

const [run, pairs = '200'] = process.argv.slice(2);
if (run === undefined) throw new Error('usage: node --import tsx tools/twins.ts RUN [PAIRS]');
const trained = await TrainedNetwork.load(run, { device: 'cpu' });
const { imageShape, options, classes } = trained.config;
const [size] = imageShape;
const eyes = phantomCohort({ seed: options.seed, firstPatient: unseen, patients: Math.ceil(Number(pairs) / 2), prevalence: 1 });
const stride = size * size * 3;
const bytes = new Uint8Array(forms.length * eyes.length * stride);
eyes.forEach(({ spec }, i) => {
  const infected = renderPhantom(spec, { size });
  const { painted, control } = paintPhantom(infected);
  const twin = renderPhantom(spec, { size, lesions: false });
  [infected.pixels, twin.pixels, painted, control].forEach((pixels, form) => bytes.set(pixels, (form * eyes.length + i) * stride));
});
const labels = new Int32Array(forms.length * eyes.length);
const data = memoryDataset({ name: 'twins', shape: imageShape, bytes, labels, classes, simulated: true });
const logits = await trained.predict(data, labels.map((_, i) => i), { workers: 0 });
/** Log odds of infection. */
const scores = forms.map((_, form) => Float64Array.from(eyes, (_eye, i) => {
  const at = 2 * (form * eyes.length + i);
  return logits[at + 1] - logits[at];
}));
trained.dispose();

const median = (x: Float64Array): string => x.toSorted()[x.length >> 1].toFixed(2);
const share = (a: number, b: number): string => `${(scores[a].filter((s, i) => s > scores[b][i]).length / eyes.length * 100).toFixed(1)} %`;
console.log(`${SIMULATED_NOTICE}\n${eyes.length} pairs, ${size} x ${size} pixels, epoch ${trained.epoch} of ${run}`);
forms.forEach((form, i) => console.log(`  ${form.padEnd(18)} median log odds of infection ${median(scores[i])}`));
console.log(`infected scored above its healthy twin: ${share(0, 1)}\ninfected above painted out: ${share(0, 2)}`);
console.log(`painted elsewhere above painted out: ${share(3, 2)}`);
process.exit(0);
