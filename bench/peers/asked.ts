/** Which other engines were asked for. */
import type { PeerOptions } from '../../src/benchmark/types.ts';

/** Whether a name is one of those, or nothing is said of names: where a list is given, by one of its parts that the name holds or ends. */
export const isAsked = (name: string, only: PeerOptions['only']): boolean =>
  only === undefined || only.some((part) => (part.endsWith('$') ? name.endsWith(part.slice(0, -1)) : name.includes(part)));
