/** `fovea im2rec` */
import type { Command } from 'commander';
import type { ColorMode, Encoding } from '../data/encode.ts';
import { colorModes, encodings } from '../data/encode.ts';
import { listImages, packImages } from '../data/im2rec.ts';
import type { ListOptions, PackOptions } from '../data/im2rec.ts';
import { describeRejected } from '../data/listing.ts';
import { DataError, OptionError } from '../errors.ts';
import { formatList } from '../formats/record-list.ts';
import { nodeFiles, readText, writeWhole } from '../train/files.ts';
import type { Files } from '../train/files.ts';
import type { Context } from './context.ts';
import { refusePresent } from './output-file.ts';
import { Progress } from './terminal.ts';

export function addIm2rec(program: Command, context: Context): void {
  program.command('im2rec')
    .description('Pack images into RecordIO files, with the options of MXNet\'s im2rec: first with --list, which writes PREFIX.lst, then without.')
    .argument('<prefix>', 'of the .lst files that are written or read, and of the .rec and .idx; or one .lst file')
    .argument('<root>', 'folder of the images')
    .optionsGroup('Lists:')
    .option('--list', 'write lists in place of records')
    .option('--recursive', 'with the folders below, each a class, numbered by name')
    .option('--exts <endings>', 'files that are taken, separated by commas (default: .jpeg,.jpg,.png)')
    .option('--no-shuffle', 'keep the order of names')
    .option('--seed <n>', "of the shuffling; 100 gives MXNet's order (default: 100)")
    .option('--chunks <n>', 'lists to divide the images among: PREFIX_0.lst, ... (default: 1)')
    .option('--train-ratio <share>', 'of the images, to PREFIX_train.lst; the rest to PREFIX_val.lst (default: 1, all to PREFIX.lst)')
    .option('--test-ratio <share>', 'of the images, to PREFIX_test.lst (default: 0)')
    .optionsGroup('Records:')
    .option('--pass-through', 'store files as they are')
    .option('--resize <pixels>', 'length of the shorter side (default: as it is)')
    .option('--center-crop', 'crop to the square in the middle, before resizing')
    .option('--quality <n>', 'of JPEG, 1 to 100 (default: 95); of PNG how hard it is compressed, 0 to 9 (default: 3)')
    .option('--encoding <ending>', '.jpg or .png (default: .jpg)')
    .option('--color <mode>', '1 colour, 0 grey, -1 as it is (default: 1)')
    .option('--pack-label', 'store all labels of a line, not the first alone')
    .option('--num-thread <n>', 'images under way at once (default: all processors and one)')
    .option('--force', 'replace files that are there')
    .addHelpText('after', `
Examples:
  $ fovea im2rec --list --recursive --train-ratio 0.8 eyes photos/
        writes eyes_train.lst and eyes_val.lst
  $ fovea im2rec --resize 256 --center-crop --quality 90 eyes photos/
        writes eyes_train.rec, eyes_train.idx, eyes_val.rec, eyes_val.idx
  $ fovea train --data eyes_train.rec
`)
    .action((prefix: string, root: string, given: Record<string, unknown>) => im2rec(prefix, root, given, context));
}

async function im2rec(prefix: string, root: string, given: Record<string, unknown>, context: Context): Promise<void> {
  const files = await nodeFiles();
  const replace = given.force === true;
  if (given.list === true) await writeLists(files, prefix, root, listOptions(given), replace, context);
  else await pack(files, prefix, root, packOptions(given), replace, context);
}

async function writeLists(
  files: Files, prefix: string, root: string, options: ListOptions, replace: boolean, { terminal }: Context,
): Promise<void> {
  const { lists, classes } = await listImages(root, options);
  const named = lists.map(({ suffix, entries }) => ({ file: `${prefix}${suffix}.lst`, entries }));
  if (!replace) await refusePresent(files, named.map(({ file }) => file));
  classes.forEach((folder, label) => terminal.out(`${folder} ${label}\n`));
  for (const { file, entries } of named) {
    await writeWhole(files, file, formatList(entries));
    terminal.out(`${file}: ${entries.length} images\n`);
  }
}

async function pack(files: Files, prefix: string, root: string, options: PackOptions, replace: boolean, context: Context): Promise<void> {
  const { terminal, signal } = context;
  const lists = await findLists(files, prefix);
  const outs = lists.map((list) => list.replace(/\.lst$/, '.rec'));
  if (!replace) await refusePresent(files, outs);
  const progress = new Progress(terminal);
  try {
    for (const [i, file] of lists.entries()) {
      const { records, rejected, labelsLeft } = await packImages({ text: await readText(files, file), file }, root, outs[i], {
        ...options, signal, onProgress: (done, total) => void progress.show(outs[i], done, total),
      });
      progress.clear();
      if (rejected.length > 0) terminal.err(`warning: ${file}: ${describeRejected(rejected)}\n`);
      if (labelsLeft) terminal.err(`warning: ${file}: lines have several labels, of which the first is stored: --pack-label stores all\n`);
      terminal.out(`${outs[i]}: ${records} records\n`);
    }
  } finally {
    progress.clear();
  }
}

/** The lists that --list writes for a prefix, of those that are there. */
async function findLists({ fs, path }: Files, prefix: string): Promise<string[]> {
  if (prefix.endsWith('.lst')) return [prefix];
  const folder = path.dirname(prefix);
  const name = path.basename(prefix);
  const found = (await fs.readdir(folder).catch(() => [])).filter((file) =>
    file.startsWith(name) && /^(_\d+)?(_train|_val|_test)?\.lst$/.test(file.slice(name.length)));
  if (found.length === 0) throw new DataError(`${prefix}.lst: no such file: make it with fovea im2rec --list ${prefix} FOLDER`);
  return found.sort().map((file) => path.join(folder, file));
}

function listOptions(given: Record<string, unknown>): ListOptions {
  const packing = ['passThrough', 'resize', 'centerCrop', 'quality', 'encoding', 'color', 'packLabel', 'numThread'];
  refuse(given, packing, 'is of records: it does not go with --list');
  const exts = given.exts === undefined ? undefined : String(given.exts).split(',').map((ext) => ext.trim());
  if (exts?.some((ext) => !/^\.\w+$/.test(ext))) throw new OptionError(`--exts: expected endings, as in .jpg,.png, got "${String(given.exts)}"`);
  return {
    recursive: given.recursive === true, exts, shuffle: given.shuffle !== false,
    seed: integer(given, 'seed', 0, 2 ** 32 - 1), chunks: integer(given, 'chunks', 1, 1e6),
    trainRatio: share(given, 'trainRatio'), testRatio: share(given, 'testRatio'),
  };
}

function packOptions(given: Record<string, unknown>): PackOptions {
  refuse(given, ['recursive', 'exts', 'seed', 'chunks', 'trainRatio', 'testRatio'], 'is of lists: it needs --list');
  if (given.shuffle === false) throw new OptionError('--no-shuffle is of lists: it needs --list');
  if (given.passThrough === true) {
    refuse(given, ['resize', 'centerCrop', 'quality', 'encoding', 'color'], 'does not go with --pass-through, which stores files as they are');
  }
  const encoding = choice(given, 'encoding', encodings) as Encoding | undefined;
  return {
    passThrough: given.passThrough === true, packLabel: given.packLabel === true, centerCrop: given.centerCrop === true, encoding,
    resize: integer(given, 'resize', 1, 16384), threads: integer(given, 'numThread', 1, 1024),
    quality: encoding === '.png' ? integer(given, 'quality', 0, 9) : integer(given, 'quality', 1, 100),
    color: choice(given, 'color', colorModes.map(String)) === undefined ? undefined : Number(given.color) as ColorMode,
  };
}

const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

function refuse(given: Record<string, unknown>, names: readonly string[], why: string): void {
  const name = names.find((n) => given[n] !== undefined);
  if (name !== undefined) throw new OptionError(`${flagOf(name)} ${why}`);
}

function integer(given: Record<string, unknown>, name: string, low: number, high: number): number | undefined {
  if (given[name] === undefined) return undefined;
  const text = String(given[name]);
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= low && value <= high) return value;
  throw new OptionError(`${flagOf(name)}: expected an integer from ${low} to ${high}, got "${text}"`);
}

function share(given: Record<string, unknown>, name: string): number | undefined {
  if (given[name] === undefined) return undefined;
  const value = String(given[name]).trim() === '' ? NaN : Number(given[name]);
  if (value >= 0 && value <= 1) return value;
  throw new OptionError(`${flagOf(name)}: expected a share from 0 to 1, got "${String(given[name])}"`);
}

function choice(given: Record<string, unknown>, name: string, names: readonly string[]): string | undefined {
  if (given[name] === undefined || names.includes(String(given[name]))) return given[name] as string | undefined;
  throw new OptionError(`${flagOf(name)}: expected one of ${names.join(', ')}, got "${String(given[name])}"`);
}
