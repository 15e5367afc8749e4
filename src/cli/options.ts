/** The options of commands, in the words of their help. */
import type { Command } from 'commander';
import { deviceNames } from '../device/names.ts';
import { optionNames } from '../train/run-options.ts';
import type { OptionName } from '../train/run-options.ts';

interface Described {
  readonly flags: string;
  readonly about: string;
}

/** Defaults are `phantomDefaults` and `folderDefaults` of train/run-options.ts; a test compares. */
export const described: Readonly<Record<OptionName, Described>> = {
  data: { flags: '--data <path>', about: 'folder of photographs, .rec file of them, or phantom: simulated ones (default: phantom)' },
  csv: { flags: '--csv <file>', about: 'table of the images (default: the only CSV of the folder, or labels.csv; else one folder a class); '
      + 'of a .rec, a .lst with other labels than its own' },
  fileColumn: { flags: '--file-column <name>', about: 'column with the file (default: image, file, id_code, ...)' },
  labelColumn: { flags: '--label-column <name>', about: 'column with the class (default: label, dr, grade, ...)' },
  patientColumn: { flags: '--patient-column <name>', about: 'column with the patient; without one each image is a patient' },
  splitColumn: { flags: '--split-column <name>', about: 'column that says train, validation or test' },
  groupColumn: { flags: '--group-column <name>', about: 'column that is equal for copies of one photograph' },
  positive: { flags: '--positive <expr>', about: "which rows are infected, as in 'grade >= 2 or dme >= 1'" },
  exclude: { flags: '--exclude <names>', about: 'images to leave out, separated by commas' },
  duplicates: { flags: '--duplicates <names>', about: 'copies of one photograph, kept on one side: a=b,c=d=e' },
  size: { flags: '--size <pixels>', about: 'side of the images as the network sees them (default: 128 phantom, 224 photographs)' },
  validation: { flags: '--validation <share>', about: 'of the patients, for choosing the best epoch (default: 0.15)' },
  test: { flags: '--test <share>', about: 'of the patients, judged once at the end (default: 0.15)' },
  patients: { flags: '--patients <n>', about: 'patients, two eyes each (default: 1200)' },
  prevalence: { flags: '--prevalence <share>', about: 'infected part of the eyes (default: 0.5)' },
  blur: { flags: '--blur <factor>', about: 'on the optics of each camera (default: 1)' },
  labelNoise: { flags: '--label-noise <share>', about: 'probability that a label is wrong (default: 0)' },
  weights: {
    flags: '--weights <model>',
    about: "begin from a pretrained model: a path or an https address of MXNet's, Keras' (model.json) or safetensors files",
  },
  sha256: { flags: '--sha256 <hash>', about: 'what the weights must hash to: all files of the model together, or an MXNet .params file alone' },
  preprocess: {
    flags: '--preprocess <how>',
    about: "what weights want that do not say: minus1to1, or grey levels of a mean and a deviation, '123.68,116.779,103.939/58,57,57' (or 1)",
  },
  meanImage: { flags: '--mean-image <file>', about: 'the mean image (.nd) that the weights want taken off, in place of the one beside them' },
  cut: { flags: '--cut <layer>', about: 'where the new head goes on (default: before the last fully connected layer)' },
  head: {
    flags: '--head <layers>',
    about: "the new head, as in 128,relu,2: sizes of layers, relu, tanh, dropout:0.3, norm, avg, max, flatten (default: one layer)",
  },
  freeze: {
    flags: '--freeze <what>',
    about: "what keeps its weights: trunk, none, a layer (with all before it), or 'conv_3*,bn_3*' (default: trunk, all but the head)",
  },
  unfreeze: { flags: '--unfreeze <list>', about: 'mixed3@5: from epoch 5 on the block of mixed3, and all after it, learn; all@9' },
  layerDecay: { flags: '--layer-decay <f>', about: "a block's learning rate over that of the next towards the head (default: 1)" },
  batchNorm: {
    flags: '--batch-norm <which>', about: "what the trunk's batch norms go by where they learn: frozen or batch statistics (default: frozen)",
  },
  batchNormDefaults: {
    flags: '--batch-norm-defaults <year>',
    about: "what a batch norm of MXNet's old files is that states no eps or fix_gamma: mxnet-1.9 or 2015 (default: mxnet-1.9)",
  },
  cacheFeatures: { flags: '--cache-features <which>', about: 'off: compute what is frozen anew in each step, to the same bits (default: on)' },
  model: { flags: '--model <name>', about: 'inception-bn or inception-bn-small (default: inception-bn)' },
  width: { flags: '--width <factor>', about: 'on the channels of every convolution (default: 0.25 phantom, 1 photographs)' },
  epochs: { flags: '--epochs <n>', about: 'passes over the training part (default: 10 phantom, 30 photographs)' },
  batch: { flags: '--batch <n>', about: 'images a step (default: 16 phantom, 32 photographs)' },
  optimizer: { flags: '--optimizer <name>', about: 'sgd or adam (default: sgd)' },
  lr: {
    flags: '--lr <rate>',
    about: 'learning rate: a number, or an expression over epoch, epochs, update and updates, as in '
      + "'0.1 * 0.5^floor(epoch/10)' (default: half a cosine from 0.05, adam 0.002)",
  },
  momentum: { flags: '--momentum <m>', about: 'of sgd (default: 0.9)' },
  weightDecay: { flags: '--weight-decay <w>', about: 'on weights and gammas (default: 0.0001)' },
  clipGradient: { flags: '--clip-gradient <most>', about: 'gradients are cut to this in size, each element by itself (default: not)' },
  classWeights: { flags: '--class-weights <w>', about: 'none, balanced (from the class counts), or a weight for each class: 1,20 (default: none)' },
  sampler: { flags: '--sampler <name>', about: 'none, balanced or annealed (default: none)' },
  augment: {
    flags: '--augment <list>',
    about: "none, or of flips, rotate180, noise=2 (grey levels), rotate=15 (degrees), shear=0.1, aspect=0.1, scale=0.9-1.1, crop=100-128, "
      + 'pad=4, fill=0, hue=5, saturation=20, lightness=20, contrast=0.1, illumination=10, inter=cubic; each with '
      + ':PROBABILITY and @CLASS, as in '
      + "'noise=2@infected,rotate180:0.5@infected' (default: flips, none before a frozen trunk)",
  },
  normalize: {
    flags: '--normalize <name>',
    about: 'channel; local: each pixel less the mean around it; '
      + 'model: as the weights want it (default: local, model with weights)',
  },
  seed: { flags: '--seed <n>', about: 'of everything that is random (default: 1)' },
  mixed: {
    flags: '--mixed',
    about: '16-bit activations with a dynamic loss scale: float16 on WebGPU adapters with shader-f16, bfloat16 with CUDA (default: float32)',
  },
  device: { flags: '--device <name>', about: `auto, ${deviceNames} (default: auto)` },
  threads: { flags: '--threads <n>', about: 'of the cpu device (default: all processors)' },
  workers: { flags: '--workers <n>', about: 'threads that assemble batches (default: 1)' },
  recompute: { flags: '--recompute <which>', about: 'on: less memory for a little time, the same bits (default: off)' },
  keep: { flags: '--keep <which>', about: 'parameters that are kept: best (and the last), or all epochs (default: best)' },
};

export const groups: Readonly<Record<string, readonly OptionName[]>> = {
  'Data:': [
    'data', 'csv', 'fileColumn', 'labelColumn', 'patientColumn', 'splitColumn', 'groupColumn', 'positive', 'exclude', 'duplicates', 'size',
    'validation', 'test',
  ],
  'Simulated data:': ['patients', 'prevalence', 'blur', 'labelNoise'],
  'Training:': [
    'model', 'width', 'epochs', 'batch', 'optimizer', 'lr', 'momentum', 'weightDecay', 'clipGradient', 'classWeights', 'sampler', 'augment',
    'normalize', 'seed', 'mixed',
  ],
  'Pretrained weights:': [
    'weights', 'sha256', 'preprocess', 'meanImage', 'cut', 'head', 'freeze', 'unfreeze', 'layerDecay', 'batchNorm', 'batchNormDefaults',
    'cacheFeatures',
  ],
  'Machine:': ['device', 'threads', 'workers', 'recompute'],
};

/** Adds options of a run to a command, under their headings. */
export function addRunOptions(command: Command, names: readonly OptionName[]): Command {
  for (const [heading, members] of Object.entries(groups)) {
    const here = members.filter((name) => names.includes(name));
    if (here.length > 0) command.optionsGroup(heading);
    for (const name of here) command.option(described[name].flags, described[name].about);
  }
  return command;
}

/** Those of a command's options that are options of a run. */
export function runOptionsOf(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) =>
    value !== undefined && (optionNames as readonly string[]).includes(name)));
}
