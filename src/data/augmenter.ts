/**
 * A list of augmentations at work. Which images one falls on, and the numbers that it draws for each, are decided on the host, by
 * seed, epoch and sample; they travel with the batch as one small matrix. What is done to images is done on the device.
 */
import { OptionError } from '../errors.ts';
import { getOp } from '../graph/op.ts';
import { didYouMean } from '../nearest.ts';
import { hashName, PhiloxStream } from '../random/philox.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { apply1, wrap } from '../tensor/tensor.ts';
import type { Augmentation, ImageShape, MeanLevels, TransformContext } from './augment.ts';
import type { Chosen } from './each-epoch.ts';

/** What is known of a batch before its pixels are there. */
export interface Drawn {
  /** From 0. */
  readonly epoch: number;
  /** Class of each sample. */
  readonly labels: Int32Array;
  /** What random numbers are drawn by; see `SampledBatch`. */
  readonly draws: Int32Array;
  readonly chosen?: Chosen;
}

/** What random numbers are drawn by on the device: int32 scalars, and int32 [N]. */
export interface AugmentKeys {
  readonly seed: TensorLike;
  readonly epoch: TensorLike;
  readonly draws: TensorLike;
}

interface Member {
  readonly augmentation: Augmentation;
  /** Labels on which it falls; undefined for all. */
  readonly labels: ReadonlySet<number> | undefined;
  /** Its first column: whether it falls on the image; its parameters follow. */
  readonly column: number;
}

export class Augmenter {
  /** Numbers for each image that the device needs; 0 where nothing is traced. */
  readonly columns: number;
  readonly #members: readonly Member[];
  readonly #shape: ImageShape;
  readonly #seed: number;

  /**
   * @param classes names of the dataset's classes
   * @throws OptionError for a class that is unknown, or two augmentations of one name
   */
  constructor(list: readonly Augmentation[], { classes, shape, seed }: {
    readonly classes: readonly string[]; readonly shape: ImageShape; readonly seed: number;
  }) {
    let columns = 0;
    const names = new Set<string>();
    this.#members = list.map((augmentation) => {
      const { name, tensor } = augmentation;
      if (names.has(name)) throw new OptionError(`augment: two are named '${name}', by which random numbers are drawn; name one otherwise`);
      names.add(name);
      const labels = augmentation.classes?.map((which) => labelOf(which, classes, name));
      const column = columns;
      if (tensor) columns += 1 + (tensor.parameters?.count ?? 0);
      return { augmentation, labels: labels && new Set(labels), column };
    });
    this.columns = columns;
    this.#shape = shape;
    this.#seed = seed;
  }

  /** Whether nothing is ever done to an image. */
  get none(): boolean {
    return this.#members.length === 0;
  }

  /**
   * For each image of a batch, [N, columns]: whether each traced augmentation falls on it (0 or 1), and its parameters.
   *
   * @throws OptionError for a transform that an epoch asks for and the list has not
   */
  settings(drawn: Drawn): Float32Array {
    this.#checkNames(new Set(drawn.chosen?.flatMap((names) => names ?? [])));
    const n = drawn.draws.length;
    const out = new Float32Array(n * this.columns);
    for (const member of this.#members) {
      const { name, tensor } = member.augmentation;
      if (tensor === undefined) continue;
      for (let k = 0; k < n; k++) {
        if (!this.#falls(member, drawn, k)) continue;
        const at = k * this.columns + member.column;
        out[at] = 1;
        const { count, draw } = tensor.parameters ?? { count: 0, draw: () => [] };
        const values = draw(this.#stream(`${name}/parameters`, drawn, k), this.#shape);
        if (values.length !== count) throw new OptionError(`augment ${name}: ${values.length} parameters were drawn, ${count} are declared`);
        out.set(values, at + 1);
      }
    }
    return out;
  }

  /** Carries out the augmentations of bytes, in place, on the batch's pixels. */
  changePixels(pixels: Uint8Array, drawn: Drawn): void {
    const [height, width, channels] = this.#shape;
    const stride = height * width * channels;
    for (const member of this.#members) {
      const { name, pixels: change } = member.augmentation;
      if (change === undefined) continue;
      for (let k = 0; k < drawn.draws.length; k++) {
        if (!this.#falls(member, drawn, k)) continue;
        change(pixels.subarray(k * stride, (k + 1) * stride), this.#shape, this.#stream(`${name}/parameters`, drawn, k));
      }
    }
  }

  /**
   * Records the traced augmentations.
   *
   * @param images [N, H, W, C], float32, in grey levels of 0 to 255
   * @param settings what `settings` gave, [N, columns]
   * @param levels what the normalisation takes off
   * @throws OptionError for a transform that gives images of another form
   */
  apply(images: Tensor, settings: Tensor, { seed, epoch, draws }: AugmentKeys, levels: MeanLevels): Tensor {
    const [n] = images.shape;
    const means = meansOf(levels);
    return this.#members.reduce((x, { augmentation: { name, tensor }, column }) => {
      if (tensor === undefined) return x;
      const count = tensor.parameters?.count ?? 0;
      const changed = tensor(x, {
        random: (distribution, shape, own = '') => apply1(getOp('random'), [seed, epoch, draws], {
          distribution, key: hashName(`augment/${name}/${own}`), shape: [n, ...shape],
        }),
        parameters: count === 0 ? undefined : settings.slice([0, column + 1], [n, count]),
        ...means,
      });
      if (changed.shape.join() !== x.shape.join() || changed.dtype !== 'float32') {
        throw new OptionError(`augment ${name}: gave ${changed.toString()} for images ${x.toString()}; the form should stay`);
      }
      const falls = settings.slice([0, column], [n, 1]).reshape([n, 1, 1, 1]).greater(0.5);
      return apply1(getOp('where'), [falls, changed, x]);
    }, images);
  }

  #falls({ augmentation: { name, probability }, labels }: Member, drawn: Drawn, k: number): boolean {
    const chosen = drawn.chosen?.[k];
    if (chosen !== undefined) return chosen.includes(name);
    if (labels !== undefined && !labels.has(drawn.labels[k])) return false;
    return probability === 1 || this.#stream(name, drawn, k).chance(probability);
  }

  #checkNames(chosen: ReadonlySet<string>): void {
    const known = this.#members.map(({ augmentation: { name } }) => name);
    for (const name of chosen) {
      if (known.includes(name)) continue;
      throw new OptionError(`eachEpoch asked for the transform '${name}'; fit's list augment has ${known.join(', ') || 'none'}`
        + didYouMean(name, known));
    }
  }

  #stream(name: string, { draws, epoch }: Drawn, k: number): PhiloxStream {
    return new PhiloxStream(this.#seed, `augment/${name}`, draws[k], epoch);
  }
}

function meansOf({ mean, image }: MeanLevels): Pick<TransformContext, 'mean' | 'meanImage'> {
  if (image === undefined) return { mean };
  const { shape, data } = image;
  const channels = shape[2];
  const sums = new Array<number>(channels).fill(0);
  data.forEach((v, i) => (sums[i % channels] += v));
  return { mean: sums.map((sum) => sum / (data.length / channels)), meanImage: wrap(data, [1, ...shape], 'float32') };
}

function labelOf(which: string | number, classes: readonly string[], name: string): number {
  const label = typeof which === 'number' ? which : classes.indexOf(which);
  if (Number.isInteger(label) && label >= 0 && label < classes.length) return label;
  throw new OptionError(`augment ${name}: class: expected one of ${classes.join(', ')}, got '${which}'`
    + (typeof which === 'string' ? didYouMean(which, classes) : ''));
}
