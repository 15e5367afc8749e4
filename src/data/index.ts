/**
 * Images to batches. Folders with a CSV or one folder a class, JPEG and PNG, split by patient, cached as bytes, sampled
 * and assembled off the main thread; and the fundus phantom, the simulated data that come with Fovea.
 *
 * ```ts
 * const listing = await openFolder('fundus/', { positive: 'grade >= 2 or dme >= 1' });
 * const data = await cacheImages(listing, { size: 224 });
 * const { train, validation } = splitByPatient(data);
 * const loader = new TrainLoader(data, new Sampler(data.labels, train, { batch: 32, kind: 'balanced' }));
 * const { pixels, labels, sampleIds, epoch } = await loader.next();
 * ```
 *
 * In a browser `memoryDataset` and `phantomDataset` stand in for folders; everything after them is the same.
 */
export { cacheImages, defaultCacheDir } from './cache.ts';
export type { CachedDataset, CacheOptions } from './cache.ts';
export { compileCondition } from './condition.ts';
export type { Condition } from './condition.ts';
export { augment } from './augment.ts';
export type { Augmentation, AugmentOptions, ImageShape, PixelTransform, TracedTransform, TransformContext } from './augment.ts';
export { parseAugmentations } from './augment-text.ts';
export { Augmenter } from './augmenter.ts';
export type { AugmentKeys, Drawn } from './augmenter.ts';
export { allIndices, classCounts, memoryDataset } from './dataset.ts';
export type { ByteSource, Dataset, Labelled, MemoryDatasetInit } from './dataset.ts';
export { decodeImage, fits, kernels } from './decode.ts';
export type { DecodedImage, DecodeOptions, Fit, ResizeKernel } from './decode.ts';
export { openFolder } from './folder.ts';
export type { FolderOptions } from './folder.ts';
export { describeRejected } from './listing.ts';
export type { ImageReader, ImageStore, Listing, ListingOptions, Rejected } from './listing.ts';
export type { EachEpoch, Epoch, Pool } from './each-epoch.ts';
export { evaluationBatches, TrainLoader } from './loader.ts';
export type { Batch, LoaderOptions, TrainBatch } from './loader.ts';
export { fitLogistic, rocAuc } from './logistic.ts';
export type { LogisticModel, LogisticOptions } from './logistic.ts';
export { phantomDataset } from './phantom-dataset.ts';
export type { PhantomDataset, PhantomDatasetOptions } from './phantom-dataset.ts';
export {
  growMask, LESION_BITS, maskElsewhere, paintOut, paintPhantom, phantomCohort, phantomScene, renderPhantom, sceneOf,
  SIMULATED_NOTICE,
} from './phantom/index.ts';
export type {
  LesionMask, PhantomCohortOptions, PhantomEye, PhantomImage, PhantomScene, PhantomSpec,
} from './phantom/index.ts';
export { interMethods, recordAugmentation } from './record-augmentation.ts';
export type { InterMethod, RecordAugmentationOptions } from './record-augmentation.ts';
export { RecordFile, RecordWriter, scanRecords } from './record-file.ts';
export type { OpenRecordsOptions } from './record-file.ts';
export { openRecords } from './records.ts';
export type { RecordsOptions } from './records.ts';
export { Sampler, samplerNames } from './sampler.ts';
export type {
  AnnealedOptions, SampledBatch, SamplerKind, SamplerOptions, SamplerState,
} from './sampler.ts';
export { kFold, parts, splitByPatient } from './split.ts';
export type { Part, Split, SplitOptions } from './split.ts';
export { parseTable, readTable, resolveColumns } from './table.ts';
export type { ColumnRole, Columns, Table } from './table.ts';
export { flipLeftRight, flipUpDown, gaussianNoise, rotate180 } from './transforms.ts';
export { fetchWeights } from './fetch-weights.ts';
export type { FetchedFile, FetchOptions } from './fetch-weights.ts';
