/**
 * Photographs to pixels: JPEG and PNG through sharp (libvips), upright by their EXIF orientation, as RGB bytes.
 */
import type sharpModule from 'sharp';
import { DataError, OptionError } from '../errors.ts';
import { importNode, importPackage } from './node.ts';

/** How a photograph becomes a square (or another fixed shape). */
export const fits = ['pad', 'crop', 'stretch'] as const;
/** `pad`: all of it, black bars beside; `crop`: the centre, filled; `stretch`: each axis on its own. */
export type Fit = (typeof fits)[number];

/** Resampling kernels; all but `nearest` are widened when shrinking, so that every source pixel counts. */
export const kernels = ['lanczos3', 'lanczos2', 'mitchell', 'cubic', 'linear', 'nearest'] as const;
export type ResizeKernel = (typeof kernels)[number];

export interface DecodeOptions {
  /** Side of the square, or [height, width], in pixels. Without it the photograph keeps its own size. */
  size?: number | readonly [height: number, width: number];
  /** Default 'pad'. */
  fit?: Fit;
  /** Default 'lanczos3'. */
  kernel?: ResizeKernel;
  /** Most pixels a file may hold (width x height): a guard against decompression bombs. Default 268 million. */
  maxPixels?: number;
}

export interface DecodedImage {
  /** RGB, height x width x 3, row-major. */
  data: Uint8Array;
  height: number;
  width: number;
  /** Size as seen upright, before resizing. */
  original: { height: number; width: number; format: 'jpeg' | 'png' };
}

/** The most pixels a side that JPEG can say; a PNG that says more is damaged, or means harm. */
const maxSide = 65535;

type Sharp = typeof sharpModule;
let loaded: Promise<Sharp> | undefined;

/** The codec, loaded on first use. @throws MissingPackageError where sharp is not installed. */
export function loadCodec(): Promise<Sharp> {
  loaded ??= importPackage<{ default: Sharp }>('sharp', 'reading JPEG and PNG files').then(
    (module) => module.default,
    (error) => {
      loaded = undefined;
      throw error;
    },
  );
  return loaded;
}

/** @throws OptionError for a size, fit or kernel that does not exist. */
export function checkDecodeOptions(options: DecodeOptions): void {
  const sides = options.size === undefined ? [] : [options.size].flat() as number[];
  for (const side of sides) {
    if (!Number.isInteger(side) || side < 1 || side > 16384) {
      throw new OptionError(`image size must be a whole number of pixels from 1 to 16384, got ${side}`);
    }
  }
  if (options.fit !== undefined && !fits.includes(options.fit)) {
    throw new OptionError(`unknown fit '${options.fit}': one of ${fits.join(', ')}`);
  }
  if (options.kernel !== undefined && !kernels.includes(options.kernel)) {
    throw new OptionError(`unknown resize kernel '${options.kernel}': one of ${kernels.join(', ')}`);
  }
}

/**
 * Decodes one photograph to RGB bytes. Transparency is laid on black, grey becomes RGB, 16 bits become 8.
 *
 * @param source a path, or the file's bytes.
 * @param name what errors call it; the path by default.
 * @throws DataError naming the file where it is missing, is neither JPEG nor PNG, is truncated or otherwise corrupt.
 * @throws OptionError, MissingPackageError.
 */
export async function decodeImage(
  source: string | Uint8Array, options: DecodeOptions = {}, name = typeof source === 'string' ? source : 'image',
): Promise<DecodedImage> {
  const bytes = typeof source === 'string' ? await readBytes(source, name) : source;
  const { format, ...pixels } = await decodePixels(bytes, options, name);
  const sharp = await loadCodec();
  const { autoOrient } = await sharp(bytes, settingsOf(options)).metadata();
  return { ...pixels, original: { ...autoOrient, format } };
}

const settingsOf = (options: DecodeOptions) => ({ failOn: 'error', limitInputPixels: options.maxPixels ?? 268402689 } as const);

/** The same without the photograph's own size, which costs another look at the file. @throws as decodeImage */
export async function decodePixels(
  bytes: Uint8Array, options: DecodeOptions, name: string,
): Promise<Omit<DecodedImage, 'original'> & { format: 'jpeg' | 'png' }> {
  checkDecodeOptions(options);
  const sharp = await loadCodec();
  const format = formatOf(bytes, name);
  try {
    checkSides(bytes, format);
    let image = sharp(bytes, settingsOf(options)).autoOrient();
    if (options.size !== undefined) {
      const [height, width] = typeof options.size === 'number' ? [options.size, options.size] : options.size;
      image = image.resize({
        height, width,
        fit: ({ pad: 'contain', crop: 'cover', stretch: 'fill' } as const)[options.fit ?? 'pad'],
        kernel: options.kernel ?? 'lanczos3',
        background: { r: 0, g: 0, b: 0, alpha: 1 },
        fastShrinkOnLoad: false, // halving inside the JPEG decoder shifts pixels a little
      });
    }
    const { data, info } = await image
      .flatten({ background: { r: 0, g: 0, b: 0 } })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const rgb = threeChannels(data, info.channels, info.width * info.height);
    return { data: rgb, height: info.height, width: info.width, format };
  } catch (cause) {
    const reason = (cause as Error).message.replace(/\s+/g, ' ').trim();
    throw new DataError(`${name}: not a readable ${format.toUpperCase()}: ${reason}`, { cause });
  }
}

/** A PNG states its sides at byte 16; a JPEG cannot state too long ones. */
function checkSides(bytes: Uint8Array, format: 'jpeg' | 'png'): void {
  if (format === 'jpeg' || bytes.length < 24) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (Math.max(width, height) > maxSide) throw new Error(`its header says ${width} x ${height} pixels`);
}

/** What a file's first bytes say. @throws DataError for neither JPEG nor PNG */
export function formatOf(bytes: Uint8Array, name: string): 'jpeg' | 'png' {
  if (bytes.length === 0) throw new DataError(`${name}: the file is empty`);
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpeg';
  if ([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a].every((byte, i) => bytes[i] === byte)) return 'png';
  throw new DataError(`${name}: neither JPEG nor PNG by its first bytes`);
}

/** A file's bytes. @throws DataError */
export async function readBytes(path: string, name: string): Promise<Uint8Array> {
  const { readFile } = await importNode<typeof import('node:fs/promises')>('node:fs/promises', 'reading image files');
  try {
    return await readFile(path);
  } catch (cause) {
    throw new DataError(`${name}: ${fileReason(cause)}`, { cause });
  }
}

/** A file error in words. */
export function fileReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: 'no such file', EACCES: 'no permission to read it', EISDIR: 'is a folder, not a file',
    ENOTDIR: 'is not a folder', ENOSPC: 'no space left on the disk', EMFILE: 'too many open files',
  };
  return (code !== undefined && words[code]) || message;
}

function threeChannels(data: Buffer, channels: number, pixels: number): Uint8Array {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[i * channels + (channels < 3 ? 0 : c)];
  }
  return rgb;
}
