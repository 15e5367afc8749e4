/** Fixtures of whole networks: Inception-BN as Fovea has it, and the real symbol files of the shared folder, at sizes from a seed. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSymbol } from '../../src/formats/mxnet-symbol.ts';
import { inceptionBN } from '../../src/models/index.ts';
import { PhiloxStream } from '../../src/random/philox.ts';
import { shared } from '../../test/support/shared.ts';
import type { Part } from './part.ts';

interface NetworkCase {
  readonly name: string;
  readonly symbol: string;
  /** Shape of `data`. */
  readonly input: readonly number[];
  readonly scale: number;
  readonly train: boolean;
  readonly labels: readonly number[];
  /** Whether MXNet writes the symbol anew beside the figures. */
  readonly keep: boolean;
}

/** Real files: fixture, file, shape for a side of the images, the sides there are to draw from, scale of the inputs. */
const real: readonly (readonly [name: string, file: string, shape: (side: number) => number[], sides: readonly number[], scale: number])[] = [
  ['inception-bn-2015', 'Inception_BN-symbol.json', (side) => [2, 3, side, side], range(224, 255), 1 / 128],
  ['symbol_inception-v3-cpp', 'symbol_inception-v3-cpp.json', (side) => [1, 3, side, side], range(299, 320), 1 / 128],
  ['symbol_googlenet-cpp', 'symbol_googlenet-cpp.json', (side) => [2, 3, side, side], range(224, 250), 1 / 64],
  // Its shortcuts meet what they pass by only where every halving is even.
  ['symbol_resnet-cpp', 'symbol_resnet-cpp.json', (side) => [2, 3, side, side], [48, 64, 80, 96], 1 / 128],
  ['symbol_lenet-cpp', 'symbol_lenet-cpp.json', (side) => [2, 1, side, side], range(24, 32), 1 / 128],
  ['save_000800', 'save_000800.json', (side) => [2, side], range(500, 900), 1 / 128],
];

function range(least: number, most: number): number[] {
  return Array.from({ length: most - least + 1 }, (_, i) => least + i);
}

export const networks: Part = {
  name: 'nets',
  make({ seed, out, run }) {
    const [folder, formats] = [join(out, 'fixtures', 'mxnet', 'nets'), join(out, 'formats', 'mxnet')];
    for (const one of [folder, formats]) mkdirSync(one, { recursive: true });
    const stream = new PhiloxStream(seed, 'networks');
    const oneOf = (sides: readonly number[]): number => sides[stream.int(sides.length)];
    const ours = join(folder, 'inception-bn-2016.json');
    writeFileSync(ours, writeSymbol(inceptionBN()));
    const of = (name: string, symbol: string, input: readonly number[], scale: number, train = false, keep = false): NetworkCase =>
      ({ name, symbol, input, scale, train, keep, labels: Array.from({ length: input[0] }, () => stream.int(7)) });
    const side = oneOf(range(190, 256));
    const cases = [
      of('inception-bn-2016', ours, [2, 3, side, side], 1 / 128, false, true), of('inception-bn-2016', ours, [4, 3, side, side], 1, true),
    ];
    // All of the real files, which the tests look for where the fixtures are.
    const given = shared('formats', 'mxnet');
    for (const file of given === undefined ? [] : readdirSync(given)) writeFileSync(join(formats, file), readFileSync(join(given!, file)));
    for (const [name, file, shape, sides, scale] of real) {
      const drawn = shape(oneOf(sides));
      if (existsSync(join(formats, file))) cases.push(of(name, join(formats, file), drawn, scale));
    }
    const missing = real.length + 2 - cases.length;
    writeFileSync(join(folder, 'cases.json'), JSON.stringify(cases));
    run('mxnet', 'mxnet_networks.py', folder, '--seed', String(seed));
    for (const scaffold of [ours, join(folder, 'cases.json')]) rmSync(scaffold);
    return `${cases.length} networks${missing > 0 ? ` (left out, for want of formats/mxnet in the shared folder: ${missing})` : ''}`;
  },
};
