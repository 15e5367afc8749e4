/** Runs a file as tools/gpu.ts runs a part; its log and its seconds are arguments too. Ends with what became of it. */
import { isStopping, run, stopOnSignals } from '../../tools/gpu/run.ts';

const [file, log, seconds] = process.argv.slice(2);
stopOnSignals();
const { code, late } = await run({ args: [file] }, log, Number(seconds));
console.log(JSON.stringify({ code, late, stopping: isStopping() }));
