/** The other end of isolated.ts: one engine in a process of its own, asked over messages. Its arguments are the engine's file and options. */
import { pathToFileURL } from 'node:url';
import type { Contestant } from '../../src/benchmark/types.ts';
import { firstLine } from '../../src/benchmark/contest.ts';
import type { Engine, HostAnswer, HostRequest, PeerModule } from './isolated.ts';

const [file, options] = process.argv.slice(2);
let engine: Engine | undefined;
let contestant: Contestant | undefined;

async function answer(request: HostRequest): Promise<HostAnswer> {
  switch (request.call) {
    case 'open': {
      const { open } = (await import(pathToFileURL(file).href)) as PeerModule;
      const opened = await open(JSON.parse(options) as never);
      if ('absent' in opened) return opened;
      engine = opened;
      const { name, beside, versions, ops, slowness } = opened;
      return { name, beside, versions, ops, slowness };
    }
    case 'enter': {
      await contestant?.dispose();
      contestant = undefined;
      const entered = await engine!.enter(request.problem, request.inputs);
      if ('absent' in entered) return entered;
      contestant = entered;
      return {};
    }
    case 'run': return { milliseconds: await contestant!.run(request.times, request.queued) };
    case 'result': return { results: await contestant!.result() };
    case 'facts': return { facts: await contestant!.facts?.() };
    case 'leave': {
      await contestant?.dispose();
      contestant = undefined;
      return {};
    }
  }
}

process.on('message', (request: HostRequest) => void answer(request).catch((error: unknown) => ({ error: firstLine(error) }))
  .then((reply) => process.send!(reply)));
process.on('disconnect', () => process.exit());
