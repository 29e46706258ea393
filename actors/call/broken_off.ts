/** What the record of a call lacks that broke off: what was heard last, of both. Pure. */

import { wordsOf } from "./conversation.ts";
import type { CallEvent } from "./events.ts";
import { isWithheld } from "./withheld.ts";

interface Told {
  readonly turns: number;
  /** Turns of the agent that are not over: what was given to be said, and how many words were heard. */
  readonly given: ReadonlyMap<number, { readonly text: string; readonly words: number }>;
  /** Final words of the caller's turn that is not over. */
  readonly callerText: string;
}

/** The events that would have followed, had the line been lost just then: its transcript has what was heard. */
export function missingOf(events: readonly CallEvent[]): readonly CallEvent[] {
  const nothing: Told = { turns: 0, given: new Map(), callerText: "" };
  const { turns, given, callerText } = events.reduce(take, nothing);
  const said = [...given].map(([turn, { text, words }]): CallEvent => {
    const all = isWithheld(text) ? [] : wordsOf(text);
    const [heard, unheard] = [all.slice(0, words), all.slice(words)].map((it) => it.join(" "));
    return {
      type: "agent_said",
      turn,
      text: heard ?? "",
      unheard: unheard ?? "",
      ...{ bargedIn: true, gapMs: null, parts: null },
    };
  });
  if (callerText === "") return said;
  return [...said, { type: "caller_said", turn: turns + 1, text: callerText }];
}

function take(told: Told, event: CallEvent): Told {
  const { given, callerText } = told;
  const turns = "turn" in event ? Math.max(told.turns, event.turn) : told.turns;
  switch (event.type) {
    case "speech_given": {
      const { text, words } = given.get(event.turn) ?? { text: "", words: 0 };
      const all = `${text} ${event.text}`.trim();
      return { ...told, turns, given: new Map([...given, [event.turn, { text: all, words }]]) };
    }
    case "speech_heard": {
      const { text } = given.get(event.turn) ?? { text: "" };
      return {
        ...told,
        turns,
        given: new Map([...given, [event.turn, { text, words: event.words }]]),
      };
    }
    case "agent_said":
      return { ...told, turns, given: new Map([...given].filter(([turn]) => turn !== event.turn)) };
    case "caller_heard":
      return { ...told, callerText: `${callerText} ${event.text}`.trim() };
    case "caller_said":
      return { ...told, turns, callerText: "" };
    default:
      return { ...told, turns };
  }
}
