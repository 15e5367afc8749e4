/** Files of weights by path or https address: fetched once, kept in the cache, known by their SHA-256. */

export interface FetchOptions {
  /** What the file must hash to, in hexadecimal. */
  readonly sha256?: string;
  /** Called as bytes come in; `total` where the server says it. */
  readonly onProgress?: (received: number, total?: number) => void;
}

/** A file on this machine. */
export interface FetchedFile {
  readonly path: string;
  /** Of its bytes, in hexadecimal: what a run records. */
  readonly sha256: string;
}

/** A path or an https address to a file on this machine, fetched where it must be. */
export type FetchWeights = (address: string, options?: FetchOptions) => Promise<FetchedFile>;
