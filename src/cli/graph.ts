/** `fovea graph` */
import type { Command } from 'commander';
import { loadCodec } from '../data/decode.ts';
import type { Shape } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { isSymbol, loadModel } from '../formats/load-model.ts';
import { nodeFiles as modelFiles } from '../formats/model-files.ts';
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
}

async function graph(model: string, given: Record<string, unknown>, { terminal }: Context): Promise<void> {
  const asked = given.shape === undefined ? undefined : parseShape(String(given.shape));
  const { name, symbol, shape } = await find(model, asked);
  const inputs = symbol.listArguments();
  const input = inputs.includes('data') ? 'data' : inputs[0];
  const shapes = { [input]: [1, ...shape] };
  const summary = summaryText(symbol, shapes);
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
    const symbol = readSymbol(await readText(await nodeFiles(), model), { file: model });
    return { name, symbol, shape: asked ?? sideOf(preprocessingOf(symbol)?.size) };
  }
  const { symbol, preprocessing } = await loadModel(model);
  return { name, symbol, shape: asked ?? sideOf(preprocessing?.size) };
}

function sideOf(size: readonly [number, number] = [224, 224]): Shape {
  return [3, ...size];
}

async function rasterize(svg: string): Promise<Uint8Array> {
  const sharp = await loadCodec();
  const picture = sharp(Buffer.from(svg), { density: 72, limitInputPixels: false });
  return picture.resize({ width: mostPixels, height: mostPixels, fit: 'inside', withoutEnlargement: true }).flatten({ background: 'white' }).png().toBuffer();
}
