/** Images with their mirror images beside them. */
import type { Dataset } from '../../src/data/index.ts';

/** Whether left and right are exchanged, which makes a right eye of a left one. */
export const flips: readonly boolean[] = [false, true];

/** Sample 2 i + k is image i of a dataset, as it is or mirrored. */
export function flipped(data: Dataset): Dataset {
  const [height, width, channels] = data.shape;
  const stride = height * width * channels;
  const image = new Uint8Array(stride);
  const each = <T>(values: ArrayLike<T>): T[] => Array.from(values).flatMap((value) => flips.map(() => value));
  return {
    name: data.name, simulated: data.simulated, shape: data.shape, length: flips.length * data.length, classes: data.classes,
    labels: Int32Array.from(each(data.labels)), patients: each(data.patients),
    ids: data.ids.flatMap((id) => flips.map((_, k) => `${id}/${k}`)),
    readInto(index, target, offset = 0) {
      data.readInto(Math.floor(index / flips.length), image);
      if (!flips[index % flips.length]) {
        target.set(image, offset);
        return;
      }
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const from = (y * width + x) * channels;
          target.set(image.subarray(from, from + channels), offset + ((y + 1) * width - 1 - x) * channels);
        }
      }
    },
    close() {},
  };
}
