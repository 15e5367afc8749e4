/** What commands share. */
import type { PeerSource } from '../benchmark/types.ts';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and SIGTERM: finish the step, save, return. */
  readonly signal: AbortSignal;
  /** Other engines that `bench` measures beside ours; the package itself has none. */
  readonly benchmarkPeers?: PeerSource;
}

/** Ends a command with exit code 130. */
export class Interrupted extends Error {}

export function interrupted(message: string): Interrupted {
  return new Interrupted(message);
}
