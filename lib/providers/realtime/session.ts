/** One caller's session with a model that hears and speaks: opened when it is needed, and once more when it is lost. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { type Answer, newAnswer } from "./answers.ts";
import {
  calledFunction,
  catchUp,
  heardCaller,
  type Known,
  type NewItem,
  nothingKnown,
  seed,
} from "./catch_up.ts";
import type {
  AnswerEnd,
  AnswerUsage,
  Realtime,
  RealtimeCommand,
  RealtimeEvent,
  RealtimeItem,
  RealtimeLine,
  RealtimeSetup,
} from "./realtime.ts";

/** A session that lasts so long has worked: when it is lost, another is opened. */
const LASTED_MS = 30_000;
/** One that was lost twice in short is tried again after so long, where nobody else could hear the caller. */
const RETRY_MS = 2_000;
/** Answers that may still be said, or heard of. */
const ANSWERS_MAX = 8;
/** A provider's ids have 32 characters at most. */
const ID_PREFIX = "rm";

export interface SessionOptions {
  readonly realtime: Realtime;
  readonly clock: Clock;
  /** Others can hear the caller in its place: what is lost twice is not opened any more. */
  readonly isReplaceable: boolean;
  readonly setup: RealtimeSetup;
}

/** What a caller's side of it is told: events of their speech, or that the session was lost. */
export type CallerEvent =
  | Extract<RealtimeEvent, { type: `speech${string}` | "committed" | `transcrib${string}` }>
  | { readonly type: "lost" };

export interface Session {
  readonly provider: string;
  /** Counts the sessions so far; 0 before the first. */
  readonly life: number;
  readonly isOpen: boolean;
  /** Caller's audio that this session was sent. */
  readonly sentMs: number;
  /** It is closed once nobody is in. */
  enter(): Cancel;
  /** Resolves once it is open. Rejects with AppError("provider_failed"), or with the signal's reason. */
  ready(signal: AbortSignal): Promise<void>;
  setUp(change: Partial<RealtimeSetup>): void;
  hear(audio: Uint8Array): void;
  /** One at a time hears of the caller: the newest. */
  listen(listener: (event: CallerEvent) => void): Cancel;
  /** Tells it what of the conversation it does not know. */
  inform(messages: readonly PromptMessage[]): void;
  /** An answer to the conversation, once the one before is over. */
  answer(signal: AbortSignal): Promise<Answer>;
  say(sentence: string): Answer;
  /** Breaks it off, if it goes on. */
  stop(answer: Answer): void;
  /** The newest answers of the conversation, the newest first. */
  readonly answers: readonly Answer[];
  /** The caller heard the agent say this. `isOwn`: the conversation has it, as an answer of this session. */
  remember(text: string, isOwn: boolean): void;
  /** Of an answer of this session only so much was heard. */
  truncate(answer: Answer, heardMs: number): void;
}

export function newSession({ realtime, clock, isReplaceable, setup }: SessionOptions): Session {
  const { provider } = realtime;
  let current = setup;
  let line: RealtimeLine | null = null;
  let opening: Promise<void> | null = null;
  let closing = new AbortController();
  let life = 0;
  let openedAt = 0;
  let strikes = 0;
  let closedUntil = -Infinity;
  let sentBytes = 0;
  let users = 0;
  let listener: ((event: CallerEvent) => void) | null = null;
  let known: Known = nothingKnown;
  /** The conversation as it was last told, and what was said since. */
  let record: PromptMessage[] = [];
  const running = new Map<string, Answer>();
  /** What was heard of those that are to be cut once they are over. */
  const cuts = new WeakMap<Answer, number>();
  let answers: readonly Answer[] = [];
  let tags = 0;
  let items = 0;

  function send(command: RealtimeCommand): void {
    line?.send(command);
  }

  function add(item: NewItem): void {
    const named: RealtimeItem = { ...item, id: `${ID_PREFIX}_${life}_${++items}` };
    send({ type: "add", item: named });
  }

  async function open(): Promise<void> {
    const asked = current;
    const { signal } = closing;
    try {
      const opened = await realtime.open(asked, signal);
      if (signal.aborted) return opened.close();
      line = opened;
      life++;
      openedAt = clock.now();
      sentBytes = 0;
      if (asked !== current) send({ type: "setUp", setup: current });
      const [seeded, missing] = seed(record);
      known = seeded;
      for (const item of missing) add(item);
      void read(opened);
    } catch (error) {
      if (!signal.aborted) strike();
      throw error;
    }
  }

  async function read(from: RealtimeLine): Promise<void> {
    try {
      for await (const event of from) take(event);
      if (line !== from) return; // it was closed here
    } catch {
      if (line !== from) return;
    }
    line = null;
    if (clock.now() - openedAt >= LASTED_MS) strikes = 0;
    strike();
    for (const answer of running.values()) {
      answer.finish({ type: "failed", code: "session_lost", retryAfterS: null }, null);
    }
    running.clear();
    listener?.({ type: "lost" });
  }

  function strike(): void {
    strikes++;
    if (strikes > 1) closedUntil = isReplaceable ? Infinity : clock.now() + RETRY_MS;
  }

  function take(event: RealtimeEvent): void {
    switch (event.type) {
      case "speechStarted":
      case "speechStopped":
      case "committed":
      case "transcribing":
        return listener?.(event);
      case "transcribed":
        known = heardCaller(known, event.text ?? "");
        return listener?.(event);
      case "audio":
        return running.get(event.tag)?.add(event, event.itemId);
      case "words":
        return running.get(event.tag)?.add(event);
      case "toolCall":
        known = calledFunction(known, event.call.id);
        return running.get(event.tag)?.add(event);
      case "answered":
        return over(event.tag, event.how, event.usage);
      case "refused": // a null tag: about what is over by now
        return over(event.tag ?? "", { type: "failed", code: event.code, retryAfterS: null }, null);
    }
  }

  function over(tag: string, how: AnswerEnd, usage: AnswerUsage | null): void {
    const answer = running.get(tag);
    if (answer === undefined) return;
    running.delete(tag);
    const heardMs = cuts.get(answer);
    if (heardMs !== undefined) cut(answer, heardMs);
    answer.finish(how, usage);
  }

  function cut(answer: Answer, heardMs: number): void {
    if (answer.life !== life || answer.itemId === null) return;
    const { itemId } = answer;
    if (heardMs < 1) return send({ type: "remove", itemId });
    const madeMs = Math.floor(answer.audioBytes / BYTES_PER_MS);
    send({ type: "truncate", itemId, heardMs: Math.min(Math.floor(heardMs), madeMs) });
  }

  function begin(kind: Answer["kind"]): Answer {
    const answer = newAnswer({ tag: `${life}.${++tags}`, kind, life });
    if (line === null) {
      answer.finish({ type: "failed", code: "session_lost", retryAfterS: null }, null);
      return answer;
    }
    running.set(answer.tag, answer);
    if (kind === "answer") answers = [answer, ...answers].slice(0, ANSWERS_MAX);
    return answer;
  }

  function rest(): void {
    closing.abort(providerError(provider, "its session was closed"));
    closing = new AbortController();
    const open = line;
    line = null;
    open?.close();
    strikes = 0;
  }

  return {
    provider,
    get life() {
      return life;
    },
    get isOpen() {
      return line !== null;
    },
    get sentMs() {
      return sentBytes / BYTES_PER_MS;
    },
    get answers() {
      return answers;
    },
    enter() {
      users++;
      let isIn = true;
      return () => {
        if (!isIn) return;
        isIn = false;
        users--;
        if (users === 0) rest();
      };
    },
    async ready(signal) {
      signal.throwIfAborted();
      if (line !== null) return;
      if (clock.now() < closedUntil) {
        throw providerError(provider, "its session was lost", { retryable: !isReplaceable });
      }
      opening ??= open().finally(() => void (opening = null));
      await orAborted(opening, signal);
      if (line === null) throw providerError(provider, "its session was lost");
    },
    setUp(change) {
      const next = { ...current, ...change };
      if (JSON.stringify(next) === JSON.stringify(current)) return;
      current = next;
      send({ type: "setUp", setup: current });
    },
    hear(audio) {
      sentBytes += audio.length;
      send({ type: "audio", audio });
    },
    listen(to) {
      listener = to;
      return () => {
        if (listener === to) listener = null;
      };
    },
    inform(messages) {
      const [next, missing] = catchUp(known, messages);
      known = next;
      record = [...messages];
      for (const item of missing) add(item);
    },
    async answer(signal) {
      const before = [...running.values()].filter(({ kind }) => kind === "answer");
      for (const answer of before) await answer.over(signal);
      const answer = begin("answer");
      send({ type: "answer", tag: answer.tag });
      return answer;
    },
    say(sentence) {
      const answer = begin("aside");
      send({ type: "say", tag: answer.tag, sentence });
      return answer;
    },
    stop(answer) {
      if (answer.end === null && answer.life === life) send({ type: "stop", tag: answer.tag });
    },
    remember(text, isOwn) {
      if (text === "") return;
      record = [...record, { role: "agent", text }];
      if (!isOwn) add({ type: "agent", text });
    },
    truncate(answer, heardMs) {
      answer.isCut = true;
      if (answer.end === null) cuts.set(answer, heardMs); // it is still being made
      else cut(answer, heardMs);
    },
  };
}
