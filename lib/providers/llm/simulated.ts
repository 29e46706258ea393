/** A language model without a model: follows the functions it is offered by rules, so that a call needs no key. */

import { type Clock, sleep } from "@/lib/clock.ts";
import type { AppError } from "@/lib/errors.ts";
import type { LanguageModel, ModelDelta, Prompt, PromptMessage, Tool } from "./llm.ts";
import { askCount, ASKS_MAX, exchangesOf, mentions, type Slot, slotsOf, valueOf } from "./slots.ts";

export interface SimulatedModelOptions {
  readonly clock: Clock;
  /** From the request to the first token. */
  readonly firstTokenMs: number;
  /** Between two tokens. */
  readonly tokenMs: number;
  /** What to reply instead of following the rules. */
  readonly script?: Script;
}

/** The n-th reply of this model, from 0; past the end of the list, and for null, the rules hold. */
export type Script =
  | readonly ScriptedReply[]
  | ((prompt: Prompt, n: number) => ScriptedReply | null);

/** Parts that come in the order of these fields. */
export interface ScriptedReply {
  /** Takes the place of the model's. */
  readonly firstTokenMs?: number;
  readonly text?: string;
  /** Before the token of this number, from 0, it waits so many milliseconds longer. */
  readonly stalls?: Readonly<Record<number, number>>;
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: string }[];
  /** Thrown after what came before it. */
  readonly error?: AppError;
  /** Says nothing more, until it is aborted. */
  readonly hang?: boolean;
}

/**
 * Sees nothing but the prompt. It asks for the first parameter that a function requires and the caller
 * has not told, at most ASKS_MAX times, and calls the function once it has them all; which one, see
 * `chooseTool`. In a node where there is nothing to ask it says what the instructions put in quotes.
 */
export function simulatedModel(options: SimulatedModelOptions): LanguageModel {
  const { clock, firstTokenMs, tokenMs, script = [] } = options;
  let replies = 0;

  return {
    provider: "simulated",
    async *respond(prompt, signal) {
      const n = replies++;
      const scripted = typeof script === "function" ? script(prompt, n) : script[n];
      yield* write(prompt, scripted ?? followRules(prompt), signal);
    },
  };

  async function* write(
    prompt: Prompt,
    reply: ScriptedReply,
    signal: AbortSignal,
  ): AsyncGenerator<ModelDelta> {
    await pause(reply.firstTokenMs ?? firstTokenMs, signal);
    let tokens = 0;
    for (const text of toTokens(reply.text ?? "")) {
      const stallMs = reply.stalls?.[tokens] ?? 0;
      if (tokens++ > 0 || stallMs > 0) await pause(tokenMs + stallMs, signal);
      yield { type: "text", text };
    }
    const calls = reply.toolCalls ?? [];
    const before = prompt.messages.filter((message) => message.role === "toolCall").length;
    for (const [at, call] of calls.entries()) {
      if (tokens++ > 0) await pause(tokenMs, signal);
      // Numbered over the conversation: an id must not come twice in it.
      yield { type: "toolCall", call: { id: `call_${before + at + 1}`, ...call } };
    }
    if (reply.error !== undefined) throw reply.error;
    if (reply.hang === true) await untilAborted(signal);
    yield { type: "usage", inputTokens: sizeOf(prompt), outputTokens: tokens };
    yield { type: "finished", reason: calls.length > 0 ? "toolCalls" : "stop" };
  }

  async function pause(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (ms > 0) await sleep(clock, ms, signal);
  }
}

/** Pieces as models write them: parts of words, each with the space before it. */
function toTokens(text: string): readonly string[] {
  return text.match(/\s*\S{1,6}|\s+$/gu) ?? [];
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Tokens of a prompt, roughly: four characters each. */
function sizeOf(prompt: Prompt): number {
  return Math.ceil((prompt.system.length + JSON.stringify(prompt.messages).length) / 4);
}

const SORRY = "Sorry, I did not catch that.";

function followRules(prompt: Prompt): ScriptedReply {
  const exchanges = exchangesOf(prompt.messages);
  const sinceCaller = prompt.messages.slice(lastOf(prompt.messages, "caller") + 1);
  const hasSpokenHere = !sinceCaller.some((message) => message.role === "toolOutput");
  const answer = hasSpokenHere ? exchanges.at(-1)?.answer ?? "" : "";

  const tool = chooseTool(prompt.tools, answer);
  if (tool === null) return { text: quotedIn(prompt.system) };
  const slots = slotsOf(tool);
  if (slots.length === 0 && !hasSpokenHere) return { text: quotedIn(prompt.system) };

  const missing = slots.find((slot) => slot.required && valueOf(slot, exchanges) === null);
  if (missing !== undefined) {
    const wasAsked = askCount(missing, exchanges) > 0;
    return { text: wasAsked ? `${SORRY} ${missing.ask}` : missing.ask };
  }
  const call = { name: tool.name, arguments: JSON.stringify(argumentsOf(slots)) };
  // A call that was refused would be refused again.
  if (!sinceCaller.some((message) => message.role === "toolCall" && isSame(message.call, call))) {
    return { toolCalls: [call] };
  }
  const first = slots.find((slot) => slot.required && askCount(slot, exchanges) < ASKS_MAX);
  return {
    text: first === undefined ? `${SORRY} Could you say it again?` : `${SORRY} ${first.ask}`,
  };

  function argumentsOf(slots: readonly Slot[]): Readonly<Record<string, unknown>> {
    const values = slots.map((slot) => [slot.name, valueOf(slot, exchanges)] as const);
    return Object.fromEntries(values.filter(([, value]) => value !== null));
  }
}

/**
 * The function of which the caller's last turn mentions most keywords, the first in a tie. With none
 * mentioned: the first that requires something, else the only one there is, else null.
 */
function chooseTool(tools: readonly Tool[], answer: string): Tool | null {
  const scores = tools.map((tool) =>
    keywordsOf(tool.description).filter((keyword) => mentions(answer, keyword)).length
  );
  const best = Math.max(0, ...scores);
  if (best > 0) return tools[scores.indexOf(best)] ?? null;
  const asking = tools.find((tool) => slotsOf(tool).some((slot) => slot.required));
  return asking ?? (tools.length === 1 ? tools[0] ?? null : null);
}

const COMMON = ["about", "again", "caller", "their", "there", "these", "wants", "which", "whether"];

/** The phrases a condition puts in quotes; when it quotes none, its words of five letters and more. */
function keywordsOf(condition: string): readonly string[] {
  const quoted = [...condition.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
  if (quoted.length > 0) return quoted;
  const words = condition.toLowerCase().match(/\p{L}{5,}/gu) ?? [];
  return [...new Set(words)].filter((word) => !COMMON.includes(word));
}

/** The first sentence in quotes of a node's task. */
function quotedIn(system: string): string {
  const task = system.slice(system.indexOf("Your task now:"));
  return /"([^"]+)"/.exec(task)?.[1] ?? "How can I help you?";
}

function lastOf(messages: readonly PromptMessage[], role: PromptMessage["role"]): number {
  return messages.findLastIndex((message) => message.role === role);
}

function isSame(
  a: { readonly name: string; readonly arguments: string },
  b: { readonly name: string; readonly arguments: string },
): boolean {
  return a.name === b.name && a.arguments === b.arguments;
}
