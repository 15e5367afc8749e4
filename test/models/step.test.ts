// time limit: 900 s
/** One training step of Inception-BN on each device present, against the float64 reference and against each other: DESIGN's rule for networks. */
import { test } from 'uvu';
import type { Results } from '../support/inception-step.ts';
import { assertAgree, trainingStep } from '../support/inception-step.ts';
import { runners } from '../support/runners.ts';
import { skip } from '../support/skip.ts';

const { present, absent } = await runners();

for (const [name, reason] of absent) skip(`a step of Inception-BN on ${name}`, reason);

for (const activation of ['relu', 'softrelu'] as const) {
  const results = new Map<string, Results>();
  for (const runner of present) {
    test(`a step with ${activation} runs on ${runner.name}`, async () => {
      results.set(runner.name, await trainingStep(runner.device, { activation }));
    });
  }
  const pairs = present.flatMap((a, i) => present.slice(i + 1).map((b) => [a.name, b.name]));
  for (const [want, got] of pairs) {
    test(`a step with ${activation}: ${got} agrees with ${want}`, () => {
      console.log(`${activation} ${got}/${want}: ${assertAgree(results.get(got)!, results.get(want)!, activation)}`);
    });
  }
}

test.after(() => present.forEach((r) => r.device?.dispose()));
test.run();
