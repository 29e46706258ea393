/** The language models there are. */

import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import type { LanguageModel } from "./llm.ts";
import { openai } from "./openai.ts";
import { simulatedModel } from "./simulated.ts";

/** As a quick model of a provider near by. */
const SIMULATED = { firstTokenMs: 200, tokenMs: 15 } as const;

/** Throws AppError("not_configured") naming the setting that is missing. */
export function newLlm(config: Config["llm"], clock: Clock): LanguageModel {
  switch (config.provider) {
    case "simulated":
      return simulatedModel({ clock, ...SIMULATED });
    case "openai": {
      const { apiKey, url, model } = config;
      if (apiKey === null) {
        const field = "OPENAI_API_KEY";
        throw new AppError("not_configured", `The language model needs ${field}`, { field });
      }
      return openai({ apiKey, baseUrl: url, model, clock });
    }
  }
}
