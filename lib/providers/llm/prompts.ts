/** What models' wire formats have in common: calls that stand right before their outputs, and arguments that are JSON. */

import type { PromptMessage, ToolCall } from "./llm.ts";

/** Characters of one call's arguments, and tool calls of one reply. */
export const ARGUMENTS_MAX = 32_768;
export const CALLS_MAX = 16;

/** Of an answer that broke off, and that its last message has the beginning of. */
export const GO_ON =
  "Your answer was cut off by a fault of the line. Go on exactly where it ends: " +
  "the next word, without repeating or mentioning anything.";

export interface CalledTool {
  readonly call: ToolCall;
  /** Empty where none was told. */
  readonly output: string;
}

/** A conversation as providers demand it. */
export type WireTurn =
  | { readonly role: "caller" | "agent"; readonly text: string }
  /** Calls that were made together, each with its output. */
  | { readonly role: "tools"; readonly tools: readonly CalledTool[] };

/** Calls that follow each other become one turn, with their outputs, wherever those were told. */
export function toTurns(messages: readonly PromptMessage[]): WireTurn[] {
  const outputs = new Map(
    messages.flatMap((message) =>
      message.role === "toolOutput" ? [[message.callId, message.output]] : []
    ),
  );
  const turns: WireTurn[] = [];
  let tools: CalledTool[] = [];
  for (const [at, message] of messages.entries()) {
    switch (message.role) {
      case "caller":
      case "agent":
        turns.push(message);
        break;
      case "toolCall": {
        const { call } = message;
        tools.push({ call, output: outputs.get(call.id) ?? "" });
        if (messages[at + 1]?.role === "toolCall") break;
        turns.push({ role: "tools", tools });
        tools = [];
        break;
      }
      case "toolOutput":
        break; // stands with its call
    }
  }
  return turns;
}

/** Arguments that are a JSON object; what a model wrote may be none, and would have the whole conversation refused. */
export function argumentsOf({ arguments: text }: ToolCall): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
  } catch {
    return {};
  }
}
