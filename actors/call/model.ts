/** A model request: one prompt's answer, streamed to the call that asked. */

import type { Actor, Kind, Ref, StreamItem } from "@/actors/runtime/actor.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";

export type ModelMessage =
  /** From the call. Takes the place of the request before. */
  | { type: "request"; request: number; prompt: Prompt }
  | { type: "withdraw" }
  | { type: "answered"; request: number; item: StreamItem<ModelDelta> };

/** What the model's answer is made of, told to the call in order. `request` says to which it belongs. */
export type FromModel =
  | { type: "modelSaid"; request: number; item: StreamItem<ModelDelta> }
  /** The model actor crashed and is back: its request is lost. */
  | { type: "modelLost" };

export const modelKind: Kind<ModelMessage> = {
  name: "model",
  controlMax: 1024,
  restart: "permanent",
  intensity: { restarts: 3, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 100 },
  poisonTries: 1,
};

export interface ModelDeps {
  readonly model: LanguageModel;
  readonly call: Pick<Ref<FromModel>, "send">;
}

interface State {
  readonly request: number | null;
  /** Of all its answers so far, as the provider tells. */
  readonly tokens: { readonly input: number; readonly output: number };
}

export function model({ model, call }: ModelDeps): Actor<State, ModelMessage> {
  return {
    init(_ctx, restart) {
      if (restart !== undefined) call.send({ type: "modelLost" });
      return { request: null, tokens: { input: 0, output: 0 } };
    },
    on: {
      request(state, { request, prompt }, ctx) {
        ctx.stream(
          "answer",
          (signal) => model.respond(prompt, signal),
          (item) => ({ type: "answered", request, item }),
        );
        return { ...state, request };
      },
      withdraw(state, _message, ctx) {
        ctx.cancel("answer");
        return { ...state, request: null };
      },
      answered(state, { request, item }) {
        if (state.request !== request) return state;
        call.send({ type: "modelSaid", request, item });
        if (item.type !== "item") return { ...state, request: null };
        if (item.value.type !== "usage") return state;
        const { inputTokens, outputTokens } = item.value;
        const { input, output } = state.tokens;
        return { ...state, tokens: { input: input + inputTokens, output: output + outputTokens } };
      },
    },
    view: ({ request, tokens }) => ({ provider: model.provider, request, tokens }),
  };
}
