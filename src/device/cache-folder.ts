/** Where devices keep from one process to the next what takes time to find out. Node only; reach it by dynamic import. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `$FOVEA_CACHE`, `$XDG_CACHE_HOME/fovea` or `~/.cache/fovea`. */
export function cacheFolder(): string {
  return process.env.FOVEA_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fovea');
}
