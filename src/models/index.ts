/** The model zoo: Symbols of the Inception family. */
export { inceptionBN } from './inception-bn.ts';
export { inceptionBNSmall } from './inception-bn-small.ts';
export type { InceptionOptions } from './unit.ts';
export { inceptionV3, inceptionV3Variants } from './inception-v3.ts';
export type { InceptionV3Options, InceptionV3Variant } from './inception-v3.ts';
