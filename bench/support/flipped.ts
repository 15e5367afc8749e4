/** Images with their mirror images beside them. */
import type { Dataset } from '../../src/data/index.ts';

/** Whether up and down, and left and right, are exchanged. */
export const flips: readonly (readonly [boolean, boolean])[] = [[false, false], [true, false], [false, true], [true, true]];

/** Sample 4 i + k is image i of a dataset in its k-th flip. */
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
      const [vertical, horizontal] = flips[index % flips.length];
      for (let y = 0; y < height; y++) {
        const from = vertical ? height - 1 - y : y;
        const row = image.subarray(from * width * channels, (from + 1) * width * channels);
        const at = offset + y * width * channels;
        if (!horizontal) target.set(row, at);
        else for (let x = 0; x < width; x++) target.set(row.subarray(x * channels, (x + 1) * channels), at + (width - 1 - x) * channels);
      }
    },
    close() {},
  };
}
