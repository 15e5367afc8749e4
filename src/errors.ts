/**
 * Errors that Fovea throws. Each class has a stable `code`, so that callers may branch on it without parsing messages.
 * A message names the file, field, shape or option at fault and what was expected of it.
 */
export abstract class FoveaError extends Error {
  abstract readonly code: string;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Shapes that an op cannot take. */
export class ShapeError extends FoveaError {
  readonly code = 'ERR_FOVEA_SHAPE';
}

/** A dtype that an op cannot take. */
export class DTypeError extends FoveaError {
  readonly code = 'ERR_FOVEA_DTYPE';
}

/** Misuse of the lazy graph: a branch on a traced value, a gradient through a cut tensor, a disposed variable. */
export class GraphError extends FoveaError {
  readonly code = 'ERR_FOVEA_GRAPH';
}

/** A device that is missing, was lost, refused a call or ran out of memory. */
export class DeviceError extends FoveaError {
  readonly code: string = 'ERR_FOVEA_DEVICE';
}

/** More device memory asked for than there is. */
export class OutOfMemoryError extends DeviceError {
  override readonly code = 'ERR_FOVEA_MEMORY';
}

/** A file that is not what its format says: the message gives file, field and offset. */
export class FormatError extends FoveaError {
  readonly code = 'ERR_FOVEA_FORMAT';
}

/** An option that is unknown or out of range. The CLI exits with 2. */
export class OptionError extends FoveaError {
  readonly code = 'ERR_FOVEA_OPTION';
}

/** Data that cannot be used: a table without the column asked for, a folder without images, a class without samples. */
export class DataError extends FoveaError {
  readonly code = 'ERR_FOVEA_DATA';
}

/** An optional package that is not installed; the message has the command that installs it. */
export class MissingPackageError extends FoveaError {
  readonly code = 'ERR_FOVEA_MISSING_PACKAGE';
}

/** Training that cannot go on: a loss that is no number. */
export class TrainingError extends FoveaError {
  readonly code = 'ERR_FOVEA_TRAINING';
}

/** A benchmark that cannot count: an output that is wrong. */
export class BenchmarkError extends FoveaError {
  readonly code = 'ERR_FOVEA_BENCHMARK';
}
