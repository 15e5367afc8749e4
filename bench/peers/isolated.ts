/** A peer in a process of its own; host.ts is that process. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { within, TooSlow } from '../../src/benchmark/contest.ts';
import type { AbsentPeer, Contestant, Facts, Peer, Problem } from '../../src/benchmark/types.ts';
import type { HostData } from '../../src/device/types.ts';
import { PeerProcess, messages } from './process.ts';

/** An engine in its process: what ends a peer is not its own affair. */
export type Engine = Omit<Peer, 'abandon' | 'dispose'>;

/** What the file of an engine exports. */
export interface PeerModule<Options = never> {
  open(options: Options): Promise<Engine | AbsentPeer>;
}

export type HostRequest =
  | { readonly call: 'open' | 'result' | 'facts' | 'leave' }
  | { readonly call: 'enter'; readonly problem: Problem; readonly inputs: readonly HostData[] }
  | { readonly call: 'run'; readonly times: number; readonly queued?: number | undefined };

export interface HostAnswer extends Partial<Omit<Engine, 'enter'>> {
  readonly error?: string;
  readonly absent?: string;
  readonly milliseconds?: number[];
  readonly results?: readonly ArrayLike<number>[];
  readonly facts?: Facts;
}

/** Seconds in which an engine must have loaded. */
const OPENING = 60;

/**
 * Opens the engine that a file exports.
 *
 * @param name what to call it where it does not even open
 * @param options handed to the file's `open`, as JSON
 */
export async function isolated(name: string, file: URL, options: object): Promise<Peer | AbsentPeer> {
  const start = (): ReturnType<typeof fork> => fork(fileURLToPath(new URL('host.ts', import.meta.url)), [fileURLToPath(file), JSON.stringify(options)], {
    serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const host = new PeerProcess<HostAnswer>(start, messages, { call: 'open' } satisfies HostRequest);
  const ask = (request: HostRequest): Promise<HostAnswer> => host.ask(request);
  const abandon = (): void => host.end();
  let opened: HostAnswer;
  try {
    opened = await within(OPENING, () => host.greet(), abandon);
  } catch (error) {
    abandon();
    return { name, absent: error instanceof TooSlow ? `did not open within ${OPENING} s` : (error as Error).message };
  }
  if (opened.absent !== undefined) {
    abandon();
    return { name: opened.name ?? name, absent: opened.absent };
  }
  const peer = { name: opened.name!, beside: opened.beside!, versions: opened.versions!, ops: opened.ops!, slowness: opened.slowness };
  return {
    ...peer,
    async enter(problem, inputs) {
      const { absent } = await ask({ call: 'enter', problem, inputs });
      if (absent !== undefined) return { absent };
      return {
        name: peer.name,
        run: async (times, queued) => (await ask({ call: 'run', times, queued })).milliseconds!,
        result: async () => (await ask({ call: 'result' })).results!,
        facts: async () => (await ask({ call: 'facts' })).facts ?? {},
        dispose: async () => void (host.running && await ask({ call: 'leave' })),
        abandon,
      } satisfies Contestant;
    },
    abandon,
    dispose: abandon,
  };
}
