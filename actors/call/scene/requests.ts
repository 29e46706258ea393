/** What the model is asked, and what is taken back of it. */

import { PRESSED } from "@/lib/workflow/engine.ts";
import { GO_ON } from "@/lib/providers/llm/prompts.ts";
import { promptFor } from "@/lib/workflow/prompt.ts";
import { noClauses } from "@/actors/call/clauses.ts";
import { promptMessages } from "@/actors/call/conversation.ts";
import type { Scene } from "./scene.ts";

const ANSWER_MAX_TOKENS = 400; // about a minute of speech
const TEMPERATURE = 0.3;
/** Notes that the model is told: the newest. */
const NOTES_MAX = 20;

/** Asks the model for the next reply. `failures`: requests of this turn that failed before; `goesOn`: from half an answer. */
export function askModel(scene: Scene, failures: number, goesOn = false): void {
  const { counts, workflow, entries, reply } = scene.dialogue;
  const requests = counts.requests + 1;
  scene.set({
    counts: { ...counts, requests },
    reply: {
      request: requests,
      clauses: noClauses,
      calls: [],
      failures,
      fillers: reply?.fillers ?? 0,
      heldBack: null,
      isOver: false,
    },
  });
  const { system, tools } = promptFor(scene.scenario.graph, workflow);
  const prompt = {
    system: [system, notesText(scene.dialogue.notes), goesOn ? GO_ON : ""]
      .filter((it) => it !== "").join("\n\n"),
    tools,
    messages: promptMessages(entries),
    maxTokens: ANSWER_MAX_TOKENS,
    temperature: TEMPERATURE,
  };
  scene.effects.push({ type: "request", request: requests, prompt });
  scene.turn({ type: "replyAsked" });
}

/** No reply is wanted any more. */
export function withdraw(scene: Scene): void {
  const { reply, milestones } = scene.dialogue;
  if (reply === null) return;
  const { callerEnded, endpointed } = milestones; // the gap goes on, its other parts begin anew
  scene.set({
    reply: null,
    milestones: {
      ...(callerEnded === undefined ? {} : { callerEnded }),
      ...(endpointed === undefined ? {} : { endpointed }),
    },
  });
  scene.effects.push({ type: "withdraw" });
}

/** The caller went on: of the reply made in advance nothing stays but what it cost. */
export function forget(scene: Scene): void {
  const { ahead, counts, wasted } = scene.dialogue;
  if (ahead === null) return;
  const { fork, tokens } = ahead;
  if (fork.reply !== null) scene.effects.push({ type: "withdraw" });
  const { generations, requests } = fork.counts;
  if (generations > counts.generations) {
    scene.effects.push({ type: "discard", generation: generations });
  }
  scene.set({
    ahead: null,
    counts: { ...counts, generations, requests }, // their numbers are spent
    wasted: { replies: wasted.replies + 1, tokens: wasted.tokens + tokens },
  });
}

/** True when the caller's words, or a function's answer, have been followed by nothing that was heard. */
export function owesReply(scene: Scene): boolean {
  const last = promptMessages(scene.dialogue.entries).at(-1);
  if (last?.role === "toolOutput") return last.output !== PRESSED;
  return last?.role === "caller";
}

/** What the model is told beside the graph. */
function notesText(notes: readonly string[]): string {
  if (notes.length === 0) return "";
  return `Your colleagues have told you during this call:\n${
    notes.slice(-NOTES_MAX).map((note) => `- ${note}`).join("\n")
  }`;
}
