/** The voices there are. */

import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { aura } from "./aura.ts";
import { elevenlabs } from "./elevenlabs.ts";
import { openaiSpeech } from "./openai.ts";
import { simulatedTts } from "./simulated.ts";
import type { TextToSpeech } from "./tts.ts";

/** Throws AppError("not_configured") naming the setting that is missing. */
export function newTts(config: Config["tts"], clock: Clock): TextToSpeech {
  switch (config.provider) {
    case "simulated":
      return simulatedTts({ clock });
    case "elevenlabs": {
      const { apiKey, url, model, voice } = config;
      if (apiKey === null) throw missing("ELEVENLABS_API_KEY");
      return elevenlabs({ apiKey, baseUrl: url, model, voice, clock });
    }
    case "openai": {
      const { apiKey, url, model, voice } = config;
      if (apiKey === null) throw missing("OPENAI_API_KEY");
      return openaiSpeech({ apiKey, baseUrl: url, model, voice, clock });
    }
    case "aura": {
      const { apiKey, url, model } = config;
      if (apiKey === null) throw missing("DEEPGRAM_API_KEY");
      return aura({ apiKey, baseUrl: url, voice: model, clock });
    }
  }
}

function missing(field: string): AppError {
  return new AppError("not_configured", `Speech needs ${field}`, { field });
}
