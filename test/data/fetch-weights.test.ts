/** Weights from a server on this machine that cuts, stalls, changes its mind and lies. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fetchWeights } from '../../src/data/fetch-weights.ts';
import { DataError, OptionError } from '../../src/errors.ts';
import { rejects } from '../support/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'fovea-fetch-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
delete process.env.FOVEA_NO_DOWNLOAD;

const body = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7919) >> 5));
const sha = (...parts: Uint8Array[]): string => createHash('sha256').update(Buffer.concat(parts)).digest('hex');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server whose handlers answer one request each, the last of them all that follow. */
async function served(handlers: Handler[], run: (base: string, requests: IncomingMessage[]) => Promise<void>): Promise<void> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    handlers[Math.min(requests.length, handlers.length - 1)](request, response);
    requests.push(request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Answers a range where one is asked for, and stops after `bytes` of it. */
function answers(data: Buffer, options: { readonly cutAfter?: number; readonly etag?: string | null; readonly ranges?: boolean } = {}): Handler {
  const { cutAfter = Infinity, etag = '"one"', ranges = true } = options;
  return (request, response) => {
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const start = ranges && range !== null && request.headers['if-range'] === etag ? Number(range[1]) : 0;
    const headers: Record<string, string | number> = { 'content-length': data.length - start };
    if (etag !== null) headers.etag = etag;
    if (start > 0) headers['content-range'] = `bytes ${start}-${data.length - 1}/${data.length}`;
    response.writeHead(start > 0 ? 206 : 200, headers);
    if (data.length - start <= cutAfter) response.end(data.subarray(start));
    else response.write(data.subarray(start, start + cutAfter), () => setTimeout(() => response.destroy(), 20));
  };
}

let caches = 0;
const fresh = (): string => join(folder, `cache-${caches++}`);

test('a file is fetched once, and known by its hash', async () => {
  const cacheDir = fresh();
  await served([answers(body)], async (base, requests) => {
    const seen: [number, number | undefined][] = [];
    const got = await fetchWeights(`${base}/a/net.safetensors?token=1`, { cacheDir, onProgress: (received, total) => seen.push([received, total]) });
    assert.is(got.sha256, sha(body));
    assert.ok(got.path.endsWith('net.safetensors'));
    assert.ok(readFileSync(got.path).equals(body));
    assert.equal(seen[seen.length - 1], [body.length, body.length]);
    assert.equal(await fetchWeights(`${base}/a/net.safetensors?token=1`, { cacheDir, sha256: sha(body).toUpperCase() }),
      { path: got.path, sha256: sha(body), matched: 'model' });
    assert.is(requests.length, 1);
    // Bytes that rotted on the disk are fetched again.
    writeFileSync(got.path, body.subarray(1));
    await fetchWeights(`${base}/a/net.safetensors?token=1`, { cacheDir });
    assert.is(requests.length, 2);
    assert.equal(readdirSync(dirname(got.path)).sort(), ['net.safetensors', 'net.safetensors.fetched.json']);
  });
});

test('the hash of a symbol that is called otherwise is of its last parameters too', async () => {
  const symbol = join(mkdtempSync(join(folder, 'symbol-')), 'net.json');
  const put = (name: string, content: string): void => writeFileSync(join(dirname(symbol), name), content);
  put('net.json', '{"nodes": []}');
  assert.is((await fetchWeights(symbol)).sha256, sha(Buffer.from('{"nodes": []}')));
  put('net-0002.params', 'two');
  put('net-0010.params', 'ten');
  assert.equal(await fetchWeights(symbol), { path: symbol, sha256: sha(Buffer.from('ten{"nodes": []}')) });
  put('net-mean.nd', 'mean');
  assert.is((await fetchWeights(symbol)).sha256, sha(Buffer.from('ten{"nodes": []}mean')));
  put('net-0010.params', 'other');
  await rejects(() => fetchWeights(symbol, { sha256: sha(Buffer.from('ten{"nodes": []}mean')) }), DataError, /net\.json: its SHA-256 is/);
});

test('a connection that is cut is gone on with where it was', async () => {
  await served([answers(body, { cutAfter: 70_000 }), answers(body, { cutAfter: 50_000 }), answers(body)], async (base, requests) => {
    const got = await fetchWeights(`${base}/net.params.bin`, { cacheDir: fresh() });
    assert.is(got.sha256, sha(body));
    assert.equal(requests.map((r) => r.headers.range), [undefined, 'bytes=70000-', 'bytes=120000-']);
    assert.is(requests[1].headers['if-range'], '"one"');
  });
});

test('a server that keeps cutting: what came is kept, and the next call goes on', async () => {
  const cacheDir = fresh();
  await served([answers(body, { cutAfter: 30_000 }), ...Array<Handler>(4).fill((_q, response) => response.destroy()), answers(body)],
    async (base, requests) => {
      await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir }), DataError, /30000 bytes are kept/);
      while (requests.length < 5) await fetch(`${base}/drain`).catch(() => undefined);
      const got = await fetchWeights(`${base}/net.bin`, { cacheDir });
      assert.is(got.sha256, sha(body));
      assert.is(requests[requests.length - 1].headers.range, 'bytes=30000-');
    });
});

test('a file that changed meanwhile is begun anew', async () => {
  const other = Buffer.from(body).reverse();
  await served([answers(body, { cutAfter: 70_000 }), answers(other, { etag: '"two"' })], async (base) => {
    assert.is((await fetchWeights(`${base}/net.bin`, { cacheDir: fresh() })).sha256, sha(other));
  });
});

test('without a validator, or ranges, nothing is pieced together', async () => {
  for (const options of [{ etag: null }, { ranges: false }]) {
    await served([answers(body, { ...options, cutAfter: 70_000 }), answers(body, options)], async (base) => {
      assert.is((await fetchWeights(`${base}/net.bin`, { cacheDir: fresh() })).sha256, sha(body));
    });
  }
});

test('a connection that falls silent counts as cut', async () => {
  const stalls: Handler = (_request, response) => {
    response.writeHead(200, { 'content-length': body.length, etag: '"one"' });
    response.write(body.subarray(0, 1000));
  };
  await served([stalls, answers(body)], async (base) => {
    assert.is((await fetchWeights(`${base}/net.bin`, { cacheDir: fresh(), idleSeconds: 0.2 })).sha256, sha(body));
  });
});

test('a wrong hash: both are named, and nothing is kept', async () => {
  const cacheDir = fresh();
  await served([answers(body)], async (base, requests) => {
    const wrong = sha(Buffer.from('other'));
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir, sha256: wrong }), DataError,
      new RegExp(`${sha(body)}, expected ${wrong}; it was not kept`));
    assert.is(requests.length, 1);
    assert.equal(readdirSync(cacheDir, { recursive: true }).filter((f) => String(f).includes('net.bin')), []);
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir, sha256: 'abc' }), OptionError, /64 hexadecimal digits, got "abc"/);
  });
});

test('a wrong hash takes nothing from the cache that the server still has', async () => {
  const cacheDir = fresh();
  await served([answers(body)], async (base, requests) => {
    const { path } = await fetchWeights(`${base}/net.bin`, { cacheDir });
    const wrong = sha(Buffer.from('other'));
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir, sha256: wrong }), DataError, new RegExp(`${sha(body)}, expected ${wrong}$`));
    assert.is(requests.length, 2);
    assert.is((await fetchWeights(`${base}/net.bin`, { cacheDir, sha256: sha(body) })).path, path);
    assert.is(requests.length, 2, 'it is there');
    process.env.FOVEA_NO_DOWNLOAD = '1';
    try {
      await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir, sha256: wrong }), DataError, /what is in the cache .* has another SHA-256, and FOVEA_NO/);
    } finally {
      delete process.env.FOVEA_NO_DOWNLOAD;
    }
  });
});

test('what is no address is refused as that', async () => {
  for (const address of ['https://', 'https://exa mple/x']) {
    await rejects(() => fetchWeights(address, { cacheDir: fresh() }), DataError, new RegExp(`^${address}: expected an https address`));
  }
});

test('a hash of a newer file than the cached one: fetched again', async () => {
  const cacheDir = fresh();
  const newer = Buffer.from('newer');
  await served([answers(body), answers(newer)], async (base) => {
    await fetchWeights(`${base}/net.bin`, { cacheDir });
    assert.is((await fetchWeights(`${base}/net.bin`, { cacheDir, sha256: sha(newer) })).sha256, sha(newer));
  });
});

test('what belongs to a file comes with it: shards, a symbol', async () => {
  const json = Buffer.from(JSON.stringify({ weightsManifest: [{ paths: ['s1', 's2'], weights: [] }] }));
  const files: Record<string, Buffer> = { '/m/model.json': json, '/m/s1': body, '/m/s2': Buffer.from('2'), '/x-0039.params': body, '/x-symbol.json': json };
  const byName: Handler = (request, response) => {
    const data = files[request.url!];
    if (data === undefined) response.writeHead(404).end();
    else answers(data)(request, response);
  };
  await served([byName], async (base, requests) => {
    const cacheDir = fresh();
    const got = await fetchWeights(`${base}/m/model.json`, { cacheDir });
    assert.is(got.sha256, sha(json, body, Buffer.from('2')));
    assert.ok(readFileSync(join(dirname(got.path), 's2')).equals(Buffer.from('2')));
    await fetchWeights(`${base}/m/model.json`, { cacheDir, sha256: got.sha256 });
    assert.is(requests.length, 3);
    const params = await fetchWeights(`${base}/x-0039.params`, { cacheDir });
    assert.is(params.sha256, sha(body, json), 'of the symbol too');
    assert.ok(existsSync(join(dirname(params.path), 'x-symbol.json')));
    // On this machine a folder of the same gives the same hash.
    assert.equal(await fetchWeights(got.path), { path: got.path, sha256: got.sha256 });
    assert.equal(await fetchWeights(join(dirname(params.path), 'x')), { path: params.path, sha256: params.sha256 });
  });
});

test('a mean image comes with a checkpoint where there is one, and is asked for once where there is none', async () => {
  const files: Record<string, Buffer> = {
    '/x-0039.params': body, '/x-symbol.json': body.subarray(9), '/y-0001.params': body, '/y-symbol.json': body, '/y-mean.nd': body.subarray(5),
  };
  const byName: Handler = (request, response) => {
    const data = files[request.url!];
    if (data === undefined) response.writeHead(404).end();
    else answers(data)(request, response);
  };
  await served([byName], async (base, requests) => {
    const cacheDir = fresh();
    const without = await fetchWeights(`${base}/x-0039.params`, { cacheDir });
    assert.not.ok(existsSync(join(dirname(without.path), 'x-mean.nd')));
    assert.equal(requests.map(({ url }) => url), ['/x-0039.params', '/x-symbol.json', '/x-mean.nd']);
    await fetchWeights(`${base}/x-0039.params`, { cacheDir });
    assert.is(requests.length, 3, 'nothing is asked for again');
    const other = await fetchWeights(`${base}/y-0001.params`, { cacheDir });
    assert.ok(readFileSync(join(dirname(other.path), 'y-mean.nd')).equals(body.subarray(5)));
  });
  // A symbol is no such thing: without it there is no network.
  delete files['/y-symbol.json'];
  await served([byName], async (base) => {
    await rejects(() => fetchWeights(`${base}/y-0001.params`, { cacheDir: fresh() }), DataError, /y-symbol\.json: the server answers 404/);
  });
});

test("a checkpoint's hash is of parameters, symbol and mean image; that of the parameters alone is taken, and told apart", async () => {
  const [symbol, mean] = [body.subarray(9), body.subarray(5)];
  const files: Record<string, Buffer> = { '/y-0001.params': body, '/y-symbol.json': symbol, '/y-mean.nd': mean };
  const byName: Handler = (request, response) => answers(files[request.url!])(request, response);
  await served([byName], async (base) => {
    const whole = sha(body, symbol, mean);
    const address = `${base}/y-0001.params`;
    const cacheDir = fresh();
    const got = await fetchWeights(address, { cacheDir, sha256: whole });
    assert.equal(got, { path: got.path, sha256: whole, matched: 'model' });
    const beside = dirname(got.path);
    for (const path of [address, got.path, join(beside, 'y'), join(beside, 'y-symbol.json')]) {
      assert.equal(await fetchWeights(path, { cacheDir, sha256: sha(body) }), { path: got.path, sha256: whole, matched: 'parameters' }, path);
      await rejects(() => fetchWeights(path, { cacheDir: fresh(), sha256: sha(symbol) }), DataError, new RegExp(`SHA-256 is ${whole}, expected`));
    }
    // A mean image as MXNet's archives name it counts as well, for it is read.
    renameSync(join(beside, 'y-mean.nd'), join(beside, 'mean_224.nd'));
    assert.is((await fetchWeights(got.path)).sha256, whole);
  });
});

test('what cannot be had is said: 404, plain http, no such file, downloads forbidden', async () => {
  await served([(_request, response) => response.writeHead(404, 'Not Found').end()], async (base, requests) => {
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir: fresh() }), DataError, /net\.bin: the server answers 404 Not Found/);
    assert.is(requests.length, 1);
    process.env.FOVEA_NO_DOWNLOAD = '1';
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir: fresh() }), DataError, /FOVEA_NO_DOWNLOAD=1 forbids/);
    delete process.env.FOVEA_NO_DOWNLOAD;
    assert.is(requests.length, 1);
  });
  await served([(_request, response) => response.writeHead(302, { location: 'ftp://example.org/x' }).end()], async (base) => {
    await rejects(() => fetchWeights(`${base}/net.bin`, { cacheDir: fresh() }), DataError);
  });
  await rejects(() => fetchWeights('http://example.org/net.bin'), DataError, /expected an https address/);
  await rejects(() => fetchWeights(join(folder, 'absent.bin')), DataError, /absent\.bin: no such file/);
  await rejects(() => fetchWeights(folder), DataError, /is a folder/);
});

test.run();
