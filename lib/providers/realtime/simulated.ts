/** A model that hears and speaks without a provider: the simulated recogniser, language model and voice in one session. */

import { newAsyncQueue } from "@/lib/async_queue.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { LanguageModel, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { SpokenWord } from "@/lib/providers/tts/tts.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import type {
  AnswerEnd,
  Realtime,
  RealtimeCommand,
  RealtimeEvent,
  RealtimeItem,
  RealtimeLine,
  RealtimeSetup,
} from "./realtime.ts";

export interface SimulatedRealtimeOptions {
  readonly clock: Clock;
  /** What answers; the rules of `simulatedModel` when absent. */
  readonly brain?: LanguageModel;
  /** From the end of the caller's utterance to its words, which come when the answer may be on its way. Default 100. */
  readonly transcriptionMs?: number;
}

/** What is said of silence that a provider would judge by itself. */
const JUDGED_SILENCE_MS = 400;
const FIRST_TOKEN_MS = 150;
const TOKEN_MS = 10;
/** Events that nobody has read; 8 s of them. */
const EVENTS_MAX = 10_000;
const AUDIO_MAX = 500;
const TEMPERATURE = 0.3;
/** What is said beside the conversation is no item of it. */
const ASIDE = "item_aside";

/** What of an item was said, so that it can be cut to what was heard. */
interface Said {
  item: RealtimeItem;
  readonly words: SpokenWord[];
}

export function simulatedRealtime(options: SimulatedRealtimeOptions): Realtime {
  return {
    provider: "simulated",
    open(setup, signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      return Promise.resolve(simulatedLine(setup, signal, options));
    },
  };
}

/** One of its sessions, open at once. */
export function simulatedLine(
  first: RealtimeSetup,
  signal: AbortSignal,
  { clock, brain, transcriptionMs = 100 }: SimulatedRealtimeOptions,
): RealtimeLine {
  const model = brain ?? simulatedModel({ clock, firstTokenMs: FIRST_TOKEN_MS, tokenMs: TOKEN_MS });
  const voice = simulatedTts({ clock });
  const closed = new AbortController();
  const ended = AbortSignal.any([signal, closed.signal]);
  const events = newAsyncQueue<RealtimeEvent>(EVENTS_MAX);
  const caller = newAsyncQueue<Uint8Array>(AUDIO_MAX);
  const conversation: Said[] = [];
  const running = new Map<string, AbortController>();
  let setup = first;
  let items = 0;

  function tell(event: RealtimeEvent): void {
    if (!ended.aborted) events.push(event);
  }

  function close(): void {
    closed.abort();
    caller.end();
    events.end();
  }

  /** What fails in the background ends the session; its reader is told. */
  let failure: unknown = null;
  function inBackground(work: Promise<void>): void {
    work.catch((error) => {
      if (!ended.aborted) failure = error;
      close();
    });
  }

  async function listen(): Promise<void> {
    const ears = simulatedStt({ clock });
    const endpointingMs = setup.silenceMs ?? JUDGED_SILENCE_MS;
    const { language, keyterms } = setup;
    let itemId = "";
    let text = "";
    const told = ears.transcribe(caller, { language, keyterms, endpointingMs }, ended);
    for await (const recognition of told) {
      switch (recognition.type) {
        case "speechStarted":
          itemId = `item_${++items}`;
          text = "";
          tell({ type: "speechStarted", itemId, atMs: recognition.atMs });
          break;
        case "final":
          text = `${text} ${recognition.text}`.trim();
          break;
        case "utteranceEnded":
          heard(itemId, text, recognition.lastWordEndMs);
          break;
        default: // words are told when they are over, as of a provider
      }
    }
  }

  function heard(itemId: string, text: string, lastWordEndMs: number): void {
    tell({ type: "speechStopped", itemId, lastWordEndMs });
    tell({ type: "committed", itemId });
    conversation.push({ item: { type: "caller", id: itemId, text }, words: [] });
    inBackground(transcribe(itemId, text));
  }

  async function transcribe(itemId: string, text: string): Promise<void> {
    await sleep(clock, transcriptionMs, ended);
    tell({ type: "transcribed", itemId, text });
  }

  function promptOf(): Prompt {
    const { instructions: system, tools, maxTokens } = setup;
    return {
      system,
      tools,
      messages: conversation.flatMap(({ item }) => messageOf(item)),
      maxTokens: maxTokens ?? Infinity,
      temperature: TEMPERATURE,
    };
  }

  async function answer(tag: string, stop: AbortSignal): Promise<void> {
    const itemId = `item_${++items}`;
    const clauses = newAsyncQueue<string>(EVENTS_MAX);
    const usage = { inputTokens: 0, outputTokens: 0, inputAudioTokens: 0, outputAudioTokens: 0 };
    const speaking = speak(tag, itemId, clauses, stop);
    speaking.catch(() => {}); // awaited below
    let word = "";
    const written = async (): Promise<void> => {
      if (word !== "") clauses.push(word);
      word = "";
      clauses.end();
      await speaking;
    };
    try {
      for await (const delta of model.respond(promptOf(), stop)) {
        switch (delta.type) {
          case "text": {
            word += delta.text;
            const end = word.lastIndexOf(" ") + 1;
            if (end > 0) clauses.push(word.slice(0, end));
            word = word.slice(end);
            tell({ type: "words", tag, itemId, text: delta.text });
            break;
          }
          case "toolCall": {
            await written(); // a call comes behind what is said
            const { call } = delta;
            conversation.push({
              item: { type: "toolCall", id: `item_${++items}`, call },
              words: [],
            });
            tell({ type: "toolCall", tag, call });
            break;
          }
          case "usage":
            Object.assign(usage, tokensOf(delta));
            break;
          case "finished":
        }
      }
      await written();
    } finally {
      clauses.end();
    }
    tell({ type: "answered", tag, how: { type: "complete" }, usage });
  }

  async function say(tag: string, sentence: string, stop: AbortSignal): Promise<void> {
    const clauses = newAsyncQueue<string>(1);
    clauses.push(sentence);
    clauses.end();
    tell({ type: "words", tag, itemId: ASIDE, text: sentence });
    await speak(tag, null, clauses, stop);
    tell({ type: "answered", tag, how: { type: "complete" }, usage: null });
  }

  /** Of an item of the conversation what it says is kept, as far as it was made. */
  async function speak(
    tag: string,
    itemId: string | null,
    text: AsyncIterable<string>,
    stop: AbortSignal,
  ): Promise<void> {
    let said: Said | null = null;
    const options = { voice: null, language: setup.language };
    for await (const speech of voice.synthesize(text, options, stop)) {
      if (speech.type === "audio") {
        tell({ type: "audio", tag, itemId: itemId ?? ASIDE, audio: speech.audio });
        continue;
      }
      if (itemId === null) continue;
      if (said === null) {
        said = { item: { type: "agent", id: itemId, text: "" }, words: [] };
        conversation.push(said);
      }
      said.words.push(...speech.words);
      said.item = { type: "agent", id: itemId, text: textOf(said.words) };
    }
  }

  function begin(tag: string, work: (stop: AbortSignal) => Promise<void>): void {
    const stop = new AbortController();
    running.set(tag, stop);
    const either = AbortSignal.any([ended, stop.signal]);
    inBackground(
      work(either).catch((error) => {
        if (ended.aborted) return;
        const how = stop.signal.aborted ? { type: "stopped" } as const : failed(error);
        tell({ type: "answered", tag, how, usage: null });
      }).finally(() => void running.delete(tag)),
    );
  }

  function perform(command: RealtimeCommand): void {
    switch (command.type) {
      case "setUp":
        setup = command.setup;
        return;
      case "audio":
        return caller.push(command.audio);
      case "add":
        conversation.push({ item: command.item, words: [] });
        return;
      case "remove": {
        const at = conversation.findIndex(({ item }) => item.id === command.itemId);
        if (at !== -1) conversation.splice(at, 1);
        return;
      }
      case "truncate": {
        const said = conversation.find(({ item }) => item.id === command.itemId);
        if (said?.item.type !== "agent") return;
        const heard = said.words.filter(({ endMs }) => endMs <= command.heardMs);
        said.item = { ...said.item, text: textOf(heard) };
        return;
      }
      case "answer": {
        const { tag } = command;
        return begin(tag, (stop) => answer(tag, stop));
      }
      case "say": {
        const { tag, sentence } = command;
        return begin(tag, (stop) => say(tag, sentence, stop));
      }
      case "stop":
        return running.get(command.tag)?.abort();
    }
  }

  inBackground(listen());
  return {
    send(command) {
      if (!ended.aborted) perform(command);
    },
    close,
    async *[Symbol.asyncIterator]() {
      try {
        yield* untilAborted(events, signal);
        if (failure !== null) throw failure;
      } finally {
        close();
      }
    },
  };
}

function failed(error: unknown): AnswerEnd {
  if (!(error instanceof AppError)) throw error;
  return { type: "failed", code: error.code, retryAfterS: error.retryAfterS ?? null };
}

function messageOf(item: RealtimeItem): PromptMessage[] {
  switch (item.type) {
    case "caller":
    case "agent":
      return item.text === "" ? [] : [{ role: item.type, text: item.text }];
    case "toolCall":
      return [{ role: "toolCall", call: item.call }];
    case "toolOutput":
      return [{ role: "toolOutput", callId: item.callId, output: item.output }];
  }
}

function tokensOf({ inputTokens, outputTokens }: {
  readonly inputTokens: number;
  readonly outputTokens: number;
}) {
  return { inputTokens, outputTokens };
}

function textOf(words: readonly SpokenWord[]): string {
  return words.map(({ text }) => text).join(" ");
}
