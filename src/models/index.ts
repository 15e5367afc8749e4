/** The model zoo: Symbols of the Inception family. */
export { inceptionBN } from './inception-bn.ts';
export { inceptionBNSmall } from './inception-bn-small.ts';
export type { InceptionOptions } from './unit.ts';
