/** A run to go on with. */
import { OptionError } from '../errors.ts';
import type { RunConfig } from './run-config.ts';
import { decodeConfig } from './run-config.ts';
import { RunDirectory } from './run-directory.ts';
import type { ResolvedOptions, RunOptions, Spelling } from './run-options.ts';
import type { TrainingSnapshot } from './snapshot.ts';

/** Options that a resumed run may change: where and how long it runs, not what it computes. */
export const changeable: readonly (keyof RunOptions)[] = ['epochs', 'device', 'threads', 'workers', 'keep', 'recompute', 'cacheFeatures'];

export interface Resumed {
  readonly directory: RunDirectory;
  readonly config: RunConfig;
  readonly options: ResolvedOptions;
  readonly snapshot: TrainingSnapshot;
}

interface Request {
  readonly options?: RunOptions;
  readonly out?: string;
  readonly spell?: Spelling;
}

/** @throws OptionError for options that may not change; DataError, FormatError for a directory that is no run */
export async function openResumed(
  path: string, { options = {}, out, spell = (x) => x }: Request, log: (line: string) => void,
): Promise<Resumed> {
  if (out !== undefined) throw new OptionError(`${spell('out')} does not go with ${spell('resume')}: a run stays in its directory`);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || changeable.includes(name as keyof RunOptions)) continue;
    throw new OptionError(`${spell(name)} cannot change in a resumed run; ${changeable.map(spell).join(', ')} can`);
  }
  const directory = await RunDirectory.open(path);
  const config = decodeConfig(await directory.readText('config.json'), directory.file('config.json'));
  await directory.clean();
  const snapshot = await directory.readState(log);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { directory, config, snapshot, options: { ...config.options, ...given } };
}
