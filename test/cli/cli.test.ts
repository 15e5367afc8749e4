// time limit: 300 s
import { cpSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import sharp from 'sharp';
import { described, groups } from '../../src/cli/options.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { CpuLaunch } from '../../src/device/types.ts';
import { getOp } from '../../src/fovea.ts';
import { phantomCohort, renderPhantom } from '../../src/data/phantom/index.ts';
import { folderDefaults, phantomDefaults, predictRun } from '../../src/train/index.ts';
import { optionNames } from '../../src/train/run-options.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-cli-'));
process.env.FOVEA_CACHE = join(folder, 'cache');

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function fovea(...args: string[]): Promise<Outcome> {
  let out = '';
  let err = '';
  const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), watched: false };
  const code = await runProgram(args, { terminal, signal: new AbortController().signal });
  return { code, out, err };
}

/** One line that says what is wrong, and exit code 2. */
async function badOption(args: string[], pattern: RegExp): Promise<void> {
  const { code, out, err } = await fovea(...args);
  assert.is(code, 2, `${args.join(' ')}: ${out}${err}`);
  assert.match(err, pattern);
  assert.not.match(err, /\n\s+at /, 'no stack trace');
}

const small = ['--size', '32', '--width', '0.25', '--batch', '8', '--device', 'cpu', '--threads', '2'];
const phantomRun = join(folder, 'run');
const photos = join(folder, 'photos');

test('help, with an example, for the program and each command', async () => {
  for (const command of ['train', 'evaluate', 'predict', 'devices', 'replay']) {
    const { code, out } = await fovea(command, '--help');
    assert.is(code, 0);
    assert.match(out, new RegExp(`Examples?:\\n  \\$ fovea ${command}`));
  }
  const { code, out } = await fovea('--help');
  assert.is(code, 0);
  for (const command of ['train', 'evaluate', 'predict', 'devices']) assert.match(out, command);
  assert.match((await fovea('--version')).out, /^\d+\.\d+\.\d+/);
});

test('every option is described, and defaults in the help are those that hold', () => {
  const listed = [...Object.values(groups).flat(), 'keep'].sort();
  assert.equal(listed, [...optionNames].sort());
  for (const [name, { about }] of Object.entries(described)) {
    const said = /\(default: ([^)]*)\)/.exec(about)?.[1];
    const phantom = (phantomDefaults as Record<string, unknown>)[name];
    const photographs = (folderDefaults as Record<string, unknown>)[name];
    if (said === undefined || name === 'lr') continue;
    if (/phantom, .* photographs/.test(said)) assert.is(said, `${phantom} phantom, ${photographs} photographs`);
    else if (phantom !== undefined) assert.is(said.split(' ')[0].replace(/,$/, ''), String(phantom), name);
  }
});

test('a bad option is refused before any work, with what was expected', async () => {
  await badOption(['train', '--epoch', '3'], /unknown option '--epoch'\n\(Did you mean --epochs\?\)/);
  await badOption(['trian'], /unknown command 'trian'\n\(Did you mean train\?\)/);
  await badOption(['predict'], /missing required argument 'run'/);
  await badOption(['train', '--epochs', '0'], /--epochs: expected an integer of 1 or more, got "0"/);
  await badOption(['train', '--epochs', 'many'], /--epochs: expected an integer of 1 or more, got "many"/);
  await badOption(['train', '--batch', '2.5'], /--batch: expected an integer from 1 to 65536, got "2\.5"/);
  await badOption(['train', '--prevalence', '1.5'], /--prevalence: expected a number from 0 to 1/);
  await badOption(['train', '--optimizer', 'adm'], /--optimizer: expected one of sgd, adam; did you mean 'adam'\?/);
  await badOption(['train', '--model', 'inception'], /--model: expected one of inception-bn, inception-bn-small/);
  await badOption(['train', '--class-weights', '1,x'], /--class-weights: expected none, balanced, or a weight/);
  await badOption(['train', '--lr', '0.1 * epok'], /learning rate "0\.1 \* epok": unknown name "epok"/);
  await badOption(['train', '--recompute', 'maybe'], /--recompute: expected one of off, on, got "maybe"/);
  await badOption(['train', '--augment', 'flips,nose=2'], /--augment: 'nose' is none of none, flips, .*did you mean 'noise'\?/);
  await badOption(['train', '--clip-gradient', '0'], /--clip-gradient: expected a number above 0/);
  await badOption(['train', '--lr', '-1'], /--lr: expected a positive number/);
  await badOption(['train', '--device', 'gpu'], /--device: expected auto, cpu, webgpu, webgpu:NAME, cuda or cuda:NUMBER/);
  await badOption(['train', '--seed', '-1'], /--seed/);
  await badOption(['train', '--validation', '0.6', '--test', '0.6'], /--validation and --test leave nothing to train on/);
  await badOption(['train', '--csv', 'x.csv'], /--csv is of photographs: it needs --data/);
  await badOption(['train', '--data', 'photos', '--blur', '2'], /--blur is of the phantom: it does not go with --data photos/);
  await badOption(['train', '--optimizer', 'adam', '--momentum', '0.9'], /--momentum is of sgd, not of adam/);
  await badOption(['train', '--allow-inexact'], /--allow-inexact is for --resume/);
  await badOption(['train', '--check', '--dry-run'], /--check does not go with --dry-run/);
  await badOption(['train', '--check', 'gpu'], /--check: expected auto, cpu, webgpu, webgpu:NAME, cuda or cuda:NUMBER/);
  await badOption(['evaluate', 'x', '--epoch', 'last'], /--epoch: expected an integer of 1 or more, got "last"/);
});

test('what is not there is one line, and exit code 1', async () => {
  for (const args of [['train', '--data', join(folder, 'nowhere')], ['evaluate', folder], ['train', '--resume', folder]]) {
    const { code, err } = await fovea(...args, ...(args[0] === 'train' && !args.includes('--resume') ? ['--device', 'cpu'] : []));
    assert.is(code, 1);
    assert.match(err, /^error: .*(no such folder|no run directory)/m);
    assert.not.match(err, /\n\s+at /);
  }
});

test('a dry run says what would be done, and does nothing', async () => {
  const { code, out } = await fovea('train', '--dry-run', '--patients', '20', ...small, '--out', join(folder, 'dry'));
  assert.is(code, 0);
  assert.match(out, /Simulated/);
  assert.match(out, /train +28 images of 14 patients: 14 healthy, 14 infected/);
  assert.match(out, /memory +[\d.]+ MB on the device/);
  assert.match(out, /time +[\d.]+ s a step, [\d.]+ images\/s; 10 epochs of 3 steps: \d+:\d\d/);
  assert.not.ok(readdirSync(folder).includes('dry'));
});

test('trains, says that its data are simulated, and leaves all that a run leaves', async () => {
  const { code, out, err } = await fovea('train', '--patients', '20', '--epochs', '2', ...small, '--out', phantomRun);
  assert.is(code, 0, err);
  assert.match(err, /^device: cpu \(2 threads/m);
  for (const epoch of [1, 2]) {
    const line = new RegExp(`^epoch ${epoch}/2 \\| train loss .* \\| validation loss .* auc .*\\[.*\\] sens@90 .* \\| `
      + '"healthy" always: acc 0.500 \\| .*images/s.* \\| simulated$', 'm');
    assert.match(out, line);
  }
  assert.match(out, /simulated data; epoch [12], the best of 2/);
  for (const row of ['train', 'validation', 'test', 'test, "healthy" always']) assert.match(out, new RegExp(`│ ${row} +│`));
  assert.match(out, new RegExp(`run directory: ${phantomRun}\\n$`));
  const files = readdirSync(phantomRun);
  for (const file of [
    'config.json', 'inception-bn-symbol.json', 'inception-bn-0002.params', 'metrics.jsonl', 'predictions.csv', 'results.json',
    'report.html', 'roc.svg', 'loss.svg', 'auc.svg',
  ]) assert.ok(files.includes(file), file);
  assert.not.ok(files.some((file) => file.includes('.tmp-')));
  const lines = readFileSync(join(phantomRun, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const metrics = lines.map((line) => JSON.parse(line) as { epoch: number; simulated: boolean });
  assert.equal(metrics.map((m) => m.epoch), [1, 2]);
  assert.ok(metrics.every((m) => m.simulated));
  const predictions = readFileSync(join(phantomRun, 'predictions.csv'), 'utf8').trim().split('\n');
  assert.is(predictions[0], 'image,patient,part,label,predicted,p(healthy),p(infected),simulated');
  assert.is(predictions.length, 1 + 40);
  for (const file of ['report.html', 'roc.svg', 'loss.svg', 'auc.svg']) assert.match(readFileSync(join(phantomRun, file), 'utf8'), /Simulated/);
  assert.match(readFileSync(join(phantomRun, 'report.html'), 'utf8'), /<img src="data:image\/jpeg;base64,/);
});

test('a check of one step says whether the device computes what it should', async () => {
  const saved = join(folder, 'check');
  const args = ['train', '--check', '--patients', '20', ...small, '--out', saved];
  const sound = await fovea(...args);
  assert.is(sound.code, 0, sound.err);
  // 69 convolutions, of which eight blocks have three of 1x1 that are one, and two have two
  assert.match(sound.out, /│ conv2dStats +│ 51 +│ +│ 0\.\d+ +│ conv2dStats#\d+ +│/);
  assert.match(sound.out, /one step of 8 images of 32 x 32 pixels on cpu \(2 threads.*, against the float64 reference: \d+ steps, [\d,]+ elements/);
  assert.match(sound.out, /every op is within the tolerance\n$/);
  assert.not.ok(readdirSync(folder).includes('check'), 'a sound step leaves nothing');

  // every normalization adds too much epsilon, as if its kernel were wrong
  const lowering = getOp('normalize').kernels!.cpu! as { launches: (context: never) => CpuLaunch[] };
  const { launches } = lowering;
  lowering.launches = (context) => launches.call(lowering, context).map((launch) => ({ ...launch, args: launch.args.with(11, { f32: 0.1 }) }));
  try {
    const wrong = await fovea(...args);
    assert.is(wrong.code, 1);
    assert.match(wrong.err, /^error: normalize#\d+ departs from the float64 reference on cpu \(2 threads/m);
    assert.match(wrong.out, /the first that departs: normalize#\d+, layer relu_\w+/);
    assert.match(wrong.out, /output 0: element \[\d+, \d+, \d+, \d+\] is -?[\d.e-]+, expected -?[\d.e-]+, allowed error [\d.e-]+/);
    const [, file] = /to run it again: fovea replay (\S+) --device cpu/.exec(wrong.out)!;
    assert.ok(file.startsWith(saved));
    const again = await fovea('replay', file, '--device', 'cpu', '--threads', '2');
    assert.is(again.code, 1);
    assert.match(again.err, /normalize departs from the float64 reference/);
    lowering.launches = launches;
    const mended = await fovea('replay', file, '--device', 'cpu', '--threads', '2');
    assert.is(mended.code, 0, mended.err);
    assert.match(mended.out, /│ 0 +│ float32 \[8, \d+, \d+, \d+\] +│/);
  } finally {
    lowering.launches = launches;
  }
  const resumed = await fovea('train', '--check', 'cpu', '--resume', phantomRun);
  assert.is(resumed.code, 0, resumed.err);
  assert.match(resumed.out, /against cpu \(/);
});

test("a run's own config.json runs again, to the same bits; the directory is never overwritten", async () => {
  const { code, out, err } = await fovea('train', '--config', join(phantomRun, 'config.json'), '--out', phantomRun);
  assert.is(code, 0, err);
  assert.match(out, new RegExp(`run directory: ${phantomRun}-2\\n`));
  const name = 'inception-bn-0002.params';
  assert.ok(readFileSync(join(phantomRun, name)).equals(readFileSync(join(`${phantomRun}-2`, name))), 'other bits');
});

test('config files are checked as options are', async () => {
  const file = join(folder, 'options.json');
  writeFileSync(file, '{"epoch": 3}');
  await badOption(['train', '--config', file], /options\.json: unknown option epoch; did you mean 'epochs'\?/);
  writeFileSync(file, '{"epochs": -3}');
  await badOption(['train', '--config', file], /options\.json: epochs: expected an integer of 1 or more, got -3/);
  writeFileSync(file, '{"format": 9, "options": {}}');
  const foreign = await fovea('train', '--config', file);
  assert.is(foreign.code, 1);
  assert.match(foreign.err, /config of format 9; this version reads format 1/);
  writeFileSync(file, 'epochs: 3');
  assert.match((await fovea('train', '--config', file)).err, /options\.json: not JSON/);
});

test('evaluates its own parts and other simulated data', async () => {
  const csv = join(folder, 'test.csv');
  const own = await fovea('evaluate', phantomRun, '--out', csv, '--device', 'cpu', '--threads', '2');
  assert.is(own.code, 0, own.err);
  assert.match(own.out, /Simulated/);
  assert.match(own.out, /│ test part of phantoms \(simulated\) +│ 6 /);
  // The same network on the same images as at the end of training.
  const trained = readFileSync(join(phantomRun, 'predictions.csv'), 'utf8').split('\n').filter((line) => line.includes(',test,'));
  const judged = readFileSync(csv, 'utf8').split('\n').filter((line) => line.includes(',test,'));
  assert.equal(judged, trained);
  const other = await fovea('evaluate', phantomRun, '--patients', '5', '--seed', '99', '--device', 'cpu', '--threads', '2');
  assert.is(other.code, 0, other.err);
  assert.match(other.out, /│ all of phantoms \(simulated\) +│ 10 /);
  assert.not.match(other.err, /has seen some/);
  const seen = await fovea('evaluate', phantomRun, '--patients', '5', '--seed', '1', '--device', 'cpu', '--threads', '2');
  assert.match(seen.err, /warning: phantoms of the seed that the network was trained with/);
  await badOption(['evaluate', phantomRun, '--part', 'tset', '--device', 'cpu'], /--part: expected one of train, validation, test, all/);
  const absent = await fovea('evaluate', phantomRun, '--epoch', '7', '--device', 'cpu');
  assert.is(absent.code, 1);
  assert.match(absent.err, /the parameters of epoch 7 are not there; those of .* are/);
});

async function makePhotos(): Promise<void> {
  mkdirSync(join(photos, 'more'), { recursive: true });
  const rows = ['name,grade,patient'];
  for (const [i, eye] of phantomCohort({ seed: 5, patients: 12 }).entries()) {
    const { pixels } = renderPhantom(eye.spec, { size: 48 });
    const file = `${i % 2 ? 'more/' : ''}eye-${i}.${i % 3 ? 'jpg' : 'png'}`;
    await sharp(pixels, { raw: { width: 48, height: 48, channels: 3 } }).toFile(join(photos, file));
    rows.push(`${file},${eye.label * 2},${eye.patient}`);
  }
  writeFileSync(join(photos, 'broken.jpg'), 'this is no photograph');
  rows.push('broken.jpg,2,p99');
  writeFileSync(join(photos, 'labels.csv'), `${rows.join('\n')}\n`);
}

test('trains on a folder with a CSV, names what is corrupt, predicts files and folders', async () => {
  await makePhotos();
  const run = join(folder, 'photo-run');
  const data = ['--data', photos, '--file-column', 'name', '--positive', 'grade >= 2'];
  await badOption(['train', ...data.slice(0, -1), 'grad >= 2', ...small], /unknown column 'grad'.*did you mean 'grade'/);
  await badOption(['train', '--data', photos, '--file-column', 'nam', '--label-column', 'grade', ...small], /no column 'nam' for file.*did you mean 'name'/);
  const { code, out, err } = await fovea('train', ...data, ...small, '--epochs', '1', '--normalize', 'channel', '--out', run);
  assert.is(code, 0, err);
  assert.match(err, /1 image left out: broken\.jpg/);
  assert.not.match(out, /[Ss]imulated/);
  const csv = join(folder, 'predictions.csv');
  const predicted = await fovea('predict', run, photos, join(photos, 'eye-0.png'), '--out', csv, '--device', 'cpu', '--threads', '2');
  assert.is(predicted.code, 0, predicted.err);
  assert.match(predicted.err, /26 files, 1 unreadable: .*broken\.jpg/);
  const lines = readFileSync(csv, 'utf8').trim().split('\n');
  assert.is(lines.length, 27);
  assert.match(lines.find((line) => line.includes('broken.jpg'))!, /broken\.jpg,unreadable: [^,]*,,,,photographs/);
  // The same image by its folder and by name, and as training saw it.
  const scores = lines.filter((line) => line.includes('eye-0.png')).map((line) => line.split(',').slice(3, 5));
  assert.is(scores.length, 2);
  assert.equal(scores[0], scores[1]);
  const trained = readFileSync(join(run, 'predictions.csv'), 'utf8').split('\n').find((line) => line.startsWith('eye-0.png'))!;
  assert.equal(trained.split(',').slice(5, 7), scores[0]);
  const none = await fovea('predict', run, join(photos, 'broken.jpg'), '--device', 'cpu', '--threads', '2');
  assert.is(none.code, 1);
  assert.match(none.out, /unreadable/);
  const gone = await fovea('predict', run, join(photos, 'gone.jpg'), '--device', 'cpu');
  assert.is(gone.code, 1);
  assert.match(gone.err, /gone\.jpg: no such file or folder/);
});

test('one class alone is refused: nothing could be learnt from it', async () => {
  const data = ['--data', photos, '--file-column', 'name', '--positive', 'grade >= 9', '--out', join(folder, 'one-class')];
  for (const more of [[], ['--dry-run']]) {
    const { code, err } = await fovea('train', ...data, ...small, ...more);
    assert.is(code, 1);
    assert.match(err, /all \d+ images of the training part are of class healthy \(classes: healthy, infected\)/);
  }
  assert.not.ok(readdirSync(folder).includes('one-class'));
});

test('judges a few photographs of one patient, and says which could not be read', async () => {
  const table = join(folder, 'few.csv');
  writeFileSync(table, 'name,grade,patient\neye-0.png,0,p1\nmore/eye-1.jpg,2,p1\nbroken.jpg,2,p1\n');
  const few = ['--data', photos, '--csv', table, '--file-column', 'name', '--positive', 'grade >= 2', '--device', 'cpu', '--threads', '2'];
  const { code, out, err } = await fovea('evaluate', join(folder, 'photo-run'), ...few);
  assert.is(code, 0, err);
  assert.match(out, /│ all of .* │ 2 /);
  assert.match(err, /warning: 1 image left out: broken\.jpg/);
  const trained = await fovea('train', ...few, '--out', join(folder, 'few'));
  assert.is(trained.code, 1);
  assert.match(trained.err, /photos: 1 patient cannot be split into train, validation, test/);
});

test('--out is seen to be possible before any work', async () => {
  const run = join(folder, 'photo-run');
  await badOption(['predict', run, photos, '--out', join(folder, 'nowhere', 'x.csv')], /--out .*nowhere: no such folder/);
  await badOption(['evaluate', run, '--out', folder], /--out .*: is a folder, not a file/);
  const there = join(folder, 'there.csv');
  writeFileSync(there, 'kept');
  await badOption(['predict', run, photos, '--out', there], /--out .*there\.csv: is there already: --force replaces it/);
  await badOption(['evaluate', run, '--out', there], /--out .*there\.csv: is there already: --force replaces it/);
  assert.is(readFileSync(there, 'utf8'), 'kept');
  const forced = await fovea('predict', run, photos, '--out', there, '--force', '--device', 'cpu', '--threads', '2');
  assert.is(forced.code, 0, forced.err);
  assert.match(readFileSync(there, 'utf8'), /eye-0\.png/);
  await badOption(['train', '--out', ''], /--out: expected the name of a folder/);
});

test('an interrupted prediction keeps what was said', async () => {
  const controller = new AbortController();
  const many = join(folder, 'many');
  mkdirSync(many);
  const bytes = readFileSync(join(photos, 'eye-0.png'));
  for (let i = 0; i < 70; i++) writeFileSync(join(many, `${i}.png`), bytes);
  const result = await predictRun({
    run: join(folder, 'photo-run'), paths: [many], device: 'cpu', threads: 2, signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  assert.is(result.files, 70);
  assert.ok(result.predictions.length > 0 && result.predictions.length < 70);
  assert.is(result.csv.trim().split('\n').length, 1 + result.predictions.length);
});

test("a run's config.json that was edited is an error that names the field", async () => {
  const edited = join(folder, 'edited');
  cpSync(join(folder, 'photo-run'), edited, { recursive: true });
  const file = join(edited, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown> & { options: object };
  const edits: [Record<string, unknown>, RegExp][] = [
    [{ format: 7 }, /config of format 7; this version reads format 1/],
    [{ options: null }, /config\.json: options: .* got null/],
    [{ options: { ...config.options, batch: undefined } }, /config\.json: options\.batch is missing/],
    [{ imageShape: 'x' }, /config\.json: imageShape: expected height, width, channels, got "x"/],
    [{ normalization: {} }, /config\.json: normalization\.mean: /],
    [{ classes: ['healthy'] }, /config\.json: classes: expected two names or more/],
    [{ parts: undefined }, /config\.json: parts: /],
    [{ name: '../other' }, /config\.json: name: expected the name of a file/],
  ];
  for (const [edit, message] of edits) {
    writeFileSync(file, JSON.stringify({ ...config, ...edit }));
    for (const args of [['predict', edited, photos], ['evaluate', edited], ['train', '--resume', edited]]) {
      const { code, err } = await fovea(...args);
      assert.is(code, 1, err);
      assert.match(err, message);
    }
  }
  writeFileSync(file, JSON.stringify({ ...config, options: { ...config.options, lr: 0.3 } }));
  await badOption(['train', '--resume', edited, '--epochs', '2'], /bit for bit \(option\.lr: 0\.3, was 0\.05 .*--allow-inexact/);
  writeFileSync(file, JSON.stringify({ format: 1, options: 3 }));
  await badOption(['train', '--config', file], /config\.json: options: expected an object, got 3/);
});

test('lists the devices', async () => {
  const { code, out } = await fovea('devices');
  assert.is(code, 0);
  assert.match(out, /^yes  cpu \(\d+ threads?, /m);
});

test('and with --verbose what was found of each and what was refused', async () => {
  process.env.FOVEA_LIBCUDA = '/nowhere/libcuda.so.1';
  try {
    const { code, out } = await fovea('devices', '--verbose');
    assert.is(code, 0);
    assert.match(out, /^yes {2}cpu [^\n]*\n {7}relaxedSimd: /m);
    assert.match(out, /^no {3}cuda: [^\n]*\n {7}NVIDIA kernel module: /m);
  } finally {
    delete process.env.FOVEA_LIBCUDA;
  }
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
