/** What ops refuse, and that their messages name the op, the inputs and both shapes. */
import { test } from 'uvu';
import '../../src/fovea.ts';
import { DTypeError, OptionError, ShapeError } from '../../src/errors.ts';
import { avgPool2d } from '../../src/ops/avg-pool2d.ts';
import { batchNorm } from '../../src/ops/batch-norm.ts';
import { add, less, logicalAnd } from '../../src/ops/binary.ts';
import { broadcastTo } from '../../src/ops/broadcast-to.ts';
import { cast } from '../../src/ops/cast.ts';
import { concat } from '../../src/ops/concat.ts';
import { concatFlat, sliceFlat } from '../../src/ops/concat-flat.ts';
import { conv2d } from '../../src/ops/conv2d.ts';
import { gather } from '../../src/ops/gather.ts';
import { linear, matmul } from '../../src/ops/matmul.ts';
import { maxPool2d } from '../../src/ops/max-pool2d.ts';
import { maxPool2dIndexGradOp, maxPool2dIndicesOp } from '../../src/ops/max-pool2d-indices.ts';
import { normalize } from '../../src/ops/normalize.ts';
import { pad } from '../../src/ops/pad.ts';
import { dropout } from '../../src/ops/random.ts';
import { max, sum } from '../../src/ops/reduce.ts';
import { reshape } from '../../src/ops/reshape.ts';
import { sgdUpdate } from '../../src/ops/sgd-update.ts';
import { shiftHls } from '../../src/ops/shift-hls.ts';
import { slice } from '../../src/ops/slice.ts';
import { softmaxCrossEntropy } from '../../src/ops/softmax-cross-entropy.ts';
import { poolAttrs } from '../../src/ops/support/pool.ts';
import { transpose } from '../../src/ops/transpose.ts';
import { exp } from '../../src/ops/unary.ts';
import { warpAffine } from '../../src/ops/warp-affine.ts';
import { where } from '../../src/ops/where.ts';
import type { DType } from '../../src/device/types.ts';
import { apply1, tensor, zeros } from '../../src/tensor/tensor.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { throws } from '../support/errors.ts';

const of = (dtype: DType, ...shape: number[]): Tensor => tensor(new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0), shape, dtype);
const f = (...shape: number[]): Tensor => zeros(shape);

const indexGrad = { ...poolAttrs('maxPool2d', { size: 2 }), inputShape: [1, 4, 4, 3] };

/** Each line: a call, the class of its error, what the message says. */
const cases: [name: string, run: () => unknown, kind: new (message: string) => Error, message: string][] = [
  ['conv2d, channels', () => conv2d(f(8, 28, 28, 32), f(64, 3, 3, 16)), ShapeError,
    'conv2d: filter [64,3,3,16] has 16 input channels, x [8,28,28,32] has 32'],
  ['conv2d, rank', () => conv2d(f(28, 28, 3), f(8, 3, 3, 3)), ShapeError,
    'conv2d: x [28,28,3] has 3 axes, expected 4 [batch, height, width, channels]'],
  ['conv2d, too large a filter', () => conv2d(f(1, 4, 4, 3), f(8, 3, 3, 3), { dilation: 2 }), ShapeError,
    'conv2d: filter [8,3,3,3] with dilation [2,2] is larger than x [1,4,4,3] with padding [0,0,0,0]'],
  ['conv2d, bias', () => conv2d(f(1, 4, 4, 3), f(8, 3, 3, 3), { bias: f(3) }), ShapeError,
    'conv2d: bias [3] should be [8], one for each output channel of filter [8,3,3,3]'],
  ['conv2d, dtype', () => conv2d(of('uint8', 1, 4, 4, 3), f(8, 3, 3, 3)), DTypeError,
    'conv2d: x [1,4,4,3] is uint8, expected float32'],
  ['conv2d, stride', () => conv2d(f(1, 4, 4, 3), f(8, 3, 3, 3), { stride: 0 }), OptionError,
    'conv2d: stride [0,0] should be integers of 1 or more'],
  ['conv2d, padding', () => conv2d(f(1, 4, 4, 3), f(8, 3, 3, 3), { padding: [1, 2, 3] as never }), OptionError,
    'conv2d: padding [1,2,3] should be a number, [h, w] or [top, bottom, left, right]'],
  ['conv2d, activation', () => conv2d(f(1, 4, 4, 3), f(8, 3, 3, 3), { activation: 'tanh' as never }), OptionError,
    'conv2d: activation "tanh" should be none or relu'],
  ['warpAffine', () => warpAffine(f(2, 4, 4, 3), f(1, 6)), ShapeError,
    'warpAffine: matrix [1,6] should be [2,6] or [2,7], a map for each image of x [2,4,4,3]'],
  ['shiftHls, channels', () => shiftHls(f(2, 4, 4, 1), f(2, 3)), ShapeError,
    'shiftHls: x [2,4,4,1] should have 3 channels: red, green, blue'],
  ['shiftHls, shift', () => shiftHls(f(2, 4, 4, 3), f(3)), ShapeError,
    'shiftHls: shift [3] should be [2,3], a line for each image of x [2,4,4,3]'],
  ['maxPool2d', () => maxPool2d(f(1, 2, 8, 3), { size: 3 }), ShapeError,
    'maxPool2d: window [3,3] is larger than x [1,2,8,3] with padding [0,0,0,0]'],
  ['maxPool2dIndices, too large a window', () => apply1(maxPool2dIndicesOp, [f(1, 16, 16, 3)], poolAttrs('maxPool2d', { size: 16 })), ShapeError,
    'maxPool2dIndices: window [16,16] has more than 255 places, which a byte cannot tell apart'],
  ['maxPool2dIndexGrad, dtype', () => apply1(maxPool2dIndexGradOp, [f(1, 2, 2, 3), f(1, 2, 2, 3)], indexGrad), DTypeError,
    'maxPool2dIndexGrad: index [1,2,2,3] is float32, expected uint8'],
  ['maxPool2dIndexGrad, shape', () => apply1(maxPool2dIndexGradOp, [f(1, 3, 2, 3), of('uint8', 1, 3, 2, 3)], indexGrad), ShapeError,
    'maxPool2dIndexGrad: dy [1,3,2,3] should be [1,2,2,3], for x [1,4,4,3]'],
  ['avgPool2d, a window in the padding', () => avgPool2d(f(1, 4, 4, 3), { size: 2, padding: 2 }), ShapeError,
    'avgPool2d: a window [2,2] lies wholly in the padding [2,2,2,2] of x [1,4,4,3]'],
  ['batchNorm', () => batchNorm(f(2, 3, 3, 5), f(4), f(5)), ShapeError,
    'batchNorm: gamma [4] should be [5], one for each channel of x [2,3,3,5]'],
  ['normalize', () => normalize(f(2, 5), f(5), f(1, 5), f(5), f(5)), ShapeError,
    'normalize: variance [1,5] should be [5], one for each channel of x [2,5]'],
  ['add, shapes', () => add(f(2, 3), f(4)), ShapeError, 'add: a [2,3] and b [4] do not broadcast: axis -1 has 3 and 4'],
  ['add, dtypes', () => add(f(2), of('int32', 2)), DTypeError,
    'add: a [2] is float32 and b [2] is int32, expected both float32 or both int32'],
  ['less, dtypes', () => less(of('bool', 2), of('bool', 2)), DTypeError, 'less: a [2] is bool and b [2] is bool, expected both'],
  ['logicalAnd', () => logicalAnd(f(2), f(2)), DTypeError, 'logicalAnd: a [2] is float32 and b [2] is float32, expected both bool'],
  ['where, condition', () => where(f(2), f(2), f(2)), DTypeError, 'where: condition [2] is float32, expected bool'],
  ['where, dtypes', () => where(of('bool', 2), f(2), of('int32', 2)), DTypeError, 'where: a [2] is float32 and b [2] is int32'],
  ['exp', () => exp(of('int32', 2)), DTypeError, 'exp: x [2] is int32, expected float32'],
  ['cast', () => cast(f(2), 'uint8'), DTypeError, 'cast: x [2] cannot become uint8'],
  ['sum, axis', () => sum(f(2, 3), 2), ShapeError, 'sum: axis 2 does not exist in a tensor of 2 axes'],
  ['sum, twice', () => sum(f(2, 3), [1, -1]), ShapeError, 'sum: axes [1,1] repeat'],
  ['max of nothing', () => max(f(2, 0), 1), ShapeError, 'max: x [2,0] has nothing to reduce'],
  ['reshape', () => reshape(f(2, 3), [4]), ShapeError, 'reshape: x [2,3] has 6 elements, shape [4] has 4'],
  ['reshape, free', () => reshape(f(2, 3), [4, -1]), ShapeError, 'reshape: x [2,3] does not fit shape [4,-1]'],
  ['transpose', () => transpose(f(2, 3), [0, 0]), ShapeError, 'transpose: [0,0] is no permutation of the axes of x [2,3]'],
  ['slice', () => slice(f(2, 3), [0, 2], [2, 2]), ShapeError, 'slice: x [2,3] has no box of size [2,2] at [0,2]'],
  ['pad', () => pad(f(2, 3), [1], [1, 1]), ShapeError, 'pad: x [2,3] needs a width for each axis, got before [1] and after [1,1]'],
  ['pad, mode', () => pad(f(2), [1], [1], { mode: 'wrap' as never }), OptionError, 'pad: mode "wrap" should be constant or edge'],
  ['concat, shapes', () => concat([f(2, 3), f(3, 3)], 1), ShapeError, 'concat: x[1] [3,3] and x[0] [2,3] differ in more than axis 1'],
  ['concat, dtypes', () => concat([f(2), of('int32', 2)]), DTypeError, 'concat: x[1] [2] is int32, x[0] is float32'],
  ['concatFlat', () => concatFlat([f(4), f(2)], [0, 3], 8), ShapeError, 'concatFlat: x[1] [2] at 3 overlaps what ends at 4'],
  ['sliceFlat', () => sliceFlat(f(8), 6, [3]), ShapeError, 'sliceFlat: x [8] has no 3 elements at 6, for shape [3]'],
  ['broadcastTo', () => broadcastTo(f(2, 3), [2, 4]), ShapeError, 'broadcastTo: x [2,3] does not broadcast to [2,4]'],
  ['gather', () => gather(f(2, 3), f(2)), DTypeError, 'gather: indices [2] is float32, expected int32'],
  ['matmul', () => matmul(f(2, 3), f(4, 5)), ShapeError, 'matmul: a [2,3] and b [4,5] have inner lengths 3 and 4'],
  ['matmul, transposed', () => matmul(f(2, 3), f(4, 5), { transposeB: true }), ShapeError,
    'matmul: a [2,3] and b [4,5] (b transposed) have inner lengths 3 and 5'],
  ['matmul, batches', () => matmul(f(2, 3, 4), f(3, 4, 5)), ShapeError, 'matmul: a [2,3,4] and b [3,4,5] are batches of 2 and 3'],
  ['linear', () => linear(f(2, 3), f(5, 4)), ShapeError, 'linear: weight [5,4] has 4 input features, x [2,3] has 3'],
  ['linear, bias', () => linear(f(2, 3), f(5, 3), f(3)), ShapeError, 'linear: bias [3] should be [5]'],
  ['softmaxCrossEntropy, labels', () => softmaxCrossEntropy(f(4, 3), of('int32', 5)), ShapeError,
    'softmaxCrossEntropy: labels [5] should be [4], one for each row of logits [4,3]'],
  ['softmaxCrossEntropy, soft labels', () => softmaxCrossEntropy(f(4, 3), f(4)), ShapeError,
    'softmaxCrossEntropy: logits [4,3] and labels [4] should have the same shape'],
  ['softmaxCrossEntropy, weights', () => softmaxCrossEntropy(f(4, 3), of('int32', 4), { classWeights: f(2) }), ShapeError,
    'softmaxCrossEntropy: classWeights [2] should be [3], one for each class of logits [4,3]'],
  ['dropout', () => dropout(f(2, 3), of('int32'), of('int32'), of('int32', 2), { rate: 1, key: 0 }), OptionError,
    'dropout: rate 1 should be from 0 to below 1'],
  ['dropout, ids', () => dropout(f(2, 3), of('int32'), of('int32'), of('int32', 3), { rate: 0.5, key: 0 }), ShapeError,
    'dropout: ids [3] should be [2], one for each sample'],
  ['sgdUpdate', () => sgdUpdate(
    { weight: f(8), gradient: f(7), momentum: f(8), chunks: of('int32', 1, 3), multipliers: f(1, 2), learningRate: f() },
    { momentum: 0, weightDecay: 0, rescale: 1, clip: null },
  ), ShapeError, 'sgdUpdate: weight [8] and gradient [7] should have the same shape'],
];

for (const [name, run, kind, message] of cases) {
  test(name, () => throws(run, kind, new RegExp(`^${message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`)));
}

test.run();
