/** `fovea graph` */
import type { Command } from 'commander';
import { loadCodec } from '../data/decode.ts';
import type { Shape } from '../device/types.ts';
import { OptionError, ShapeError } from '../errors.ts';
import { isSymbol, loadModel } from '../formats/load-model.ts';
import { nodeFiles as modelFiles } from '../formats/model-files.ts';
import type { Checkpoint } from '../formats/mxnet-params.ts';
import { readSymbol } from '../formats/mxnet-symbol.ts';
import { preprocessingOf } from '../formats/preprocessing.ts';
import { inceptionBN, inceptionBNSmall, inceptionV3 } from '../models/index.ts';
import { toDot } from '../nn/dot.ts';
import { summaryText } from '../nn/summary.ts';
import { dotToSvg } from '../nn/svg.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { nodeFiles, readText } from '../train/files.ts';
import { decodeConfig } from '../train/run-config.ts';
import { RunDirectory } from '../train/run-directory.ts';
import type { Context } from './context.ts';
import { outputFile, refusePresent } from './output-file.ts';

/** Networks by name, with the side of the images that they were made for. */
const zoo: Readonly<Record<string, { readonly size: number; build(): ModelSymbol }>> = {
  'inception-bn': { size: 224, build: () => inceptionBN() },
  'inception-bn-small': { size: 28, build: () => inceptionBNSmall() },
  'inception-v3': { size: 299, build: () => inceptionV3() },
};

/** Longest side of a PNG, in pixels: more, and viewers give up. */
const mostPixels = 16_000;

export function addGraph(program: Command, context: Context): void {
  program.command('graph')
    .description('Draw a network as DOT and SVG, with shapes on its edges, and sum up parameters and multiply-adds by layer.')
    .argument('<model>', `${Object.keys(zoo).join(', ')}, a run directory, a -symbol.json, or a model as --weights takes it`)
    .option('--out <name>', 'of the files, without an ending (default: the name of the model, in this folder)')
    .option('--shape <list>', 'of an input without its batch, channels first, as in 3,224,224 (default: what the model was made for)')
    .option('--png', 'write a PNG too')
    .option('--force', 'replace files that are there')
    .addHelpText('after', `
Examples:
  $ fovea graph inception-bn
        writes inception-bn.dot and inception-bn.svg, and prints a line a layer
  $ fovea graph Inception_BN-symbol.json --png --out drawings/inception
  $ fovea graph runs/train-1
`)
    .action((model: string, given: Record<string, unknown>) => graph(model, given, context));
}

interface Found {
  readonly name: string;
  readonly symbol: ModelSymbol;
  /** Of an input without its batch, MXNet's axes. */
  readonly shape: Shape;
  /** Where they were loaded. */
  readonly parameters?: Checkpoint;
  readonly warnings?: readonly string[];
}

async function graph(model: string, given: Record<string, unknown>, { terminal }: Context): Promise<void> {
  const asked = given.shape === undefined ? undefined : parseShape(String(given.shape));
  const { name, symbol, shape, parameters, warnings = [] } = await find(model, asked);
  for (const warning of warnings) terminal.err(`warning: ${warning}\n`);
  const input = inputOf(symbol);
  const shapes = { [input]: [1, ...shape] };
  const summary = summaryOf(symbol, shapes, asked);
  if (parameters !== undefined) checkShapes(model, symbol, shapes, parameters);
  const base = (await outputFile(given.out)) ?? name;
  const files = await nodeFiles();
  const { fs } = files;
  if (given.force !== true) await refusePresent(files, ['dot', 'svg', ...(given.png ? ['png'] : [])].map((ending) => `${base}.${ending}`));
  const dot = toDot(symbol, { title: name, inputs: shapes });
  await fs.writeFile(`${base}.dot`, dot);
  const svg = await dotToSvg(dot);
  await fs.writeFile(`${base}.svg`, svg);
  if (given.png) await fs.writeFile(`${base}.png`, await rasterize(svg));
  terminal.out(`${name}, ${input} [${shape.join(', ')}]\n\n${summary}\n\n${base}.dot, ${base}.svg${given.png ? `, ${base}.png` : ''}\n`);
}

/** @throws OptionError where a shape that was asked for does not fit the network */
function summaryOf(symbol: ModelSymbol, shapes: Readonly<Record<string, Shape>>, asked: Shape | undefined): string {
  try {
    return summaryText(symbol, shapes);
  } catch (error) {
    if (asked === undefined || !(error instanceof ShapeError)) throw error;
    throw new OptionError(`--shape ${asked.join()}: ${error.message}`, { cause: error });
  }
}

function inputOf(symbol: ModelSymbol): string {
  const inputs = symbol.listArguments();
  return inputs.includes('data') ? 'data' : inputs[0];
}

/** @throws OptionError where parameters would have other shapes than they have: the figures would be of another network */
function checkShapes(model: string, symbol: ModelSymbol, inputs: Readonly<Record<string, Shape>>, { arguments: learnt, auxiliary }: Checkpoint): void {
  const { arguments: wanted, auxiliary: states } = symbol.inferShape(inputs);
  const [[input, shape]] = Object.entries(inputs);
  for (const [name, expected] of [...wanted, ...states]) {
    const got = (learnt.get(name) ?? auxiliary.get(name))?.shape;
    if (got === undefined || got.join() === expected.join()) continue;
    throw new OptionError(`${model}: "${name}" has [${got.join(', ')}]; with ${input} of [${shape.slice(1).join(', ')}] it would have `
      + `[${expected.join(', ')}]: --shape says what the network was made for`);
  }
}

function parseShape(text: string): Shape {
  const shape = text.split(',').map(Number);
  if (shape.length === 0 || !shape.every((d) => Number.isInteger(d) && d > 0)) {
    throw new OptionError(`--shape: expected lengths of axes without the batch, as in 3,224,224, got "${text}"`);
  }
  return shape;
}

async function find(model: string, asked: Shape | undefined): Promise<Found> {
  if (Object.hasOwn(zoo, model)) {
    const { size, build } = zoo[model];
    return { name: model, symbol: build(), shape: asked ?? [3, size, size] };
  }
  const { fs, path } = await nodeFiles();
  if (await fs.stat(path.join(model, 'config.json')).catch(() => undefined)) {
    const run = await RunDirectory.open(model);
    const { name, imageShape: [height, width, channels] } = decodeConfig(await run.readText('config.json'), run.file('config.json'));
    return { name, symbol: await run.readSymbol(name), shape: asked ?? [channels, height, width] };
  }
  const name = path.basename(model).replace(/(-symbol\.json|-\d{4,}\.params|\.json|\.safetensors)$/, '');
  // A symbol is drawn without its parameters.
  if (model.endsWith('-symbol.json') || (model.endsWith('.json') && await isSymbol(model, modelFiles))) {
    const warnings: string[] = [];
    const symbol = readSymbol(await readText(await nodeFiles(), model), { file: model, warn: (warning) => warnings.push(warning) });
    return { name, symbol, warnings, shape: asked ?? sideOf(preprocessingOf(symbol)?.size) };
  }
  const { symbol, parameters, inputs, preprocessing, warnings } = await loadModel(model);
  const [, ...stated] = inputs?.[inputOf(symbol)] ?? [];
  const { size, meanImage } = preprocessing ?? {};
  const [, ...pixels] = meanImage?.shape ?? [];
  const shape = asked ?? (stated.length > 0 ? stated : sideOf(size ?? (pixels.length === 2 ? [pixels[0], pixels[1]] : undefined)));
  return { name, symbol, parameters, warnings, shape };
}

function sideOf(size: readonly [number, number] = [224, 224]): Shape {
  return [3, ...size];
}

async function rasterize(svg: string): Promise<Uint8Array> {
  const sharp = await loadCodec();
  const picture = sharp(Buffer.from(svg), { density: 72, limitInputPixels: false });
  return picture.resize({ width: mostPixels, height: mostPixels, fit: 'inside', withoutEnlargement: true }).flatten({ background: 'white' }).png().toBuffer();
}
