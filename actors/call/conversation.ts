/** What has been said in a call, as the model is to read it: of the agent's words only those heard. */

import type { PromptMessage, ToolCall } from "@/lib/providers/llm/llm.ts";

export type Entry =
  | { readonly role: "caller"; readonly text: string }
  /**
   * Part of an utterance. An utterance that goes on behind a tool call has several. `heard` is null
   * while it is being said.
   */
  | {
    readonly role: "agent";
    readonly generation: number;
    readonly text: string;
    readonly heard: string | null;
    /** Said to bridge a wait: no part of the answer. */
    readonly isFiller?: true;
  }
  | { readonly role: "toolCall"; readonly call: ToolCall }
  | { readonly role: "toolOutput"; readonly callId: string; readonly output: string };

/** Adds a clause to what the agent is saying. */
export function addSaid(
  entries: readonly Entry[],
  generation: number,
  text: string,
  isFiller = false,
): readonly Entry[] {
  const last = entries.at(-1);
  const goesOn = last?.role === "agent" && last.generation === generation &&
    (last.isFiller ?? false) === isFiller;
  if (!goesOn) {
    const filler = isFiller ? { isFiller } as const : {};
    return [...entries, { role: "agent", generation, text, heard: null, ...filler }];
  }
  return [...entries.slice(0, -1), { ...last, text: `${last.text} ${text}` }];
}

/** All that was given to be said of an utterance. */
export function saidOf(entries: readonly Entry[], generation: number): string {
  return entries
    .flatMap((it) => it.role === "agent" && it.generation === generation ? [it.text] : [])
    .join(" ");
}

/** Trims the parts of an utterance to the words that were heard of it: the first `heardCount`. */
export function trimToHeard(
  entries: readonly Entry[],
  generation: number,
  heardCount: number,
): readonly Entry[] {
  let left = heardCount;
  return entries.map((entry) => {
    if (entry.role !== "agent" || entry.generation !== generation) return entry;
    const words = wordsOf(entry.text);
    const heard = words.slice(0, left).join(" ");
    left = Math.max(0, left - words.length);
    return { ...entry, heard };
  });
}

/** The prompt's messages. An utterance of which nothing was heard is not there. */
export function promptMessages(entries: readonly Entry[]): PromptMessage[] {
  return entries.flatMap((entry): PromptMessage[] => {
    if (entry.role !== "agent") return [entry];
    if (entry.isFiller) return [];
    const text = entry.heard ?? entry.text;
    return text === "" ? [] : [{ role: "agent", text }];
  });
}

/** The words of a text, as they are counted everywhere in a call. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
