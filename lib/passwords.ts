/** Passwords: argon2id in Workers of their own, and the rule for a new one. */

import { AppError } from "./errors.ts";
import type { FromHasher, ToHasher } from "./passwords_worker.ts";

export interface PasswordCost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

/** OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, 2 passes, 1 lane. About 60 ms of one core. */
const COST: PasswordCost = { memoryKiB: 19_456, passes: 2, lanes: 1 };
/** Of a machine that holds calls, not more: 20 MB each. */
const WORKERS = 2;
/** Passwords that wait for a Worker: two seconds of work. */
const WAITING_MAX = 64;

/** NIST SP 800-63B 3.1.1.2: length, and no rules of composition. Counted in code points. */
export const PASSWORD_MIN = 10;
export const PASSWORD_MAX = 128;

export interface Checked {
  readonly isRight: boolean;
  /** It was hashed at another cost than is asked for now: hash it again. */
  readonly isStale: boolean;
}

/** Both throw AppError("busy") where too many wait, and the signal's reason once it is aborted. */
export interface Passwords {
  /** A PHC string, which holds its cost and its salt. */
  hash(password: string, signal: AbortSignal): Promise<string>;
  /** The same, of one that somebody chooses. Throws AppError("invalid") for one that nobody should. */
  hashNew(choice: PasswordChoice, signal: AbortSignal): Promise<string>;
  /** A null hash, of an account that is not there, takes as long and is never right. */
  verify(password: string, hash: string | null, signal: AbortSignal): Promise<Checked>;
  /** Ends the Workers; whoever waits is told so. */
  close(): void;
}

export interface PasswordChoice {
  readonly password: string;
  /** Of whoever chooses it. */
  readonly email: string;
  /** Where it stood in the request. */
  readonly field: string;
}

export interface PasswordOptions {
  readonly cost?: PasswordCost;
  readonly workers?: number;
}

interface Job {
  readonly message: ToHasher;
  readonly signal: AbortSignal;
  readonly done: PromiseWithResolvers<FromHasher>;
}

/** Workers start when there is something to hash. */
export function newPasswords({ cost = COST, workers = WORKERS }: PasswordOptions = {}): Passwords {
  const waiting: Job[] = [];
  const idle: Worker[] = [];
  const running = new Map<Worker, Job>();
  const dummy = dummyHash(cost);
  let isClosed = false;

  function ask(message: ToHasher, signal: AbortSignal): Promise<FromHasher> {
    if (isClosed) return Promise.reject(new AppError("draining", "Passwords are closed"));
    if (waiting.length >= WAITING_MAX) {
      const text = `Cannot check passwords: ${WAITING_MAX} wait`;
      return Promise.reject(new AppError("busy", text, { retryable: true }));
    }
    const done = Promise.withResolvers<FromHasher>();
    waiting.push({ message, signal, done });
    next();
    return done.promise;
  }

  function next(): void {
    while (waiting[0]?.signal.aborted) {
      const given = waiting.shift();
      given?.done.reject(given.signal.reason);
    }
    if (waiting.length === 0) return;
    const worker = idle.pop() ?? (running.size < workers ? start() : null);
    const job = worker && waiting.shift();
    if (!worker || !job) return;
    running.set(worker, job);
    worker.postMessage(job.message);
  }

  function start(): Worker {
    const worker = new Worker(new URL("./passwords_worker.ts", import.meta.url), {
      type: "module",
    });
    worker.onmessage = ({ data }: MessageEvent<FromHasher>) => {
      const job = running.get(worker);
      running.delete(worker);
      idle.push(worker);
      if (data.type === "failed") job?.done.reject(new Error(`Cannot hash: ${data.message}`));
      else job?.done.resolve(data);
      next();
    };
    worker.onerror = (event) => {
      event.preventDefault(); // an error in the Worker would end this process
      running.get(worker)?.done.reject(new Error(`The hasher failed: ${event.message}`));
      running.delete(worker);
      worker.terminate();
      next();
    };
    return worker;
  }

  return {
    async hash(password, signal) {
      const answer = await ask({ type: "hash", password: normal(password), cost }, signal);
      if (answer.type !== "hashed") throw new Error(`The hasher answered "${answer.type}"`);
      return answer.hash;
    },
    async hashNew({ password, email, field }, signal) {
      checkNewPassword(password, email, field);
      const message = { type: "hash", password: normal(password), cost, isNew: true } as const;
      const answer = await ask(message, signal);
      if (answer.type === "common") {
        const text = "Password is one of those that are tried first: choose another";
        throw new AppError("invalid", text, { field });
      }
      if (answer.type !== "hashed") throw new Error(`The hasher answered "${answer.type}"`);
      return answer.hash;
    },
    async verify(password, hash, signal) {
      const message = { type: "verify", password: normal(password), hash: hash ?? dummy } as const;
      const answer = await ask(message, signal);
      if (answer.type !== "verified") throw new Error(`The hasher answered "${answer.type}"`);
      const isRight = answer.isRight && hash !== null;
      return { isRight, isStale: isRight && !hash.startsWith(prefixOf(cost)) };
    },
    close() {
      isClosed = true;
      for (const worker of [...idle, ...running.keys()]) worker.terminate();
      const closed = new AppError("draining", "Passwords are closed");
      for (const { done } of [...running.values(), ...waiting]) done.reject(closed);
      idle.length = waiting.length = 0;
      running.clear();
    },
  };
}

/** What can be said at once of a new password. Throws AppError("invalid") naming `field`. */
export function checkNewPassword(password: string, email: string, field: string): void {
  const length = [...normal(password)].length;
  if (length < PASSWORD_MIN || length > PASSWORD_MAX) {
    const text = `Password must have ${PASSWORD_MIN} to ${PASSWORD_MAX} characters`;
    throw new AppError("invalid", text, { field });
  }
  if (normal(password).toLowerCase() === email.toLowerCase()) {
    throw new AppError("invalid", "Password must not be the e-mail address", { field });
  }
}

/** The same characters typed on two systems are the same password (NIST SP 800-63B 3.1.1.2). */
function normal(password: string): string {
  return password.normalize("NFC");
}

/** How a PHC string of this cost begins: https://github.com/P-H-C/phc-string-format */
function prefixOf({ memoryKiB, passes, lanes }: PasswordCost): string {
  return `$argon2id$v=19$m=${memoryKiB},t=${passes},p=${lanes}$`;
}

/** Of no password: 16 bytes of salt and 32 of a hash that nothing hashes to but by chance. */
function dummyHash(cost: PasswordCost): string {
  return `${prefixOf(cost)}${"A".repeat(22)}$${"A".repeat(43)}`;
}
