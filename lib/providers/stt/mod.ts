/** The recognisers there are. */

import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { deepgramFlux } from "./deepgram_flux.ts";
import { deepgramNova } from "./deepgram_nova.ts";
import { simulatedStt } from "./simulated.ts";
import type { SpeechToText } from "./stt.ts";

/** Throws AppError("not_configured") naming the setting that is missing. */
export function newStt(config: Config["stt"], clock: Clock): SpeechToText {
  switch (config.provider) {
    case "simulated":
      return simulatedStt({ clock });
    case "deepgram": {
      const { apiKey, url, model } = config;
      if (apiKey === null) {
        const field = "DEEPGRAM_API_KEY";
        throw new AppError("not_configured", `Speech recognition needs ${field}`, { field });
      }
      const adapter = model.startsWith("flux") ? deepgramFlux : deepgramNova;
      return adapter({ apiKey, baseUrl: url, model, clock });
    }
  }
}
