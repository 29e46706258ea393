/** What an actor has started beside its mailbox: runs, holds, streams and timers, each under a name. */

import { AppError } from "@/lib/errors.ts";
import type { Message, Outcome, StreamItem } from "./actor.ts";
import { inNameOf } from "./blame.ts";
import type { Origin } from "./envelope.ts";
import type { Life } from "./life.ts";

/** Items of a stream that may wait to be handled before its source is asked for more. */
export const STREAM_AHEAD = 16;

export type WorkType = "run" | "hold" | "stream" | "timer";

/** One piece of work. Live from its start until its last message is taken, or until it is cancelled. */
export class Work implements Origin {
  live = true;
  readonly type: WorkType;
  readonly name: string;
  /** The clock's time when it was started. */
  readonly since: number;
  readonly #life: Life;
  readonly #end: () => void;
  #queued = 0;
  #hasEnded = false;
  #room: (() => void) | null = null;

  /** Cancels what had the name before. `end` is called when it is cancelled. */
  constructor(life: Life, type: WorkType, name: string, end: () => void) {
    life.cancel(name);
    (life.works ??= new Map()).set(name, this);
    if (type === "hold") life.holds++;
    this.type = type;
    this.name = name;
    this.since = life.now();
    this.#life = life;
    this.#end = end;
  }

  /** Brings a message of this work into the mailbox: its last one, unless `more` follow. */
  deliver(toMessage: () => Message, more = false): void {
    if (!this.live) return;
    try {
      const message = toMessage();
      this.#queued++;
      this.#hasEnded = !more;
      if (this.type === "hold") this.#life.cell.endHold(message, this);
      else this.#life.cell.acceptOwn(message, this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** It went wrong in a way that nobody foresaw: its actor crashes, unless it was cancelled before. */
  fail(error: unknown): void {
    if (this.live) this.#life.fail(error);
  }

  /** Resolves when its source may be asked for more, or when it is cancelled. */
  async room(): Promise<void> {
    while (this.live && this.#queued >= STREAM_AHEAD) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#room = resolve;
      await promise;
    }
  }

  taken(): void {
    this.#queued--;
    if (this.#hasEnded && this.#queued === 0) this.#leave();
    this.#makeRoom();
  }

  refused(): void {}

  cancel(): void {
    if (!this.live) return;
    this.#leave();
    this.#end();
    this.#makeRoom();
  }

  #leave(): void {
    this.live = false;
    this.#life.works?.delete(this.name);
    if (this.type === "hold") this.#life.holds--;
  }

  #makeRoom(): void {
    this.#room?.();
    this.#room = null;
  }
}

export function startTimer(life: Life, name: string, ms: number, message: Message): void {
  const timer = new Work(life, "timer", name, () => disarm());
  const disarm = life.cell.entry.host.clock.timer(ms, () => timer.deliver(() => message));
}

export function startRun<T>(
  life: Life,
  type: "run" | "hold",
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
  toMessage: (outcome: Outcome<T>) => Message,
): void {
  const controller = new AbortController();
  const running = new Work(life, type, name, () => controller.abort());

  async function settle(): Promise<void> {
    try {
      const value = await work(controller.signal);
      running.deliver(() => toMessage({ ok: true, value }));
    } catch (error) {
      if (error instanceof AppError) running.deliver(() => toMessage({ ok: false, error }));
      else running.fail(error);
    }
  }
  inNameOf(life, settle);
}

export function startStream<T>(
  life: Life,
  name: string,
  source: (signal: AbortSignal) => AsyncIterable<T>,
  toMessage: (item: StreamItem<T>) => Message,
): void {
  const controller = new AbortController();
  const stream = new Work(life, "stream", name, () => controller.abort());

  async function read(): Promise<void> {
    try {
      for await (const value of source(controller.signal)) {
        stream.deliver(() => toMessage({ type: "item", value }), true);
        await stream.room();
        if (!stream.live) return; // closes the source
      }
      stream.deliver(() => toMessage({ type: "ended" }));
    } catch (error) {
      if (error instanceof AppError) stream.deliver(() => toMessage({ type: "failed", error }));
      else stream.fail(error);
    }
  }
  inNameOf(life, read);
}
