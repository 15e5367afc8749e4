/** A screening cohort of phantoms: patients with two eyes each, some infected, some labelled wrongly. */
import { OptionError } from '../../errors.ts';
import { PhiloxStream } from '../../random/philox.ts';
import { phantomScene } from './scene.ts';
import type { Eye, PhantomScene, PhantomSpec } from './types.ts';

export interface PhantomCohortOptions {
  /** Integer from 0 to 2^53 - 1. Default 2016. */
  seed?: number;
  /** Number of patients, two eyes each. Default 100. */
  patients?: number;
  /** Part of the eyes that is infected, 0 to 1; the count is exact, rounded. Default 0.5. */
  prevalence?: number;
  /** Multiplies the width of each camera's point spread, 0 to 20. Default 1. */
  blur?: number;
  /** Probability that an eye's label is the wrong one, 0 to 1. Default 0. */
  labelNoise?: number;
  /** Number of the first patient: cohorts of one seed with disjoint numbers share nobody. Default 0. */
  firstPatient?: number;
}

/** One eye of a cohort: plain data. `sceneOf(eye)` draws its scene. */
export interface PhantomEye {
  simulated: true;
  /** Unique in the cohort: patient and eye, as in `p00012-left`. */
  id: string;
  patient: string;
  eye: Eye;
  /** What the reader wrote down: 1 infected, 0 healthy; wrong with the probability `labelNoise`. */
  label: 0 | 1;
  /** What is so. */
  trueLabel: 0 | 1;
  spec: PhantomSpec;
}

function within(name: string, value: number, low: number, high: number): number {
  if (!(value >= low && value <= high)) throw new OptionError(`${name}: expected ${low} to ${high}, got ${value}`);
  return value;
}

/**
 * The eyes of a cohort, two a patient, in the patients' order; exactly `round(prevalence * 2 * patients)` are infected.
 * Three in four infected patients are so in both eyes, while the count allows. Cheap: nothing is drawn yet.
 *
 * @throws OptionError names the option that is out of range
 */
export function phantomCohort(options: PhantomCohortOptions = {}): PhantomEye[] {
  const { seed = 2016, patients = 100, prevalence = 0.5, blur = 1, labelNoise = 0, firstPatient = 0 } = options;
  for (const [name, value] of [['patients', patients], ['firstPatient', firstPatient]] as const) {
    if (!Number.isInteger(value) || value < 0 || value > 2 ** 30) {
      throw new OptionError(`${name}: expected an integer from 0 to 2^30, got ${value}`);
    }
  }
  within('prevalence', prevalence, 0, 1);
  within('blur', blur, 0, 20);
  within('labelNoise', labelNoise, 0, 1);

  const random = new PhiloxStream(seed, 'phantom/cohort', firstPatient);
  const infected = new Uint8Array(2 * patients);
  let wanted = Math.round(prevalence * infected.length);
  for (const patient of random.shuffle(Array.from({ length: patients }, (_, i) => i))) {
    const both = random.chance(0.75);
    const first = random.int(2);
    if (wanted > 0) {
      infected[2 * patient + first] = 1;
      wanted--;
    }
    if (wanted > 0 && both) {
      infected[2 * patient + 1 - first] = 1;
      wanted--;
    }
  }
  for (let i = 0; i < infected.length && wanted > 0; i++) {
    if (infected[i] === 1) continue;
    infected[i] = 1;
    wanted--;
  }

  const eyes: PhantomEye[] = [];
  for (let i = 0; i < patients; i++) {
    const number = firstPatient + i;
    const patient = `p${String(number).padStart(5, '0')}`;
    const own = new PhiloxStream(seed, 'phantom/severity', number);
    const stage = own.uniform();
    for (const [k, eye] of (['left', 'right'] as const).entries()) {
      // The stage is mostly the patient's, so fellow eyes are alike but not the same.
      const severity = 0.1 + 0.9 * (0.7 * stage + 0.3 * own.uniform());
      const wrong = own.chance(labelNoise);
      const trueLabel = infected[2 * i + k] === 1 ? 1 : 0;
      const spec: PhantomSpec = { seed, patient: number, eye, severity: trueLabel === 1 ? severity : 0, blur };
      const label = wrong ? (trueLabel === 1 ? 0 : 1) : trueLabel;
      eyes.push({ simulated: true, id: `${patient}-${eye}`, patient, eye, label, trueLabel, spec });
    }
  }
  return eyes;
}

/** The scene of an eye of a cohort. */
export function sceneOf(eye: PhantomEye): PhantomScene {
  return phantomScene(eye.spec);
}
