/** What an actor is: its messages, its handlers, and what a handler may ask of the runtime. */

import type { AppError } from "@/lib/errors.ts";

/** Every message is an object with a `type`; the rest is the message's own. */
export interface Message {
  readonly type: string;
}

/** Answers an ask. The first answer counts; later ones are dropped. */
export interface Reply<T> {
  (answer: T): void;
  /** Answers with an error that the asker's promise rejects with. */
  fail(error: AppError): void;
}

/**
 * One handler a message type, each synchronous: it returns the next state, or nothing to keep it.
 * A forgotten, misspelt or `async` handler does not compile.
 */
export type Handlers<S, M extends Message> = {
  readonly [T in M["type"]]: (
    state: Readonly<S>,
    message: Extract<M, { type: T }>,
    ctx: Context<M>,
  ) => S | void;
};

/** Behaviour and state of one actor. Made anew by its factory at every start and restart. */
export interface Actor<S, M extends Message> {
  /** The first state. `restart` is set when a crash led here. May use `ctx` as a handler does. */
  init(ctx: Context<M>, restart?: Restart): S;
  readonly on: Handlers<S, M>;
  /** What operators see of the state. Never payloads, prompts, numbers or words of a caller. */
  view?(state: Readonly<S>): unknown;
  /** Last words, when it stops or before it restarts: release what `ctx` does not own. */
  stopped?(state: Readonly<S>, reason: StopReason): void;
}

export interface Restart {
  /** How many restarts its supervisor has given it within the intensity window, this one included. */
  readonly count: number;
  readonly error: unknown;
}

/** `crashed`: by its own throw, past what its supervisor forgives. `shutdown`: its parent or the system ends. */
export type StopReason =
  | { readonly type: "done" }
  | { readonly type: "asked"; readonly why: string }
  | { readonly type: "idle" }
  | { readonly type: "shutdown" }
  | { readonly type: "crashed"; readonly error: unknown };

/** What is common to all actors of one kind. Bounds and supervision are per kind, named, and never unset. */
export interface Kind<M extends Message> {
  readonly name: string;
  /** Messages that may wait in the control lane. A full lane refuses: `send` says false, an ask rejects. */
  readonly controlMax: number;
  /** Types that ride the media lane, after control. A full media lane drops its oldest and counts it. */
  readonly media?: { readonly types: readonly M["type"][]; readonly max: number };
  /** permanent: always restarted; transient: only after a crash; temporary: never. */
  readonly restart: "permanent" | "transient" | "temporary";
  /** More crashes than this within the window, and the crash goes up to the parent. */
  readonly intensity: { readonly restarts: number; readonly withinMs: number };
  /** Wait before a restart: exponential from `minMs` to `maxMs`, with full jitter. Both 0: at once. */
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
  /** A message whose handling crashed this often goes to the dead letters instead of being tried again. */
  readonly poisonTries: number;
  /** Stop after so long without a message. Only for kinds that `system.register` can bring back. */
  readonly passivateAfterMs?: number;
}

/** An actor's address. Stays valid over restarts, and after a stop: sends then go to the dead letters. */
export interface Ref<M extends Message> {
  readonly kind: string;
  readonly id: string;
  /** False when the message was refused (full, stopped, draining): it is then a dead letter. */
  send(message: M): boolean;
  /**
   * Sends a question and awaits its reply. Rejects with an AppError: `unknown_outcome` past the
   * deadline, `mailbox_full`, `actor_stopped`, `draining`, or what the handler failed it with; with
   * the signal's reason when aborted. An ask that has not begun is taken out of the queue.
   */
  ask<T>(question: (reply: Reply<T>) => M, options?: AskOptions): Promise<T>;
}

export interface AskOptions {
  /** Milliseconds from now; ASK_TIMEOUT_MS when neither is given. */
  readonly timeoutMs?: number;
  /** Absolute, on the system's monotonic clock. Takes the place of `timeoutMs`. */
  readonly deadline?: number;
  readonly signal?: AbortSignal;
}

/** How a piece of work ended. Only an AppError is an outcome; any other throw is a bug and crashes the actor. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: AppError };

/** What comes out of a stream: its items in order, then exactly one `ended` or `failed`. Nothing after `cancel`. */
export type StreamItem<T> =
  | { readonly type: "item"; readonly value: T }
  | { readonly type: "ended" }
  | { readonly type: "failed"; readonly error: AppError };

/** What a handler may do beside returning a state. Names are per actor: reusing one cancels the old. */
export interface Context<M extends Message> {
  readonly self: Ref<M>;
  /** Monotonic milliseconds, the system's clock. */
  now(): number;
  /** Wall clock. */
  date(): Date;
  /** Starts work beside the mailbox; its outcome comes back as a message on the control lane. */
  run<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    toMessage: (outcome: Outcome<T>) => M,
  ): void;
  /** As `run`, with the mailbox shut (system lane open) until the outcome has been handled. */
  hold<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    toMessage: (outcome: Outcome<T>) => M,
  ): void;
  /** Reads a source item by item; at most STREAM_AHEAD unhandled items are taken from it. */
  stream<T>(
    name: string,
    source: (signal: AbortSignal) => AsyncIterable<T>,
    toMessage: (item: StreamItem<T>) => M,
  ): void;
  /** Sends `message` to itself `ms` from now. */
  timer(name: string, ms: number, message: M): void;
  /** Ends a run, hold, stream or timer: its signal aborts and no message of it is handled any more. */
  cancel(name: string): boolean;
  /** Starts a child under this actor's supervision. `stopped` is sent to the parent when it ends for good. */
  spawn<N extends Message, T>(
    kind: Kind<N>,
    id: string,
    make: () => Actor<T, N>,
    options?: { readonly stopped?: (reason: StopReason) => M },
  ): Ref<N>;
  /** Stops a child, and its children first. */
  stopChild(ref: { readonly kind: string; readonly id: string }, why: string): void;
  /** Stops this actor after the current handler. */
  stop(): void;
  /**
   * The guarded door: wraps a callback that a socket, ticker or library will call. The message it
   * returns is sent to this actor; what it throws crashes this actor and nothing else.
   */
  guard<A extends readonly unknown[]>(callback: (...args: A) => M | void): (...args: A) => void;
}
