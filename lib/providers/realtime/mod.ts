/** The models that hear and speak there are. */

import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { RealtimeConfig } from "@/lib/provider_choice.ts";
import { openaiRealtime } from "./openai.ts";
import type { Realtime } from "./realtime.ts";
import { simulatedRealtime } from "./simulated.ts";

/** Throws AppError("not_configured") naming the setting that is missing. */
export function newRealtime(config: RealtimeConfig, clock: Clock): Realtime {
  switch (config.provider) {
    case "simulated":
      return simulatedRealtime({ clock });
    case "openai_realtime": {
      const { apiKey, url: baseUrl, model, voice, transcriptionModel } = config;
      if (apiKey === null) throw missing("OPENAI_API_KEY");
      return openaiRealtime({ apiKey, baseUrl, model, voice, transcriptionModel, clock });
    }
  }
}

function missing(field: string): AppError {
  return new AppError("not_configured", `Speech needs ${field}`, { field });
}
