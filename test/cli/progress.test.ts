/** Progress where nobody watches: lines in a log. */
import { setTimeout as wait } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Progress } from '../../src/cli/terminal.ts';

test('a line now and then, with the time left, and none for what is soon done', async () => {
  let text = '';
  const terminal = { out: () => undefined, err: (line: string) => void (text += line), watched: false };
  const progress = new Progress(terminal, 40);
  for (const done of [0, 1, 2, 3]) await progress.show('quick', done, 4);
  assert.is(text, '', 'nothing before the time is over');
  await progress.show('slow', 0, 10);
  await wait(50);
  await progress.show('slow', 5, 10);
  await progress.show('slow', 6, 10);
  assert.match(text, /^slow: 5\/10 \| [\d.]+\/s \| 0:00 left\n$/, 'once, though there was news twice');
  await wait(50);
  await progress.show('slow', 8, 10, ' | of a kind');
  assert.match(text, /\nslow: 8\/10 \| of a kind\n$/);
  await wait(50);
  await progress.show('slow', 10, 10);
  assert.not.match(text, /10\/10/, 'what is done says so itself');
  progress.clear();
});

test.run();
