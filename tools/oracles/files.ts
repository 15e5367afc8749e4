/** Fixtures of files: array lists of each version, records of images drawn from a seed, and what PyTorch and its packages write. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { phantomCohort, renderPhantom } from '../../src/data/phantom/index.ts';
import type { Part } from './part.ts';

export const arrays: Part = {
  name: 'files',
  make({ seed, out, run }) {
    run('mxnet', 'mxnet_arrays.py', join(out, 'fixtures', 'mxnet', 'files'), '--seed', String(seed));
    return 'array lists of versions 0 to 3';
  },
};

/** Sizes of images, as the given fixtures have them: wide, high, square, odd. */
const sizes = [[160, 120], [120, 160], [128, 128], [97, 131]] as const;

export const records: Part = {
  name: 'rec',
  async make({ seed, out, run }) {
    const folder = join(out, 'fixtures', 'mxnet', 'rec');
    for (const [i, { spec }] of phantomCohort({ patients: 4, seed }).entries()) {
      const [width, height] = sizes[i % sizes.length];
      const { pixels } = renderPhantom(spec, { size: 160 });
      const name = join(folder, 'images', 'ab'[i % 2], `0${i}.${i % 4 === 2 ? 'png' : 'jpg'}`);
      mkdirSync(join(name, '..'), { recursive: true });
      const image = sharp(pixels, { raw: { width: 160, height: 160, channels: 3 } }).resize(width, height, { fit: 'cover' });
      writeFileSync(name, await (name.endsWith('png') ? image.png() : image.jpeg({ quality: 92 })).toBuffer());
    }
    run('mxnet', 'mxnet_records.py', folder, '--seed', String(seed));
    return 'records and their pixels';
  },
};

export const torch: Part = {
  name: 'torch',
  make({ seed, out, run }) {
    run('torch', 'torch_networks.py', join(out, 'fixtures', 'torch'), '--seed', String(seed));
    return "PyTorch's Inception v3 and safetensors";
  },
};
