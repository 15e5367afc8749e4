/** Photographs to smaller photographs, as MXNet's im2rec makes them: cropped, resized by the short side, encoded anew. */
import { DataError, OptionError } from '../errors.ts';
import { formatOf, loadCodec } from './decode.ts';

/** 1 colour, 0 grey, -1 as the file is. */
export const colorModes = [1, 0, -1] as const;
export type ColorMode = (typeof colorModes)[number];
export const encodings = ['.jpg', '.png'] as const;
export type Encoding = (typeof encodings)[number];

export interface EncodeOptions {
  /** Length of the shorter side, in pixels. Default: the photograph keeps its size. */
  readonly resize?: number;
  /** Crops to the largest square in the middle, before resizing. */
  readonly centerCrop?: boolean;
  /** Default .jpg. */
  readonly encoding?: Encoding;
  /** JPEG: 1 to 100, default 95. PNG: how hard it is compressed, 0 to 9, default 3. */
  readonly quality?: number;
  /** Default 1. */
  readonly color?: ColorMode;
}

/** @throws OptionError for a value out of range */
export function checkEncodeOptions({ resize, encoding = '.jpg', quality, color = 1 }: EncodeOptions): void {
  const integer = (value: number, low: number, high: number): boolean => Number.isInteger(value) && value >= low && value <= high;
  if (resize !== undefined && !integer(resize, 1, 16384)) throw new OptionError(`resize: expected 1 to 16384 pixels, got ${resize}`);
  if (!encodings.includes(encoding)) throw new OptionError(`encoding: expected one of ${encodings.join(', ')}, got '${String(encoding)}'`);
  if (!colorModes.includes(color)) throw new OptionError(`color: expected 1 (colour), 0 (grey) or -1 (as it is), got ${String(color)}`);
  const [low, high] = encoding === '.png' ? [0, 9] : [1, 100];
  if (quality !== undefined && !integer(quality, low, high)) throw new OptionError(`quality: expected ${low} to ${high} for ${encoding}, got ${quality}`);
}

/**
 * Encodes one photograph anew, upright by its EXIF orientation; transparency is laid on black, unless `color` is -1. Sizes are
 * MXNet's: the longer side is rounded down. Shrinking takes every pixel into account (Lanczos), which OpenCV's default does not.
 *
 * @param name what errors call it
 * @throws DataError naming the file where it is neither JPEG nor PNG, or corrupt; OptionError; MissingPackageError without sharp
 */
export async function encodeImage(bytes: Uint8Array, options: EncodeOptions, name: string): Promise<Uint8Array> {
  checkEncodeOptions(options);
  const { resize, centerCrop = false, encoding = '.jpg', quality, color = 1 } = options;
  const sharp = await loadCodec();
  const format = formatOf(bytes, name);
  try {
    let image = sharp(bytes, { failOn: 'error' }).autoOrient();
    if (centerCrop || resize !== undefined) {
      let { width, height } = (await sharp(bytes, { failOn: 'error' }).metadata()).autoOrient;
      if (centerCrop) {
        const side = Math.min(width, height);
        image = image.extract({ left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), width: side, height: side });
        width = height = side;
      }
      if (resize !== undefined) {
        const longer = (side: number, other: number): number => Math.max(1, Math.floor(side * resize / other));
        const size = height > width ? { width: resize, height: longer(height, width) } : { width: longer(width, height), height: resize };
        image = image.resize({ ...size, fit: 'fill', kernel: 'lanczos3', fastShrinkOnLoad: false });
      }
    }
    if (color !== -1) image = image.flatten({ background: { r: 0, g: 0, b: 0 } });
    image = image.toColourspace(color === 0 ? 'b-w' : 'srgb');
    const encoded = encoding === '.png' ? image.png({ compressionLevel: quality ?? 3 }) : image.jpeg({ quality: quality ?? 95 });
    return await encoded.toBuffer();
  } catch (cause) {
    throw new DataError(`${name}: not a readable ${format.toUpperCase()}: ${(cause as Error).message.replace(/\s+/g, ' ').trim()}`, { cause });
  }
}
