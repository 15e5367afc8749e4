import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';
import { ensureChromium } from '../../../tools/chromium.mjs';

/** Why there is no Chromium, with what to do, or `undefined`. Fetches it where that is possible and allowed. */
export function whyNoChromium(): string | undefined {
  return ensureChromium().reason;
}

/** Chromium, headless, with WebGPU on SwiftShader. */
export async function launch(): Promise<Browser> {
  const { chromium: found, reason } = ensureChromium();
  if (found === undefined) throw new Error(reason);
  const args = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--no-sandbox', '--disable-gpu-sandbox'];
  const env = { ...process.env, ...found.env } as Record<string, string>;
  return chromium.launch({ executablePath: found.path, headless: true, args, env, timeout: 60_000 });
}

export interface PageResult<R> {
  readonly value: R;
  /** What the page wrote to its console. */
  readonly log: readonly string[];
}

/**
 * Opens a page on localhost, with or without cross-origin isolation, that runs a bundle's default export.
 *
 * @param script path of a bundle that exports a function by default
 * @param input handed to that function; plain data
 * @throws Error with what the page threw and wrote to its console
 */
export async function runInPage<R>(
  browser: Browser,
  { script, isolated, input }: { script: string; isolated: boolean; input?: unknown },
): Promise<PageResult<R>> {
  const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  const html = '<!doctype html><title>test</title><script type="module">' +
    "import run from './bundle.js'; globalThis.run = run;</script>";
  const server = createServer((request, response) => {
    const files: Record<string, [string, string | Buffer]> = {
      '/': ['text/html', html],
      '/bundle.js': ['text/javascript', readFileSync(script)],
      '/favicon.ico': ['image/x-icon', ''],
    };
    const file = files[request.url ?? ''];
    response.writeHead(file === undefined ? 404 : 200, { ...(isolated ? isolation : {}), 'content-type': file?.[0] ?? 'text/plain' });
    response.end(file?.[1]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const log: string[] = [];
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    page.on('console', (message) => log.push(message.text()));
    page.on('pageerror', (error) => log.push(error.stack ?? error.message));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction('typeof globalThis.run === "function"', undefined, { timeout: 30_000 });
    const value = await page.evaluate((given) => (globalThis as unknown as { run(x: unknown): R }).run(given), input);
    return { value: value as R, log };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${log.join('\n')}`, { cause: error });
  } finally {
    await context.close();
    await new Promise((resolve) => server.close(resolve));
  }
}
