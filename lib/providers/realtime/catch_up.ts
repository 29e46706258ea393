/** What a session must still be told, so that its conversation is that of the prompt. Pure. */

import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import type { RealtimeItem } from "./realtime.ts";

/** What a session has of the conversation. It knows what the agent said by its own answers, and by what was heard of them. */
export interface Known {
  /** Messages of the prompt, but for the agent's, that it has. */
  readonly count: number;
  /** What it heard the caller say itself, and has not been found in a message. */
  readonly heard: readonly string[];
  /** Functions that it called. */
  readonly called: ReadonlySet<string>;
  /** Of these, those without an output. */
  readonly open: ReadonlySet<string>;
}

export const nothingKnown: Known = {
  count: 0,
  heard: [],
  called: new Set(),
  open: new Set(),
};

/** An item that the session is to have; who sends it names it. */
export type NewItem = RealtimeItem extends infer Item
  ? Item extends RealtimeItem ? Omit<Item, "id"> : never
  : never;

/** A call that nothing came of: the caller went on before it was made. A model waits for the output of each. */
const NOT_DONE = JSON.stringify({ done: false, reason: "The caller went on speaking." });
/** Utterances that came to nothing, as signs of listening, are not looked for for ever. */
const HEARD_MAX = 20;

export function heardCaller(known: Known, text: string): Known {
  return text === "" ? known : { ...known, heard: [...known.heard, text].slice(-HEARD_MAX) };
}

export function calledFunction(known: Known, callId: string): Known {
  return {
    ...known,
    called: new Set([...known.called, callId]),
    open: new Set([...known.open, callId]),
  };
}

/** Of a session that begins: all of a conversation that another one held. */
export function seed(messages: readonly PromptMessage[]): [Known, readonly NewItem[]] {
  const called = messages.flatMap((it) => it.role === "toolCall" ? [it.call.id] : []);
  const count = messages.filter(({ role }) => role !== "agent").length;
  return [{ ...nothingKnown, count, called: new Set(called) }, messages.map(itemOf)];
}

/** The messages that are new to it; then an output for each call that has none. */
export function catchUp(
  known: Known,
  messages: readonly PromptMessage[],
): [Known, readonly NewItem[]] {
  const others = messages.filter(({ role }) => role !== "agent");
  const items: NewItem[] = [];
  let { heard } = known;
  const called = new Set(known.called);
  const open = new Set(known.open);
  for (const message of others.slice(known.count)) {
    switch (message.role) {
      case "agent":
        break;
      case "caller": {
        const [rest, left] = unheard(message.text, heard);
        heard = left;
        if (rest !== "") items.push({ type: "caller", text: rest });
        break;
      }
      case "toolCall":
        if (!called.has(message.call.id)) items.push(itemOf(message)); // another model's
        called.add(message.call.id);
        break;
      case "toolOutput":
        open.delete(message.callId);
        items.push(itemOf(message));
    }
  }
  for (const callId of open) items.push({ type: "toolOutput", callId, output: NOT_DONE });
  const count = Math.max(known.count, others.length);
  return [{ count, heard, called, open: new Set() }, items];
}

/** What of a message the session has not heard itself, as keys that were pressed; and what it heard that is not in it. */
function unheard(text: string, heard: readonly string[]): [string, readonly string[]] {
  let rest = text;
  let found = -1;
  heard.forEach((said, nth) => {
    if (!rest.includes(said)) return;
    rest = rest.replace(said, " ");
    found = nth;
  });
  return [rest.replace(/\s+/g, " ").trim(), heard.slice(found + 1)];
}

function itemOf(message: PromptMessage): NewItem {
  switch (message.role) {
    case "caller":
    case "agent":
      return { type: message.role, text: message.text };
    case "toolCall":
      return { type: "toolCall", call: message.call };
    case "toolOutput":
      return { type: "toolOutput", callId: message.callId, output: message.output };
  }
}
