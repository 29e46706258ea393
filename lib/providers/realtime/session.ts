/** One caller's session with a model that hears and speaks: opened when it is needed, and once more when it is lost. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { type Answering, newAnswering } from "./answering.ts";
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
/** What was said and is answered by nobody, where the model had begun to, is not for it to answer: it waits for so long. */
const GUESS_MAX_MS = 2_000;
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

export interface Session extends Pick<Answering, "answers" | "ask" | "say" | "stop" | "truncate"> {
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
  /** True: it was set up otherwise. */
  setUp(change: Partial<RealtimeSetup>): boolean;
  hear(audio: Uint8Array): void;
  /** One at a time hears of the caller: the newest. */
  listen(listener: (event: CallerEvent) => void): Cancel;
  /** Tells it what of the conversation it does not know. True: there was something. */
  inform(messages: readonly PromptMessage[]): boolean;
  /** What all its answers have taken since it was last asked, those that nobody waited for included. */
  takeUsage(): AnswerUsage;
  /** The caller heard the agent say this. `isOwn`: the conversation has it, as an answer of this session. */
  remember(text: string, isOwn: boolean): void;
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
  let isOver = false;
  let usage = NO_USAGE;
  let sentBytes = 0;
  let users = 0;
  let listener: ((event: CallerEvent) => void) | null = null;
  let known: Known = nothingKnown;
  /** The conversation as it was last told, and what was said since. */
  let record: PromptMessage[] = [];
  /** An answer was asked for since the session was told of the conversation: the next may be guessed. */
  let mayGuess = false;
  let cancelGuess: Cancel = () => {};
  let items = 0;

  function send(command: RealtimeCommand): void {
    line?.send(command);
  }

  const answering = newAnswering({ send, life: () => line === null ? null : life });

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
      mayGuess = false;
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
    answering.lost();
    listener?.({ type: "lost" });
  }

  function strike(): void {
    strikes++;
    isOver = strikes > 1 && isReplaceable;
  }

  function take(event: RealtimeEvent): void {
    switch (event.type) {
      case "speechStarted":
        forgetGuess();
        return listener?.(event);
      case "committed":
        guess();
        return listener?.(event);
      case "speechStopped":
      case "transcribing":
        return listener?.(event);
      case "transcribed":
        if (event.text === "") forgetGuess();
        known = heardCaller(known, event.text ?? "");
        return listener?.(event);
      case "toolCall":
        known = calledFunction(known, event.call.id);
        return answering.take(event);
      case "answered":
        if (event.usage !== null) usage = sum(usage, event.usage);
        return answering.take(event);
      case "audio":
      case "words":
      case "refused":
        return answering.take(event);
    }
  }

  /** Begins to answer what was just said. Where that comes to nothing, it is not guessed again before an answer is asked for. */
  function guess(): void {
    if (!mayGuess || known.open.size > 0) return;
    answering.guess();
    cancelGuess();
    cancelGuess = clock.timer(GUESS_MAX_MS, () => {
      mayGuess = false;
      answering.forget();
    });
  }

  function forgetGuess(): void {
    cancelGuess();
    answering.forget();
  }

  function rest(): void {
    closing.abort(providerError(provider, "its session was closed"));
    closing = new AbortController();
    const open = line;
    line = null;
    open?.close();
    strikes = 0;
    cancelGuess();
    answering.lost();
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
      return answering.answers;
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
      if (isOver) throw providerError(provider, "its session was lost", { retryable: false });
      opening ??= open().finally(() => void (opening = null));
      await orAborted(opening, signal);
      if (line === null) throw providerError(provider, "its session was lost");
    },
    setUp(change) {
      const next = { ...current, ...change };
      if (JSON.stringify(next) === JSON.stringify(current)) return false;
      current = next;
      send({ type: "setUp", setup: current });
      return true;
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
      return missing.length > 0;
    },
    async ask(signal, isAsGuessed) {
      cancelGuess();
      const answer = await answering.ask(signal, isAsGuessed);
      mayGuess = true;
      return answer;
    },
    say: answering.say,
    stop: answering.stop,
    truncate: answering.truncate,
    takeUsage() {
      const taken = usage;
      usage = NO_USAGE;
      return taken;
    },
    remember(text, isOwn) {
      if (text === "") return;
      record = [...record, { role: "agent", text }];
      if (!isOwn) add({ type: "agent", text });
    },
  };
}

const NO_USAGE: AnswerUsage = {
  inputTokens: 0,
  outputTokens: 0,
  inputAudioTokens: 0,
  outputAudioTokens: 0,
};

function sum(a: AnswerUsage, b: AnswerUsage): AnswerUsage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    inputAudioTokens: a.inputAudioTokens + b.inputAudioTokens,
    outputAudioTokens: a.outputAudioTokens + b.outputAudioTokens,
  };
}
