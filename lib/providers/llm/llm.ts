/** Language models: a prompt in, text and tool calls out, as they are written. */

export interface LanguageModel {
  readonly provider: string;
  /** Throws AppError("provider_failed" | "not_configured"). Aborting ends the request. */
  respond(prompt: Prompt, signal: AbortSignal): AsyncIterable<ModelDelta>;
}

export interface Prompt {
  readonly system: string;
  readonly messages: readonly PromptMessage[];
  readonly tools: readonly Tool[];
  /** Most tokens of the answer. */
  readonly maxTokens: number;
  readonly temperature: number;
}

/** A conversation as the model reads it. Every tool call is followed by exactly one output of it. */
export type PromptMessage =
  | { readonly role: "caller"; readonly text: string }
  /** What the agent said, as far as the caller heard it. */
  | { readonly role: "agent"; readonly text: string }
  | { readonly role: "toolCall"; readonly call: ToolCall }
  | { readonly role: "toolOutput"; readonly callId: string; readonly output: string };

/** A function the model may call. `parameters` is a JSON Schema of type object. */
export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text, as the model wrote it: it may be invalid. */
  readonly arguments: string;
}

export interface ModelUsage {
  /** As its provider calls it; absent: the provider has but one. */
  readonly model?: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of these, what stands for sound; absent of a model that reads and writes. */
  readonly inputAudioTokens?: number;
  readonly outputAudioTokens?: number;
}

export type ModelDelta =
  | { readonly type: "text"; readonly text: string }
  /** A whole call, once its arguments are complete. */
  | { readonly type: "toolCall"; readonly call: ToolCall }
  | { readonly type: "usage" } & ModelUsage
  | { readonly type: "finished"; readonly reason: "stop" | "toolCalls" | "length" | "filtered" };
