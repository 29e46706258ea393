/** The language models there are. */

import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { anthropic } from "./anthropic.ts";
import type { LanguageModel } from "./llm.ts";
import { openai } from "./openai.ts";
import { openaiResponses } from "./openai_responses.ts";
import { simulatedModel } from "./simulated.ts";

/** As a quick model of a provider near by. */
const SIMULATED = { firstTokenMs: 200, tokenMs: 15 } as const;

const ADAPTERS = { openai, openai_responses: openaiResponses, anthropic } as const;

/** Throws AppError("not_configured") naming the setting that is missing. */
export function newLlm(config: Config["llm"], clock: Clock): LanguageModel {
  switch (config.provider) {
    case "simulated":
      return simulatedModel({ clock, ...SIMULATED });
    case "openai":
    case "openai_responses":
    case "anthropic": {
      const { provider, apiKey, url, model } = config;
      if (apiKey === null) {
        const field = provider === "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY";
        throw new AppError("not_configured", `The language model needs ${field}`, { field });
      }
      return ADAPTERS[provider]({ apiKey, baseUrl: url, model, clock });
    }
  }
}
