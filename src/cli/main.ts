#!/usr/bin/env node
/** The command `fovea`. */
import { runProcess } from './process.ts';

await runProcess(process.argv.slice(2));
