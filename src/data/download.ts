/** One file over http(s): resumed where it was cut, whatever cut it, and put in its place whole. Node only. */
import type * as Fs from 'node:fs/promises';
import { DataError } from '../errors.ts';
import { fileReason } from './decode.ts';
import { importNode } from './node.ts';

export interface DownloadOptions {
  readonly onProgress?: (received: number, total?: number) => void;
  /** Without a byte for so long, a connection counts as cut. Default 60. */
  readonly idleSeconds?: number;
}

/** How often in a row a connection may bring nothing before the download is given up. */
const maxFailures = 4;
const firstPause = 250;

/** What the bytes of a `.part` file are of; without a validator they cannot be gone on with. */
interface PartNote {
  readonly address: string;
  readonly validator?: string;
}

/** A failure that trying again may mend. */
class Interrupted extends Error {}

/** The server has no such file, or none for us. */
export class NotServed extends DataError {}

/**
 * Downloads a file to `target`. While it is under way it is `target.part`, which a later call goes on with.
 *
 * @throws DataError where the server refuses, the disk fails, or the connection keeps being cut
 */
export async function download(address: string, target: string, options: DownloadOptions = {}): Promise<void> {
  const fs = await importNode<typeof Fs>('node:fs/promises', 'a download');
  const unlock = await lock(fs, `${target}.lock`, address);
  try {
    let failures = 0;
    for (;;) {
      const before = await sizeOf(fs, `${target}.part`);
      try {
        await attempt(fs, address, target, options);
        break;
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
        const after = await sizeOf(fs, `${target}.part`);
        failures = after > before ? 1 : failures + 1;
        if (failures >= maxFailures) {
          throw new DataError(`${address}: ${error.message}; ${after} bytes are kept, and another try goes on from there`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, firstPause * 2 ** (failures - 1)));
      }
    }
    await fs.rename(`${target}.part`, target);
    await fs.rm(`${target}.part.json`, { force: true });
  } catch (cause) {
    if (cause instanceof DataError || (cause as NodeJS.ErrnoException).code === undefined) throw cause;
    throw new DataError(`${address}: ${target}: ${fileReason(cause)}`, { cause });
  } finally {
    await unlock();
  }
}

async function attempt(fs: typeof Fs, address: string, target: string, { onProgress, idleSeconds = 60 }: DownloadOptions): Promise<void> {
  const part = `${target}.part`;
  const validator = await noteOf(fs, `${part}.json`, address);
  const have = validator === undefined ? 0 : await sizeOf(fs, part);
  const abort = new AbortController();
  const idle = setTimeout(() => abort.abort(), idleSeconds * 1000);
  try {
    // Compressed on the way, lengths and offsets would be of something else than the file.
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (have > 0) Object.assign(headers, { range: `bytes=${have}-`, 'if-range': validator });
    const response = await fetch(address, { headers, signal: abort.signal }).catch((error: unknown) => interrupt(error, 'no connection'));
    checkAddress(response.url, address);
    const range = /^bytes (\d+)-\d*\/(\d+|\*)/.exec(response.headers.get('content-range') ?? '');
    if (response.status === 416) {
      // Nothing after what is there: it is whole, or of something else.
      const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
      if (total !== null && Number(total[1]) === have) return;
      await fs.truncate(part, 0);
      throw new Interrupted('the server has another file now');
    }
    if (response.status >= 500 || response.status === 429) throw new Interrupted(`the server answers ${response.status}`);
    if (!response.ok || response.body === null) throw new NotServed(`${address}: the server answers ${response.status} ${response.statusText}`.trim());
    const resumed = response.status === 206;
    if (resumed && (range === null || Number(range[1]) !== have)) throw new DataError(`${address}: the server answers with other bytes than asked for`);
    const start = resumed ? have : 0;
    const length = response.headers.get('content-length');
    const total = length === null ? undefined : start + Number(length);
    // A weak validator does not promise the same bytes.
    const tag = response.headers.get('etag');
    const found = tag !== null && !tag.startsWith('W/') ? tag : response.headers.get('last-modified');
    await fs.writeFile(`${part}.json`, JSON.stringify({ address, validator: found ?? undefined } satisfies PartNote));
    const file = await fs.open(part, resumed ? 'a' : 'w');
    let received = start;
    try {
      for await (const chunk of bodyOf(response)) {
        idle.refresh();
        await file.write(chunk);
        received += chunk.length;
        onProgress?.(received, total);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (total !== undefined && received !== total) throw new Interrupted(`the connection was cut at ${received} of ${total} bytes`);
  } finally {
    clearTimeout(idle);
  }
}

/** The chunks of a body; what cuts it is an `Interrupted`. */
async function* bodyOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  for (;;) {
    const next = await reader.read().catch((error: unknown) => interrupt(error, 'the connection was cut'));
    if (next.done) return;
    yield next.value;
  }
}

function interrupt(error: unknown, what: string): never {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  throw new Interrupted(`${what} (${cause?.code ?? cause?.message ?? message})`, { cause: error });
}

/**
 * Only https is fetched from elsewhere; http from this machine alone.
 *
 * @throws DataError for any other address, also one that a server passes on to
 */
export function checkAddress(address: string, asked = address): void {
  if (!URL.canParse(address)) throw new DataError(`${asked}: expected an https address, as in https://example.org/net-0039.params`);
  const { protocol, hostname } = new URL(address);
  if (protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))) return;
  throw new DataError(`${asked}: ${address === asked ? '' : `passed on to ${address}, `}expected an https address`);
}

async function sizeOf(fs: typeof Fs, path: string): Promise<number> {
  return fs.stat(path).then((info) => info.size, () => 0);
}

async function noteOf(fs: typeof Fs, path: string, address: string): Promise<string | undefined> {
  try {
    const note = JSON.parse(await fs.readFile(path, 'utf8')) as PartNote;
    return note.address === address && typeof note.validator === 'string' ? note.validator : undefined;
  } catch {
    return undefined;
  }
}

/** One process at a time; a lock whose process is gone is taken over. */
async function lock(fs: typeof Fs, path: string, address: string): Promise<() => Promise<void>> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      await fs.writeFile(path, String(process.pid), { flag: 'wx' });
      return () => fs.rm(path, { force: true });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw new DataError(`${address}: ${path}: ${fileReason(cause)}`, { cause });
      const owner = Number(await fs.readFile(path, 'utf8').catch(() => ''));
      if (isAlive(owner)) throw new DataError(`${address}: process ${owner} is fetching it (${path})`);
      await fs.rm(path, { force: true });
    }
  }
  throw new DataError(`${address}: ${path} is taken again and again`);
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
