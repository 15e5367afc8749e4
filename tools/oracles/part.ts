/** A part of the fixtures, and what it is made with. */
export interface Making {
  readonly seed: number;
  /** Folder that becomes the shared one: `fixtures/` and what of `formats/` they need. */
  readonly out: string;
  /** Runs a script of this folder with arguments; ends all where it fails. */
  run(system: 'mxnet' | 'torch', script: string, ...args: string[]): void;
}

export interface Part {
  readonly name: string;
  /** @returns what was made, in a few words */
  make(making: Making): string | Promise<string>;
}
