/** What calls hear, think and speak with, as settings, company and agent have it. */

import type { CallDeps } from "@/actors/call/call.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import {
  accountOf,
  type Brought,
  type LlmConfig,
  llmConfig,
  type LlmProvider,
  type ProviderAccounts,
  realtimeConfig,
  type RealtimeWish,
  type SttConfig,
  sttConfig,
  type TtsConfig,
  ttsConfig,
  withBrought,
} from "@/lib/provider_choice.ts";
import type { Breakers } from "@/lib/providers/failover/breaker.ts";
import type { Guarded } from "@/lib/providers/failover/guarded.ts";
import { failoverModel } from "@/lib/providers/failover/model.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { failoverVoice } from "@/lib/providers/failover/voice.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import { newLlm } from "@/lib/providers/llm/mod.ts";
import { newRealtime } from "@/lib/providers/realtime/mod.ts";
import { realtimeSpeech } from "@/lib/providers/realtime/speech.ts";
import { newStt } from "@/lib/providers/stt/mod.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { newTts } from "@/lib/providers/tts/mod.ts";
import { remembered, type SpeechMemory } from "@/lib/providers/tts/remembered.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import type { Secret } from "@/lib/secret.ts";
import { speakable } from "@/lib/speech/speakable.ts";
import type { Graph } from "@/lib/workflow/graph.ts";

/** What a call hears, thinks and speaks with. */
export type Speech = Pick<CallDeps, "stt" | "llm" | "tts"> & Partial<Pick<CallDeps, "heard">>;

/** Of a language model: what the tenant wants, and what operators let it use; null: it does not say, and any. */
export interface ModelChoice {
  readonly wanted: string | null;
  readonly allowed: readonly string[] | null;
}

/** What an agent itself says of whom it is held with. */
export type AgentWishes = Pick<Graph, "providers" | "model"> & Partial<Pick<Graph, "speech">>;

export const NO_WISHES: AgentWishes = { providers: null, model: null };

/** What all of a tenant's calls share. */
export interface Wrapping {
  readonly clock: Clock;
  readonly breakers: Breakers;
  readonly memory: SpeechMemory;
  /** Whose accounts were brought, and which. */
  readonly whose?: string;
  /** Nobody is asked by an account of the house, where that does not stand in for a tenant's. */
  readonly isOwnOnly?: boolean;
}

/** Who hears, answers and speaks, in the order in which they are asked. */
export interface Parts {
  readonly recognisers: readonly Guarded<SpeechToText>[];
  readonly models: readonly Guarded<LanguageModel>[];
  readonly voices: readonly Guarded<TextToSpeech>[];
}

/** Each falls back on the next. */
export function pipelineOf({ recognisers, models, voices }: Parts, clock: Clock): Speech {
  return {
    stt: failoverRecogniser({ clock, recognisers }),
    llm: failoverModel({ clock, models }),
    tts: speakable(failoverVoice({ clock, voices })),
  };
}

/** One model that does it all, of one call; parts stand in for it. */
export function wholeOf(
  wish: RealtimeWish,
  config: Config,
  brought: Brought,
  choice: ModelChoice,
  wrapping: Wrapping,
  wishes: AgentWishes,
): Speech | AppError {
  const { clock, breakers, whose = "house" } = wrapping;
  const accounts = withBrought(config.providers, brought);
  const chosen = realtimeConfig(wish, accounts);
  const isSimulated = chosen.provider === "simulated";
  if (!isSimulated && choice.allowed !== null && !choice.allowed.includes(chosen.model)) {
    return new AppError("not_configured", `The company may not use the model "${chosen.model}"`, {
      field: "speech.model",
    });
  }
  const isOwn = !isSimulated && brought.openai !== undefined;
  const guard = <T>(name: string, provider: T): Guarded<T> => ({
    provider,
    breaker: breakers.of(`${name} ${isOwn ? whose : "house"}`),
  });
  try {
    const { provider: realtime, breaker } = guard(chosen.provider, newRealtime(chosen, clock));
    if (isSimulated) return realtimeSpeech({ realtime, breaker, clock, others: NO_PARTS });
    // A caller's words go to no other account than those that the tenant has chosen.
    const own = { ...wrapping, isOwnOnly: isOwn };
    const parts = realOf(partsOf(config, brought, choice, own, wishes));
    // Its account has a model and a voice that can stand in, where nobody else does.
    const { models, voices } = parts;
    const text = { ...choice, llm: "openai", own: wishes.model } as const;
    const tts = (): TextToSpeech => newTts(ttsConfig("openai", accounts), clock);
    return realtimeSpeech({
      realtime,
      breaker,
      clock,
      others: {
        recognisers: parts.recognisers,
        models: models.length > 0
          ? models
          : orNone(() => guard("openai", newLlm(llmOf(config, brought, accounts, text), clock))),
        voices: (voices.length > 0 ? voices : [guard("openai", tts())]).map((it) => ({
          ...it,
          provider: speakable(it.provider),
        })),
      },
    });
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return error;
    throw error;
  }
}

/** One that the tenant may not use stands in for nobody. */
function orNone<T>(make: () => T): T[] {
  try {
    return [make()];
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return [];
    throw error;
  }
}

const NO_PARTS: Parts = { recognisers: [], models: [], voices: [] };

/** Simulated ones hear and speak tones, which no caller does. */
function realOf(parts: Parts | AppError): Parts {
  if (parts instanceof AppError) return NO_PARTS;
  const { recognisers, models, voices } = parts;
  const isReal = ({ provider }: Guarded<{ readonly provider: string }>): boolean =>
    provider.provider !== "simulated";
  return {
    recognisers: recognisers.filter(isReal),
    models: models.filter(isReal),
    voices: voices.filter(isReal),
  };
}

/** Each from the tenant's account where it has one; or what is missing, which callers are told. */
export function partsOf(
  config: Config,
  brought: Brought,
  model: ModelChoice,
  { clock, breakers, memory, whose = "house", isOwnOnly = false }: Wrapping,
  wishes: AgentWishes = NO_WISHES,
): Parts | AppError {
  const houseKeys = new Set(Object.values(config.providers).map(({ apiKey }) => apiKey));
  const { fallbacks } = config;
  const accounts = withBrought(config.providers, brought);
  type Asked = { readonly provider: string; readonly apiKey?: Secret | null };
  const isHouse = ({ apiKey }: Asked): boolean => apiKey === undefined || houseKeys.has(apiKey);

  /** The same with the tenant's key, where it has brought one. */
  const keyed = <C extends SttConfig | LlmConfig | TtsConfig>(other: C): C => {
    const account = accountOf(other.provider);
    return account === null ? other : { ...other, apiKey: accounts[account].apiKey };
  };
  /** Who stands in for `first`: with the tenant's own account where there is one, else as the house allows. */
  function inOrder<C extends SttConfig | LlmConfig | TtsConfig>(
    first: C,
    others: readonly C[],
  ): C[] {
    const mayBeHouse = fallbacks.coverTenants || (isHouse(first) && !isOwnOnly);
    const inTurn = [first, ...others.map(keyed).filter((other) => mayBeHouse || !isHouse(other))];
    return isOwnOnly ? inTurn.filter((it) => mayBeHouse || !isHouse(it)) : inTurn;
  }
  /** Whose account of which provider it is. */
  const named = (it: Asked): string => `${it.provider} ${isHouse(it) ? "house" : whose}`;
  /** Who shares a breaker: whoever asks the same provider with the same account. */
  function guard<C extends Asked, T>(
    configs: readonly C[],
    make: (config: C, clock: Clock) => T,
  ): Guarded<T>[] {
    return configs.map((it) => ({
      provider: make(it, clock),
      breaker: breakers.of(named(it)),
    }));
  }
  /** What it has said of fixed texts it says again by itself. */
  function rememberedTts(it: TtsConfig, clock: Clock): TextToSpeech {
    const how = it.provider === "simulated"
      ? []
      : [it.url, it.model, "voice" in it ? it.voice : ""];
    const name = JSON.stringify([named(it), ...how]);
    return remembered(newTts(it, clock), { memory, name });
  }
  const { stt: ears, llm = null, tts: mouth } = wishes.providers ?? {};
  try {
    const stt = ears ? sttConfig(ears, accounts) : sttOf(config, brought, accounts);
    const choice = { ...model, llm, own: wishes.model };
    const tts = mouth ? ttsConfig(mouth, accounts) : ttsOf(config, brought, accounts);
    const recognisers = guard(inOrder(stt, fallbacks.stt), newStt);
    const others = fallbacks.llm.filter((it) =>
      it.provider === "simulated" || (choice.allowed?.includes(it.model) ?? true)
    );
    const first = llmOf(config, brought, accounts, choice);
    const models = guard(inOrder(first, others), newLlm);
    const voices = guard(inOrder(tts, fallbacks.tts), rememberedTts);
    return { recognisers, models, voices };
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return error;
    throw error;
  }
}

function sttOf({ stt }: Config, { deepgram }: Brought, accounts: ProviderAccounts): SttConfig {
  if (deepgram === undefined) return stt;
  if (stt.provider === "simulated") return sttConfig("deepgram", accounts);
  return { ...stt, apiKey: accounts.deepgram.apiKey };
}

/** Throws AppError("not_configured") for a provider whose models the tenant may not use. */
function llmOf(
  { llm: house }: Config,
  brought: Brought,
  accounts: ProviderAccounts,
  choice: ModelChoice & { readonly llm: LlmProvider | null; readonly own: string | null },
): LlmConfig {
  const { llm, own, wanted, allowed } = choice;
  if (llm !== null) {
    // The tenant's choice is of another provider's models.
    const named = llmConfig(llm, accounts);
    if (named.provider === "simulated") return named;
    const model = own ?? named.model;
    if (allowed === null || allowed.includes(model)) return { ...named, model };
    throw new AppError("not_configured", `The company may not use the model "${model}"`, {
      field: "model",
    });
  }
  const account = accountOf(house.provider);
  const name = account !== null && brought[account] !== undefined
    ? house.provider
    : brought.openai !== undefined
    ? "openai"
    : brought.anthropic !== undefined
    ? "anthropic"
    : null;
  const chosen = name === null ? house : llmConfig(name, accounts);
  if (chosen.provider === "simulated") return chosen;
  return { ...chosen, model: modelOf(chosen.model, { wanted: own ?? wanted, allowed }) };
}

/** The tenant's, else the house's; where operators allow neither, the first that they do. */
function modelOf(house: string, { wanted, allowed }: ModelChoice): string {
  if (allowed === null) return wanted ?? house;
  if (wanted !== null && allowed.includes(wanted)) return wanted;
  return allowed.includes(house) ? house : allowed[0] ?? house;
}

/**
 * An account speaks too, where it is the house's kind of voice, or where the house has no other and it is
 * Deepgram's: a voice is chosen, not fallen upon.
 */
function ttsOf({ tts }: Config, brought: Brought, accounts: ProviderAccounts): TtsConfig {
  if (brought.elevenlabs !== undefined) return ttsConfig("elevenlabs", accounts);
  const account = accountOf(tts.provider);
  if (account !== null && brought[account] !== undefined) return ttsConfig(tts.provider, accounts);
  const isFree = tts.provider === "simulated" && brought.deepgram !== undefined;
  return isFree ? ttsConfig("aura", accounts) : tts;
}
