/** A language model whose tokens are counted, as its provider tells of them. */

import type { LanguageModel, ModelUsage } from "./llm.ts";

export function metered(
  model: LanguageModel,
  used: (usage: ModelUsage) => void,
): LanguageModel {
  return {
    provider: model.provider,
    async *respond(prompt, signal) {
      for await (const delta of model.respond(prompt, signal)) {
        if (delta.type === "usage") used(delta);
        yield delta;
      }
    },
  };
}
