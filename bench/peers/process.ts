/**
 * Other engines in processes of their own: what computes for minutes without a pause, or hangs, is ended from outside; none shares our
 * threads, globals or memory.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BenchmarkError } from '../../src/errors.ts';

/** How requests and answers travel. */
export interface Wire {
  send(child: ChildProcess, request: object): void;
  /** `take` gets an answer, or an Error for what is none: what came after it would answer the wrong request. */
  onAnswer(child: ChildProcess, take: (answer: unknown) => void): void;
}

/** Lines of JSON on stdin and stdout. */
export const lines: Wire = {
  send: (child, request) => void child.stdin!.write(`${JSON.stringify(request)}\n`),
  onAnswer: (child, take) => void createInterface({ input: child.stdout! }).on('line', (line) => take(parsed(line))),
};

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return new BenchmarkError(`answered what is no JSON: ${line.slice(0, 80)}`);
  }
}

/** Node's own messages between processes. */
export const messages: Wire = {
  send: (child, request) => void child.send(request),
  onAnswer: (child, take) => void child.on('message', take),
};

/** A process that answers requests in turn. It starts with the first, and again with the first after it was ended. */
export class PeerProcess<Answer> {
  readonly #start: () => ChildProcess;
  readonly #wire: Wire;
  readonly #greeting: object;
  #running: Running<Answer> | undefined;
  #greeted: Promise<Answer> | undefined;

  /** @param greeting the first request to each process, before any other */
  constructor(start: () => ChildProcess, wire: Wire, greeting: object) {
    this.#start = start;
    this.#wire = wire;
    this.#greeting = greeting;
  }

  /** Starts it where it does not run; its answer to the greeting. @throws BenchmarkError where it cannot be started */
  greet(): Promise<Answer> {
    if (this.#running?.ended) this.end();
    if (this.#greeted === undefined) {
      this.#running = new Running(this.#start(), this.#wire);
      this.#greeted = this.#running.ask(this.#greeting);
    }
    return this.#greeted;
  }

  /** @throws BenchmarkError with what the process answered, or how it ended */
  async ask(request: object): Promise<Answer> {
    await this.greet();
    return this.#running!.ask(request);
  }

  get running(): boolean {
    return this.#running !== undefined && !this.#running.ended;
  }

  /** Ends it at once, whatever it is doing. */
  end(): void {
    this.#running?.kill();
    this.#running = undefined;
    this.#greeted = undefined;
  }
}

class Running<Answer> {
  readonly #child: ChildProcess;
  readonly #wire: Wire;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  #complaints = '';
  #end: string | undefined;

  constructor(child: ChildProcess, wire: Wire) {
    this.#child = child;
    this.#wire = wire;
    child.stderr?.on('data', (text: Buffer) => (this.#complaints = `${this.#complaints}${text}`.slice(-2000)));
    child.stdin?.on('error', () => undefined);
    wire.onAnswer(child, (answer) => {
      if (answer instanceof Error) {
        this.#fail(answer.message);
        this.kill();
      } else this.#waiting.shift()?.resolve(answer as Answer);
    });
    child.on('error', (error) => this.#fail(error.message));
    child.on('close', (code, signal) => this.#fail(`ended with ${signal ?? code}: ${this.#complaints.trim().split('\n').at(-1) ?? ''}`));
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  async ask(request: object): Promise<Answer> {
    if (this.#end !== undefined) throw new BenchmarkError(this.#end);
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#wire.send(this.#child, request);
    });
    const { error } = answer as { error?: string };
    if (error !== undefined) throw new BenchmarkError(error);
    return answer;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #fail(why: string): void {
    this.#end ??= why;
    for (const one of this.#waiting.splice(0)) one.reject(new BenchmarkError(this.#end));
  }
}
