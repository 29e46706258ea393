/**
 * A live call as Server-Sent Events: every event once, in order, whatever becomes of the connection.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */

import type { MiddlewareHandler } from "hono";
import type { EventView } from "@/actors/desk/calls.ts";
import type { Watch } from "@/actors/recorder/feed.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/** A comment goes out after so much silence: proxies close what is silent for 30 s to 60 s. */
export const HEARTBEAT_MS = 15_000;
/** What another machine has committed is seen so late. */
export const LOOK_MS = 1_000;
/** Between a call's last event and its row. */
export const END_LOOK_MS = 100;
/** Whether the reader may still read is asked so often; one who could not be asked about for a minute may not. */
export const CHECK_MS = 15_000;
const CHECKED_WITHIN_MS = 60_000;
/** A reader who takes nothing for so long is let go, and resumes when it can. */
export const STALL_MS = 30_000;
/** The reader's browser comes again after so long. */
const RETRY_MS = 1_000;
/** Looks at a call that has ended without a word of its end, before it is taken as all there is. */
const ENDED_LOOKS = 3;
const EVENTS_MAX = 200; // read at once, and never more are held for a reader

/** As it comes: neither kept back by a proxy nor compressed, which would hold events back too. */
export const STREAM_HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
} as const;

/** Lets a principal watch calls of its tenant. */
export function watching({ feed, clock }: Pick<AppDeps, "feed" | "clock">): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { desk, recheck, principal: { tenantId } } = c.var;
    c.set("watchCall", (callId, after) =>
      callStream({
        clock,
        after,
        watch: (told) => feed.watch({ tenantId, conversationId: callId }, told),
        read: (after) => desk("callNews", { callId, after, limit: EVENTS_MAX }),
        async check() {
          const by = await recheck();
          if (!by.scopes.has("calls:read")) throw new AppError("forbidden", "The scope is gone");
        },
      }));
    await next();
  };
}

export interface News {
  readonly events: readonly EventView[];
  readonly hasEnded: boolean;
}

export interface CallStreamOptions {
  readonly clock: Clock;
  /** Opens the watch; `told` is called when there is something new to read. */
  watch(told: () => void): Watch;
  /** Events after this `seq`, EVENTS_MAX at most. */
  read(after: number): Promise<News>;
  /** Rejects when the reader may no longer read. */
  check(): Promise<unknown>;
  /** Begin after this `seq`. */
  readonly after: number;
}

/** Throws AppError as `watch` and the first `read` do. Nothing is read ahead of a slow reader. */
export async function callStream(options: CallStreamOptions): Promise<ReadableStream<Uint8Array>> {
  const { clock, read, check } = options;
  const encoder = new TextEncoder();
  let after = options.after;
  let isStale = true; // there may be something to read
  let wake = (): void => {};
  let isClosed = false;
  let cancelStall: Cancel = () => {};
  let endedLooks = 0;
  let hasSaidEnd = false;
  let checkedAt = clock.now();
  let askedAt = checkedAt;
  let lookedAt = -Infinity;
  let sentAt = checkedAt;

  const watch = options.watch(() => {
    isStale = true;
    wake();
  });
  const woken = (): void => wake();
  watch.signal.addEventListener("abort", woken);

  function close(): void {
    isClosed = true;
    watch.signal.removeEventListener("abort", woken);
    watch.close();
    cancelStall();
    wake();
  }

  /** The call's own row follows its last event, and nobody tells of it. */
  function nextLookAt(): number {
    return lookedAt + (hasSaidEnd ? END_LOOK_MS : LOOK_MS);
  }

  /** Until there may be news, or the next look, comment or check is due. */
  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const dueAt = Math.min(nextLookAt(), sentAt + HEARTBEAT_MS);
      const cancel = clock.timer(dueAt - clock.now(), () => wake());
      wake = () => {
        cancel();
        resolve();
      };
      if (isStale || isClosed || watch.signal.aborted) wake();
    });
  }

  /** False: the reader may no longer read. A gate that is busy is asked again. */
  async function mayRead(): Promise<boolean> {
    if (clock.now() - askedAt < CHECK_MS) return true;
    askedAt = clock.now();
    try {
      await check();
      checkedAt = clock.now();
      return true;
    } catch (error) {
      const isPassing = error instanceof AppError && error.retryable;
      return isPassing && clock.now() - checkedAt < CHECKED_WITHIN_MS;
    }
  }

  /** The events that follow, as they go out; null: this is all, or the reader must go. */
  async function next(): Promise<{ text: string; isLast: boolean } | null> {
    isStale = false;
    lookedAt = clock.now();
    const { events, hasEnded } = await read(after).catch((error): News => {
      if (error instanceof AppError && error.retryable) return { events: [], hasEnded: false };
      throw error;
    });
    const last = events.at(-1);
    if (last !== undefined) after = last.seq;
    if (events.length === EVENTS_MAX) isStale = true;
    endedLooks = hasEnded && last === undefined ? endedLooks + 1 : 0;
    hasSaidEnd ||= last?.type === "call_ended";
    // Whoever has read to the end may ask for the call, and finds how it came out.
    const isLast = hasEnded && hasSaidEnd || endedLooks === ENDED_LOOKS;
    if (last === undefined && !isLast) return null;
    return { text: events.map(toText).join("") + (isLast ? END : ""), isLast };
  }

  /** What goes out next; null when the stream is over. */
  async function piece(): Promise<{ text: string; isLast: boolean } | null> {
    for (;;) {
      if (isClosed || watch.signal.aborted || !await mayRead()) return null;
      if (isStale || clock.now() >= nextLookAt()) {
        const news = await next();
        if (news !== null) return news;
      }
      if (clock.now() - sentAt >= HEARTBEAT_MS) return { text: ":\n\n", isLast: false };
      await pause();
    }
  }

  let first: Awaited<ReturnType<typeof next>>;
  try {
    first = await next(); // a call that is not there is answered so
  } catch (error) {
    close();
    throw error;
  }

  /** What is given to the reader must be taken. */
  function give(
    controller: ReadableStreamDefaultController<Uint8Array>,
    { text, isLast }: { readonly text: string; readonly isLast: boolean },
  ): void {
    sentAt = clock.now();
    controller.enqueue(encoder.encode(text));
    if (isLast) {
      close();
      return controller.close();
    }
    cancelStall = clock.timer(STALL_MS, () => {
      close();
      controller.error(new AppError("unknown_outcome", "The reader takes nothing"));
    });
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      const { text, isLast } = first ?? { text: "", isLast: false };
      give(controller, { text: `retry: ${RETRY_MS}\n\n${text}`, isLast });
    },
    async pull(controller) {
      cancelStall();
      try {
        const out = await piece();
        if (isClosed) return;
        if (out !== null) return give(controller, out);
        close();
        controller.close();
      } catch (error) {
        close();
        throw error;
      }
    },
    cancel: close,
  });
}

const END = "event: end\ndata: {}\n\n";

/** JSON has no line breaks of its own, so each event is one line of data. */
function toText(event: EventView): string {
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
