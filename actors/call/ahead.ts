/** A reply made in advance, in a fork of the dialogue: what may happen of it before the turn is over, and how it is taken over. */

import type { CallEvent } from "./events.ts";
import type { Ahead, Dialogue, DialogueEvent, Effect } from "./dialogue.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";

/** A token is about four characters of English, for every model we know. */
const TOKEN_CHARS = 4;

/** What a text costs, by a rule of thumb: a request that is broken off never tells. */
export function tokensOf(text: string): number {
  return Math.ceil(text.length / TOKEN_CHARS);
}

export function promptTokens({ system, messages }: Prompt): number {
  return tokensOf(system) + tokensOf(JSON.stringify(messages));
}

/** Whether an event is the fork's to take: of its request, or of its utterance. */
export function isOfAhead({ counts }: Dialogue, event: DialogueEvent): boolean {
  switch (event.type) {
    case "modelSaid":
    case "stallDue":
      return event.request > counts.requests;
    case "wordsPlaced":
    case "synthesisBegan":
    case "synthesisFailed":
      return event.generation > counts.generations;
    default:
      return false;
  }
}

/** A model's functions act on the world: they wait until the turn is certain. */
export function waitsForTurn({ fork, later }: Ahead, event: DialogueEvent): boolean {
  if (event.type !== "modelSaid") return false;
  return later.length > 0 || (event.item.type !== "item" && (fork.reply?.calls.length ?? 0) > 0);
}

interface Division {
  /** To be done now: asking the model, and making the first clause, unheard. */
  readonly now: readonly Effect[];
  /** To be done once the turn is over. */
  readonly held: readonly Effect[];
  readonly events: readonly CallEvent[];
}

/** `hasText`: the first clause is being made already. */
export function divide(effects: readonly Effect[], hasText: boolean): Division {
  const now: Effect[] = [];
  const held: Effect[] = [];
  const events: CallEvent[] = [];
  let isFirst = !hasText;
  for (const effect of effects) {
    if (effect.type === "record") events.push(effect.event);
    else if (effect.type === "begin") now.push({ ...effect, isHeld: true });
    else if (effect.type === "request" || effect.type === "awaitToken") now.push(effect);
    else if (effect.type === "text" && isFirst) {
      now.push(effect);
      isFirst = false;
    } else held.push(effect);
  }
  return { now, held, events };
}

/**
 * The dialogue once the turn of `base` is over as it was guessed; `base` has noted the caller's words.
 * What it has learnt meanwhile of older utterances stands.
 */
export function takeOver(base: Dialogue, { fork, entriesBefore }: Ahead): Dialogue {
  const newer = fork.utterances.filter(({ generation }) => generation > base.counts.generations);
  const { generations, requests, turns, speechFailures } = fork.counts;
  return {
    ...base,
    turn: fork.turn,
    workflow: fork.workflow,
    entries: [...base.entries, ...fork.entries.slice(entriesBefore)],
    utterances: [...base.utterances, ...newer],
    open: fork.open,
    reply: fork.reply,
    milestones: { ...fork.milestones, ...base.milestones },
    unsaid: fork.unsaid,
    counts: { generations, requests, turns, speechFailures },
    ahead: null,
  };
}
