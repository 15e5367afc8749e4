import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compileCondition } from '../../src/data/condition.ts';
import { didYouMean, editDistance, nearest } from '../../src/nearest.ts';
import { parseTable, readTable, resolveColumns } from '../../src/data/table.ts';
import { DataError, OptionError } from '../../src/errors.ts';

type ErrorType = typeof DataError | typeof OptionError;
async function rejects(make: () => unknown, type: ErrorType, pattern: RegExp) {
  try {
    await make();
  } catch (error) {
    assert.instance(error, type, (error as Error).stack);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`no error for ${pattern}`);
}

test('CSV: byte order mark, quotes, empty lines, spaces, Windows line ends', async () => {
  const table = await parseTable('\ufeffimage, grade,note\r\n"a,1.jpg", 2 ,"x ""y"""\r\n\r\nb.jpg,,\r\n', 't.csv');
  assert.equal(table.columns, ['image', 'grade', 'note']);
  assert.equal(table.rows, [
    { image: 'a,1.jpg', grade: '2', note: 'x "y"' }, { image: 'b.jpg', grade: '', note: '' }]);
});

test('CSV: the delimiter follows from the header', async () => {
  assert.equal((await parseTable('image;grade\na;1,5')).rows, [{ image: 'a', grade: '1,5' }]);
  assert.equal((await parseTable('image\tgrade\na\t1')).rows, [{ image: 'a', grade: '1' }]);
  assert.equal((await parseTable('image\na')).rows, [{ image: 'a' }]);
});

test('CSV: what is wrong is named with its place', async () => {
  await rejects(() => parseTable('a,b\n1,2\n3', 't.csv'), DataError, /t\.csv: .*line 3/);
  await rejects(() => parseTable('a,"b\n1,2', 't.csv'), DataError, /t\.csv: /);
  await rejects(() => parseTable('a,a\n1,2', 't.csv'), DataError, /two columns are named 'a'/);
  await rejects(() => parseTable('a,\n1,2', 't.csv'), DataError, /column 2 has no name/);
  await rejects(() => parseTable('', 't.csv'), DataError, /t\.csv: empty/);
  await rejects(() => readTable('/nowhere/labels.csv'), DataError, /\/nowhere\/labels\.csv: no such file/);
});

test('columns: usual names, options, and errors with the nearest neighbour', async () => {
  const table = await parseTable('Image name,Retinopathy grade,patient_id,Usage\na,1,p,train', 't.csv');
  assert.equal(resolveColumns(table), {
    file: 'Image name', label: 'Retinopathy grade', patient: 'patient_id', split: 'Usage' });
  assert.is(resolveColumns(table, { label: 'Usage' }).label, 'Usage');
  await rejects(() => resolveColumns(table, { patient: 'patient' }), OptionError,
    /t\.csv has no column 'patient' for patient; did you mean 'patient_id'\? columns: Image name, Retinopathy grade/);
  await rejects(() => resolveColumns(table, { pateint: 'x' } as object), OptionError, /'pateint'.*mean 'patient'/);
});

test('edit distance and nearest neighbour', () => {
  assert.is(editDistance('kitten', 'sitting'), 3);
  assert.is(editDistance('ab', 'ba'), 1);
  assert.is(editDistance('', 'abc'), 3);
  assert.is(nearest('bacth', ['epochs', 'batch', 'seed']), 'batch');
  assert.is(nearest('grade', ['image', 'dr_grade']), 'dr_grade');
  assert.is(nearest('zebra', ['image', 'dr_grade']), undefined);
  assert.is(didYouMean('zebra', ['image']), '');
});

const columns = ['grade', 'dme', 'class_name', 'Image grade'];
async function evaluate(text: string, row: Record<string, string | number>) {
  const full = { grade: '0', dme: '0', class_name: '', 'Image grade': '3', ...row } as Record<string, string>;
  for (const key of Object.keys(full)) full[key] = String(full[key]);
  return (await compileCondition(text, columns)).test(full);
}

test('conditions: truth tables', async () => {
  const both = 'grade >= 2 or dme >= 1';
  assert.equal((await compileCondition(both, columns)).columns, ['grade', 'dme']);
  assert.is(await evaluate(both, { grade: 1, dme: 0 }), false);
  assert.is(await evaluate(both, { grade: 2, dme: 0 }), true);
  assert.is(await evaluate(both, { grade: 0, dme: 1 }), true);
  assert.is(await evaluate('grade >= 2 and not (dme >= 1)', { grade: 3, dme: 1 }), false);
  assert.is(await evaluate('1 < grade <= 3', { grade: 3 }), true);
  assert.is(await evaluate('1 < grade <= 3', { grade: 1 }), false);
  assert.is(await evaluate('grade > 1 xor dme > 1', { grade: 2, dme: 2 }), false);
  assert.is(await evaluate('-grade + 2*dme >= max(1, 0.5) - abs(-1)/4', { grade: 1, dme: 1 }), true);
  assert.is(await evaluate('class_name == "No DR"', { class_name: 'No DR' }), true);
  assert.is(await evaluate('class_name != "No DR"', { class_name: 'No DR' }), false);
  assert.is(await evaluate('grade == 2', { grade: '2.0' }), true);
  assert.is(await evaluate('Image_grade == 3', {}), true);
  assert.is(await evaluate('grade > 1 or dme > 0 and grade > 0', { grade: 0, dme: 1 }), false, 'and binds tighter');
});

test('conditions: an empty cell is unknown, unless the rest decides', async () => {
  assert.is(await evaluate('grade >= 2', { grade: '' }), undefined);
  assert.is(await evaluate('not (grade >= 2)', { grade: '' }), undefined);
  assert.is(await evaluate('grade >= 2 or dme >= 1', { grade: '', dme: 1 }), true);
  assert.is(await evaluate('grade >= 2 or dme >= 1', { grade: '', dme: 0 }), undefined);
  assert.is(await evaluate('grade >= 2 and dme >= 1', { grade: '', dme: 0 }), false);
  assert.is(await evaluate('grade + dme > 0', { grade: '', dme: 5 }), undefined);
});

test('conditions: unknown names and everything beyond the list are refused before any row', async () => {
  const bad: [string, RegExp][] = [
    ['garde >= 2', /unknown column 'garde'; did you mean 'grade'\? columns: grade, dme, class_name/],
    ['grade == severe', /unknown column 'severe' \(text goes in quotes\)/],
    ['import("fs") == 1', /unknown function 'import'/],
    ['abbs(grade) > 1', /unknown function 'abbs'.*did you mean 'abs'/],
    ['grade.constructor == 1', /not allowed/],
    ['grade[1] > 0', /not allowed/],
    ['grade = 2', /write '=='/],
    ['f(x) = grade', /not allowed/],
    ['grade; dme > 0', /not allowed/],
    ['[grade] == 1', /expected|not allowed/],
    ['grade > 1 && dme > 0', /write 'and', 'or'/],
    ['grade >=', /expression 'grade >='/],
    ['', /not allowed|undefined|not a condition/],
    ['grade', /not a condition/],
    ['grade or dme', /'grade' is not a condition: compare it, as in 'grade >= 1'/],
    ['(grade > 1) + 1 > 1', /a condition where a value was expected/],
    ['2 grade > 1', /lacks an operator/],
    ['grade ^ 2 > 1', /operator '\^' is not allowed/],
    ['grade! > 1', /operator '!' is not allowed/],
    ['constructor > 1', /unknown column 'constructor'/],
    ['toString(grade) > 1', /unknown function 'toString'/],
  ];
  for (const [text, pattern] of bad) await rejects(() => compileCondition(text, columns), OptionError, pattern);
});

test('conditions: text where a number is compared is the row\'s error', async () => {
  await rejects(() => evaluate('grade >= 2', { grade: 'severe' }), DataError, /'severe' is not a number/);
});

test.run();
