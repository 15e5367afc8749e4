/**
 * First values of parameters. Every draw is keyed by the seed and the variable's name, so it depends neither on order nor
 * on what else the network has. Shapes are MXNet's (OIHW), and elements are drawn in that order.
 */
import type { Shape } from '../device/types.ts';
import { sizeOf } from '../device/types.ts';
import { OptionError } from '../errors.ts';
import { PhiloxStream } from '../random/philox.ts';

/** Values for a variable, in MXNet's layout, row-major. */
export type Initializer = (name: string, shape: Shape, seed: number) => Float32Array<ArrayBuffer>;

function fill(name: string, shape: Shape, seed: number, draw: (stream: PhiloxStream) => number): Float32Array<ArrayBuffer> {
  const stream = new PhiloxStream(seed, name);
  return Float32Array.from({ length: sizeOf(shape) }, () => draw(stream));
}

/** Uniform on [-scale, scale). MXNet's default scale is 0.07; MXNet.jl's `fit` used 0.01. */
export function uniform(scale = 0.07): Initializer {
  return (name, shape, seed) => fill(name, shape, seed, (stream) => stream.uniform(-scale, scale));
}

/** Normal. MXNet's default deviation is 0.01. */
export function normal(deviation = 0.01, mean = 0): Initializer {
  return (name, shape, seed) => fill(name, shape, seed, (stream) => stream.normal(mean, deviation));
}

export function constantInitializer(value: number): Initializer {
  return (_name, shape) => new Float32Array(sizeOf(shape)).fill(value);
}

export interface XavierOptions {
  /** Distribution; default uniform. */
  readonly rndType?: 'uniform' | 'gaussian';
  /** What `magnitude` is divided by: inputs, outputs, or their mean; default avg. */
  readonly factorType?: 'avg' | 'in' | 'out';
  /** Default 3. */
  readonly magnitude?: number;
}

/**
 * Glorot and Bengio (2010) as MXNet has it: with scale = sqrt(magnitude / factor), uniform on [-scale, scale) or normal of
 * deviation scale. fan_in = inputs x kernel area, fan_out = outputs x kernel area.
 */
export function xavier(options: XavierOptions = {}): Initializer {
  const { rndType = 'uniform', factorType = 'avg', magnitude = 3 } = options;
  if (!(magnitude > 0)) throw new OptionError(`magnitude: expected a positive number, got ${magnitude}`);
  return (name, shape, seed) => {
    if (shape.length < 2) {
      throw new OptionError(`xavier: "${name}" [${shape.join(', ')}] needs two axes or more`);
    }
    const area = sizeOf(shape.slice(2));
    const [fanOut, fanIn] = [shape[0] * area, shape[1] * area];
    const factor = factorType === 'in' ? fanIn : factorType === 'out' ? fanOut : (fanIn + fanOut) / 2;
    const scale = Math.sqrt(magnitude / factor);
    return fill(name, shape, seed, (stream) =>
      rndType === 'uniform' ? stream.uniform(-scale, scale) : stream.normal(0, scale));
  };
}

export interface MsraOptions {
  readonly factorType?: 'avg' | 'in' | 'out';
  /** Of the leaky ReLU that follows; default 0.25, as MXNet's. 0 is for plain ReLU. */
  readonly slope?: number;
}

/** He et al. (2015), MXNet's MSRAPrelu: normal of variance 2 / (1 + slope^2) / factor. */
export function msraPrelu(options: MsraOptions = {}): Initializer {
  const { factorType = 'avg', slope = 0.25 } = options;
  return xavier({ rndType: 'gaussian', factorType, magnitude: 2 / (1 + slope * slope) });
}

/**
 * What MXNet 1.9's initializers do by name: biases and betas 0, gammas 1, moving means 0, moving variances 1; `weights` for
 * the rest.
 *
 * @throws OptionError for a name of which MXNet says nothing
 */
export function byName(weights: Initializer): Initializer {
  const zero = constantInitializer(0);
  const one = constantInitializer(1);
  return (name, shape, seed) => {
    if (name.endsWith('weight')) return weights(name, shape, seed);
    if (/(bias|beta|moving_mean|running_mean|moving_avg)$/.test(name)) return zero(name, shape, seed);
    if (/(gamma|moving_var|running_var)$/.test(name)) return one(name, shape, seed);
    throw new OptionError(`initializer: the name "${name}" says not what it is; ` +
      'expected one that ends in weight, bias, gamma, beta, moving_mean or moving_var');
  };
}
