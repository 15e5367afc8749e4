/** What a run was asked for, by the options in its file. */
import type { BenchmarkOptions } from './options.ts';
import { defaults } from './options.ts';
import { matches, plansOf } from './plans.ts';
import { stepName } from './step.ts';
import type { Report, Row } from './types.ts';

/** Whether a run of these options has this row with this contestant of ours. What a file does not say is taken as asked for. */
export function wasAsked({ options: given }: Pick<Report, 'options'>): (row: Row, contestant: string) => boolean {
  const options = given as Partial<BenchmarkOptions>;
  const { only, filter = '', stepBatch, side, width, shapes, device, threads, recompute, tf32 } = options;
  const inGroup = (row: Row): boolean => only?.includes(row.group) ?? true;
  const inFilter = ({ group, name, layers }: Row): boolean =>
    matches(filter, group === 'step' ? ['step inception-bn'] : [name, ...layers]);
  const plans = { ...defaults, ...options, only: (only ?? defaults.only).filter((group) => group !== 'step') };
  // A row of no plan is one that the code has no more: it was asked for.
  const left = new Set(shapes === undefined ? [] : plansOf({ ...plans, shapes: undefined }).map((p) => p.name));
  if (shapes !== undefined) for (const { name } of plansOf(plans)) left.delete(name);
  const sizes = { ...defaults, ...(side !== undefined && { side }), ...(width !== undefined && { width }) };
  const inSteps = ({ name }: Row): boolean => stepBatch === undefined || stepBatch.some((batch) => stepName({ ...sizes, batch }) === name);
  const inShapes = (row: Row): boolean => (row.group === 'step' ? inSteps(row) : !left.has(row.name));
  const onDevice = (row: Row, contestant: string): boolean => {
    if (device === undefined) return true;
    const here = device.filter((name) => name.split(':')[0] === row.device);
    if (row.device === 'cpu') {
      const count = Number(/^fovea, (\d+) threads?/.exec(contestant)?.[1]);
      return here.length > 0 && (threads === undefined || !(count > 0) || threads.includes(count));
    }
    // `fovea, lavapipe` beside others; `fovea` where it is the only one.
    const others = new Set(device.filter((name) => name !== 'cpu')).size > 1 ? here.map((name) => name.replace(/^webgpu:/, '')) : [];
    const [, named] = contestant.split(', ');
    return here.length > 0 && (named === undefined || named === 'mixed' || named === 'recompute' || named === 'tf32' || others.includes(named));
  };
  const inVariants = (contestant: string): boolean => device === undefined
    || ((recompute === true || !contestant.endsWith(', recompute')) && (tf32 === true || !/, tf32(,|$)/.test(contestant)));
  return (row, contestant) => inGroup(row) && inFilter(row) && inShapes(row) && onDevice(row, contestant) && inVariants(contestant);
}
