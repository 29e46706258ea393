/** The answers of one session: asked for one at a time, or begun when the caller falls silent, before their words are known. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { type Answer, newAnswer } from "./answers.ts";
import type { AnswerEnd, RealtimeCommand, RealtimeEvent } from "./realtime.ts";

/** Answers that may still be said, or heard of. */
const ANSWERS_MAX = 8;
const LOST = { type: "failed", code: "session_lost", retryAfterS: null } as const;

export interface AnsweringOptions {
  send(command: RealtimeCommand): void;
  /** Of the session that is open; null while none is. */
  life(): number | null;
}

export interface Answering {
  /** The newest of the conversation, the newest first. */
  readonly answers: readonly Answer[];
  /** An answer to the conversation, once the one before is over. `isAsGuessed`: one that was begun in advance is it. */
  ask(signal: AbortSignal, isAsGuessed: boolean): Promise<Answer>;
  /** Begins the answer to what was just said, where nothing else is being answered. */
  guess(): void;
  /** It will not be asked for: nothing stays of it. */
  forget(): void;
  say(sentence: string): Answer;
  stop(answer: Answer): void;
  truncate(answer: Answer, heardMs: number): void;
  /** What the session tells of them. */
  take(event: Extract<RealtimeEvent, { readonly tag: string | null }>): void;
  /** Their session is gone. */
  lost(): void;
}

export function newAnswering({ send, life }: AnsweringOptions): Answering {
  const running = new Map<string, Answer>();
  /** What was heard of those that are to be cut once they are over. */
  const cuts = new WeakMap<Answer, number>();
  let answers: readonly Answer[] = [];
  let ahead: Answer | null = null;
  let tags = 0;

  function begin(kind: Answer["kind"]): Answer {
    const now = life();
    const answer = newAnswer({ tag: `${now ?? 0}.${++tags}`, kind, life: now ?? 0 });
    if (now === null) {
      answer.finish(LOST);
      return answer;
    }
    running.set(answer.tag, answer);
    if (kind === "answer") answers = [answer, ...answers].slice(0, ANSWERS_MAX);
    return answer;
  }

  function answer(): Answer {
    const begun = begin("answer");
    send({ type: "answer", tag: begun.tag });
    return begun;
  }

  const ofConversation = (): Answer[] =>
    [...running.values()].filter(({ kind }) => kind === "answer");

  function finish(tag: string, end: AnswerEnd): void {
    const answer = running.get(tag);
    if (answer === undefined) return;
    running.delete(tag);
    const heardMs = cuts.get(answer);
    if (heardMs !== undefined) cut(answer, heardMs);
    answer.finish(end);
  }

  function cut({ life: of, itemId, audioBytes }: Answer, heardMs: number): void {
    if (of !== life() || itemId === null) return;
    if (heardMs < 1) return send({ type: "remove", itemId });
    const madeMs = Math.floor(audioBytes / BYTES_PER_MS);
    send({ type: "truncate", itemId, heardMs: Math.min(Math.floor(heardMs), madeMs) });
  }

  function stop(answer: Answer): void {
    if (answer.end === null && answer.life === life()) send({ type: "stop", tag: answer.tag });
  }

  function truncate(answer: Answer, heardMs: number): void {
    answer.isCut = true;
    if (answer.end === null) cuts.set(answer, heardMs); // it is still being made
    else cut(answer, heardMs);
  }

  function forget(): void {
    if (ahead === null) return;
    stop(ahead);
    truncate(ahead, 0);
    ahead = null;
  }

  return {
    get answers() {
      return answers.filter((it) => it !== ahead); // nobody was told of that one
    },
    async ask(signal, isAsGuessed) {
      const guessed = ahead;
      if (guessed !== null && isAsGuessed && guessed.end?.type !== "failed") {
        ahead = null;
        return guessed;
      }
      forget();
      for (const before of ofConversation()) await before.over(signal);
      return answer();
    },
    guess() {
      if (ahead === null && ofConversation().length === 0) ahead = answer();
    },
    forget,
    say(sentence) {
      const aside = begin("aside");
      send({ type: "say", tag: aside.tag, sentence });
      return aside;
    },
    stop,
    truncate,
    take(event) {
      switch (event.type) {
        case "audio":
        case "words":
          return running.get(event.tag)?.add(event, event.itemId);
        case "toolCall":
          return running.get(event.tag)?.add(event);
        case "answered":
          return finish(event.tag, event.how);
        case "refused": // a null tag: about what is over by now
          return finish(event.tag ?? "", { ...LOST, code: event.code });
      }
    },
    lost() {
      ahead = null;
      for (const answer of running.values()) answer.finish(LOST);
      running.clear();
    },
  };
}
