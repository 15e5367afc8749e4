/** Starting from pretrained weights: what is loaded, where it is cut, which of its layers learn, and when. */
import { fetchWeights } from '../data/fetch-weights.ts';
import { FormatError, OptionError, ShapeError } from '../errors.ts';
import { loadModel } from '../formats/load-model.ts';
import { nodeFiles } from '../formats/model-files.ts';
import { readMeanImage } from '../formats/mxnet-checkpoint.ts';
import type { Checkpoint } from '../formats/mxnet-params.ts';
import type { Preprocessing } from '../formats/preprocessing.ts';
import { blocksOf } from '../nn/blocks.ts';
import { addHead, cutAt, parseHead } from '../nn/head.ts';
import type { LayerChoice } from '../nn/learning.ts';
import { freeze, ownVariables, scaleLearningRates, unfreeze, upTo } from '../nn/learning.ts';
import type { ModelSymbol } from '../nn/symbol.ts';
import { outputName } from '../nn/symbol-graph.ts';
import type { Normalization } from './preprocess.ts';
import type { ResolvedOptions, RunOptions, Spelling } from './run-options.ts';
import { asKey, resolveOptions } from './run-options.ts';
import type { Unfreezing } from './stage.ts';
import { fromPreprocessing, parsePreprocessing } from './stated-preprocessing.ts';

/** Weights as they were loaded. */
export interface PretrainedModel {
  /** For the files of the run: of its own. */
  readonly name: string;
  readonly symbol: ModelSymbol;
  readonly parameters: Checkpoint;
  /** In hexadecimal, of all its files; see `fetchWeights`. */
  readonly sha256: string;
  /** What the weights want done to images; undefined where nobody says. */
  readonly normalization?: Normalization;
  /** Side of the images that it was trained on, in pixels. */
  readonly size?: number;
  readonly warnings: readonly string[];
}

export interface LoadHooks {
  /** Bytes fetched. */
  readonly onFetch?: (received: number, total?: number) => void;
}

type SourceOptions = Pick<RunOptions, 'sha256' | 'preprocess' | 'meanImage' | 'batchNormDefaults'>;

/** @throws DataError, FormatError naming the file; OptionError where `sha256` is no hash */
export async function loadPretrained(
  address: string, { sha256, batchNormDefaults, ...said }: SourceOptions = {}, hooks: LoadHooks = {}, spell: Spelling = asKey,
): Promise<PretrainedModel> {
  const given = await givenPreprocessing(said);
  const fetched = await fetchWeights(address, { sha256, onProgress: hooks.onFetch });
  const { symbol, parameters, preprocessing, warnings } = await loadModel(fetched.path, {
    batchNorm: batchNormDefaults, preprocessing: given, spell: (option) => spell(option === 'preprocessing' ? 'preprocess' : option),
  });
  const alone = fetched.matched === 'parameters'
    ? [`${spell('sha256')} is that of ${fetched.path} alone; with symbol and mean image it is ${fetched.sha256}, which is recorded`] : [];
  const [height, width] = preprocessing?.size ?? preprocessing?.meanImage?.shape.slice(1) ?? [];
  const oblong = height === width ? []
    : [`${fetched.path} is of images of ${height} x ${width} pixels; here they are squares, of ${height} unless ${spell('size')} says otherwise`];
  return {
    name: nameOf(address), symbol, parameters, sha256: fetched.sha256, warnings: [...alone, ...warnings, ...oblong],
    normalization: preprocessing && fromPreprocessing(preprocessing), size: height,
  };
}

/** What options say in place of the weights. */
async function givenPreprocessing({ preprocess, meanImage }: SourceOptions): Promise<Preprocessing | undefined> {
  if (preprocess !== undefined) return parsePreprocessing(preprocess);
  if (meanImage === undefined) return undefined;
  return { mean: [0, 0, 0], deviation: [1, 1, 1], meanImage: readMeanImage(await nodeFiles.read(meanImage), meanImage) };
}

/** `Inception_BN` of `.../Inception_BN-0039.params`; a `model.json` is called by its folder. */
export function nameOf(address: string): string {
  // What follows the path of an address is no name: `?download=true`.
  const path = /^[a-z][a-z0-9+.-]+:\/\//i.test(address) ? decodeURIComponent(new URL(address).pathname) : address;
  const parts = path.split(/[/\\]/).filter((part) => part !== '');
  const file = parts.at(-1) ?? '';
  const stem = (file === 'model.json' ? parts.at(-2) ?? 'model' : file).replace(/(-symbol\.json|-\d{4,}\.params|\.json|\.safetensors)$/, '');
  return stem.replace(/[^\w.-]/g, '_') || 'model';
}

/** Options with what holds where nothing was said, and the model that they name. */
export interface ResolvedRun {
  readonly options: ResolvedOptions;
  readonly model?: PretrainedModel;
}

/**
 * Resolves options; where they name weights these are loaded, and their size and hash hold where none are given.
 *
 * @throws OptionError before anything is fetched, for options that do not go together; as `loadPretrained`
 */
export async function resolveRun(given: RunOptions, spell?: Spelling, hooks: LoadHooks = {}): Promise<ResolvedRun> {
  const options = await resolveOptions(given, spell);
  if (options.weights === undefined) return { options };
  const model = await loadPretrained(options.weights, options, hooks, spell);
  return { options: { ...options, size: given.size ?? model.size ?? options.size, sha256: model.sha256 }, model };
}

/** The network to train out of a model: cut, with a new head, its learning rates falling towards the image. */
export interface TransferNetwork {
  readonly symbol: ModelSymbol;
  /** The layer at which it was cut. */
  readonly cut: string;
}

type TransferOptions = Pick<ResolvedOptions, 'cut' | 'head' | 'layerDecay' | 'freeze' | 'unfreeze' | 'batchNorm' | 'weights'>;

/**
 * @param imageShape height, width, channels
 * @throws OptionError for a layer that is not there, a head that does not end in the classes, or images too small; FormatError where the model lacks values
 */
export function transferNetwork(
  { symbol, parameters }: Pick<PretrainedModel, 'symbol' | 'parameters'>, options: TransferOptions,
  classes: readonly string[], [height, width, channels]: readonly [number, number, number], spell: Spelling = asKey,
): TransferNetwork {
  const trunk = options.cut === undefined ? beforeClassifier(symbol, spell) : cutAt(symbol, options.cut);
  const head = parseHead(options.head ?? String(classes.length));
  const last = head[head.length - 1];
  if (last.kind === 'dense' && last.size !== classes.length) {
    throw new OptionError(`${spell('head')} ${options.head}: ends in ${last.size}, where there are ${classes.length} classes (${classes.join(', ')})`);
  }
  const known = new Set([...parameters.arguments.keys(), ...parameters.auxiliary.keys()]);
  const missing = [...trunk.listParameters(['data']), ...trunk.listAuxiliaryStates()].filter((name) => !known.has(name));
  if (missing.length > 0) {
    throw new FormatError(`${options.weights}: ${missing.length} parameters of the network are not there: ${missing.slice(0, 5).join(', ')}`);
  }
  const cut = trunk.entries[0].node.name;
  const whole = withHead(trunk, head, [channels, height, width], `${spell('size')} ${height}`);
  return { symbol: decayed(whole, trunk, options.layerDecay ?? 1), cut };
}

/** @throws OptionError, beginning with `size`, for images that are too small for the trunk */
function withHead(trunk: ModelSymbol, head: ReturnType<typeof parseHead>, image: readonly number[], size: string): ModelSymbol {
  try {
    return addHead(trunk, head, { data: [1, ...image] });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new OptionError(`${size}: images of this size do not fit the network: ${error.message}`, { cause: error });
  }
}

/** Up to what the last fully connected layer reads. */
function beforeClassifier(symbol: ModelSymbol, spell: Spelling): ModelSymbol {
  const classifier = symbol.nodes.findLast((node) => node.op === 'FullyConnected');
  if (classifier === undefined) throw new OptionError(`the network has no fully connected layer to cut before: ${spell('cut')} says where`);
  return cutAt(symbol, outputName(classifier.inputs[0]));
}

/** Each block's learning rate is the next one's times `decay`, the head's being 1 (layer-wise decay; Clark et al., ELECTRA, 2020). */
function decayed(whole: ModelSymbol, trunk: ModelSymbol, decay: number): ModelSymbol {
  const blocks = blocksOf(trunk);
  const factors = new Map(blocks.flatMap((block, i) => block.flatMap((layer) =>
    layer.inputs.flatMap(({ node }) => (node.op === 'null' ? [[node.name, decay ** (blocks.length - i)] as const] : [])))));
  return scaleLearningRates(whole, (name) => factors.get(name) ?? 1);
}

/** Which layers learn, from which epoch on. */
export interface Stages {
  readonly symbol: ModelSymbol;
  readonly unfreezings: readonly Unfreezing[];
}

/**
 * The network with attributes that say what is frozen at first, and in later epochs. It depends on structure and options alone: a
 * network that has such attributes already gets the same.
 *
 * @throws OptionError for layers that are not there, or epochs that do not ascend
 */
export function stagesOf({ symbol, cut }: TransferNetwork, options: TransferOptions, spell: Spelling = asKey): Stages {
  const { batchNorm: statistics = 'frozen' } = options;
  const trunk = upTo(symbol, cut);
  const free = unfreeze(symbol, trunk, { statistics });
  const text = options.freeze ?? 'trunk';
  const choice: LayerChoice = text === 'none' ? () => false : text === 'trunk' ? trunk
    : /[*,]/.test(text) ? text.split(',').map((part) => part.trim()) : upTo(symbol, text);
  const frozen = freeze(free, choice);
  let stage = frozen;
  const unfreezings = (options.unfreeze?.split(',') ?? []).map((part): Unfreezing => {
    const match = /^\s*(.+)@(\d+)\s*$/.exec(part);
    if (match === null) throw new OptionError(`${spell('unfreeze')} "${part}": expected a layer and an epoch, as in mixed3@5`);
    stage = unfreeze(stage, match[1] === 'all' ? trunk : fromBlockOf(symbol, match[1], `${spell('unfreeze')} "${part}"`), { statistics });
    return { epoch: Number(match[2]), symbol: stage };
  });
  return { symbol: frozen, unfreezings };
}

/** The block that a layer is in, or the layer of a parameter, and all after it. @throws OptionError for what is in none */
function fromBlockOf(symbol: ModelSymbol, layer: string, where: string): LayerChoice {
  const wanted = symbol.node(layer);
  const blocks = blocksOf(symbol);
  const at = blocks.findIndex((block) => block.some((one) => one.name === wanted.name || ownVariables(one).includes(wanted)));
  if (at < 0) throw new OptionError(`${where}: "${layer}" is an input of the network: expected a layer, or a parameter of one`);
  const names = new Set(blocks.slice(at).flat().map(({ name }) => name));
  return ({ op, name }) => op !== 'null' && names.has(name);
}
