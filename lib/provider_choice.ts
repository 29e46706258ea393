/** Which providers there are, by the names that settings and agents give them, and whose account each goes by. */

import type { CredentialProvider, CredentialValues } from "./credentials.ts";
import { Secret } from "./secret.ts";

export const STT_PROVIDERS = [
  ...["simulated", "deepgram"] as const, // the model of the settings
  ...["deepgram_nova", "deepgram_flux"] as const,
] as const;
export const LLM_PROVIDERS = ["simulated", "openai", "openai_responses", "anthropic"] as const;
export const TTS_PROVIDERS = ["simulated", "elevenlabs", "aura", "openai"] as const;
/** Those whose one model hears, answers and speaks. */
export const REALTIME_PROVIDERS = ["simulated", "openai_realtime"] as const;

export type SttProvider = typeof STT_PROVIDERS[number];
export type LlmProvider = typeof LLM_PROVIDERS[number];
export type TtsProvider = typeof TTS_PROVIDERS[number];
export type RealtimeProvider = typeof REALTIME_PROVIDERS[number];

/** The providers that an agent names; null: whoever its tenant's calls are held with. */
export interface ProviderWishes {
  readonly stt: SttProvider | null;
  readonly llm: LlmProvider | null;
  readonly tts: TtsProvider | null;
}

/** Where a provider is, and the account it is asked with. A null key: there is none. */
interface Account {
  readonly url: string;
  readonly apiKey: Secret | null;
}

/** The house's accounts, and what each is asked for. */
export interface ProviderAccounts {
  readonly deepgram: Account & { readonly model: string; readonly voice: string };
  readonly openai: Account & {
    readonly model: string;
    readonly voice: string;
    readonly speechModel: string;
    readonly realtimeModel: string;
    readonly realtimeVoice: string;
    /** Of what callers say to it. */
    readonly transcriptionModel: string;
  };
  readonly anthropic: Account & { readonly model: string };
  readonly elevenlabs: Account & { readonly model: string; readonly voice: string };
}

interface Simulated {
  readonly provider: "simulated";
}

interface Chosen<P extends string> extends Account {
  readonly provider: P;
  readonly model: string;
}

export type SttConfig = Simulated | Chosen<"deepgram">;
export type LlmConfig = Simulated | Chosen<"openai" | "openai_responses" | "anthropic">;
/** Deepgram Aura's models are its voices. */
export type TtsConfig =
  | Simulated
  | Chosen<"aura">
  | Chosen<"elevenlabs" | "openai"> & { readonly voice: string };

export type RealtimeConfig =
  | Simulated
  | Chosen<"openai_realtime"> & { readonly voice: string; readonly transcriptionModel: string };

const MODELS = { deepgram_nova: "nova-3", deepgram_flux: "flux-general-en" } as const;

export function sttConfig(name: SttProvider, { deepgram }: ProviderAccounts): SttConfig {
  if (name === "simulated") return { provider: name };
  const { url, apiKey } = deepgram;
  const model = name === "deepgram" ? deepgram.model : MODELS[name];
  return { provider: "deepgram", url, apiKey, model };
}

export function llmConfig(name: LlmProvider, accounts: ProviderAccounts): LlmConfig {
  if (name === "simulated") return { provider: name };
  const { url, apiKey, model } = name === "anthropic" ? accounts.anthropic : accounts.openai;
  return { provider: name, url, apiKey, model };
}

export function ttsConfig(name: TtsProvider, accounts: ProviderAccounts): TtsConfig {
  switch (name) {
    case "simulated":
      return { provider: name };
    case "aura": {
      const { url, apiKey, voice: model } = accounts.deepgram;
      return { provider: name, url, apiKey, model };
    }
    case "elevenlabs": {
      const { url, apiKey, model, voice } = accounts.elevenlabs;
      return { provider: name, url, apiKey, model, voice };
    }
    case "openai": {
      const { url, apiKey, speechModel: model, voice } = accounts.openai;
      return { provider: name, url, apiKey, model, voice };
    }
  }
}

/** What an agent asks of one model that does it all; null: the house's. */
export interface RealtimeWish {
  readonly provider: RealtimeProvider;
  readonly model: string | null;
  readonly voice: string | null;
}

export function realtimeConfig(
  { provider, model, voice }: RealtimeWish,
  { openai: { url, apiKey, transcriptionModel, ...own } }: ProviderAccounts,
): RealtimeConfig {
  if (provider === "simulated") return { provider };
  return {
    ...{ provider, url, apiKey, transcriptionModel },
    model: model ?? own.realtimeModel,
    voice: voice ?? own.realtimeVoice,
  };
}

/** Whose credential a provider goes by; null: it needs none. */
export function accountOf(
  name: SttProvider | LlmProvider | TtsProvider | RealtimeProvider,
): SpeechCredential | null {
  switch (name) {
    case "simulated":
      return null;
    case "deepgram":
    case "deepgram_nova":
    case "deepgram_flux":
    case "aura":
      return "deepgram";
    case "openai":
    case "openai_responses":
    case "openai_realtime":
      return "openai";
    case "anthropic":
    case "elevenlabs":
      return name;
  }
}

/** Accounts that calls are held with: they all have one key. */
type SpeechCredential = Exclude<CredentialProvider, "twilio" | "livekit">;

/** The setting that the house's key of an account comes from. */
export const KEY_SETTINGS = {
  deepgram: "DEEPGRAM_API_KEY",
  openai: "OPENAI_API_KEY",
  anthropic: "ANTHROPIC_API_KEY",
  elevenlabs: "ELEVENLABS_API_KEY",
} as const satisfies Record<SpeechCredential, string>;

/** A tenant's own accounts, by provider. */
export type Brought = Partial<Record<CredentialProvider, CredentialValues>>;

/** The house's accounts, with the tenant's own in place of those it has brought. */
export function withBrought(house: ProviderAccounts, brought: Brought): ProviderAccounts {
  const own = <A extends Account>(account: A, values: CredentialValues | undefined): A =>
    values === undefined ? account : { ...account, apiKey: new Secret(values["apiKey"] ?? "") };
  const voice = brought.elevenlabs?.["voice"] ?? house.elevenlabs.voice;
  return {
    deepgram: own(house.deepgram, brought.deepgram),
    openai: own(house.openai, brought.openai),
    anthropic: own(house.anthropic, brought.anthropic),
    elevenlabs: { ...own(house.elevenlabs, brought.elevenlabs), voice },
  };
}

/** A wish that cannot be met. */
export interface LackingWish {
  /** Where the agent names it, as `providers.stt`. */
  readonly path: string;
  readonly provider: string;
  /** The credential, or the house's setting, that it waits for. */
  readonly credential: CredentialProvider;
  readonly setting: string;
}

/** What an agent names and nobody has an account of. */
export function lacking(
  { providers, speech }: {
    readonly providers: ProviderWishes | null;
    readonly speech: RealtimeWish | null;
  },
  house: ProviderAccounts,
  brought: ReadonlySet<CredentialProvider>,
): LackingWish[] {
  const { stt = null, llm = null, tts = null } = providers ?? {};
  const named = [
    ...[["providers.stt", stt], ["providers.llm", llm], ["providers.tts", tts]] as const,
    ["speech.provider", speech?.provider ?? null] as const,
  ];
  return named.flatMap(([path, provider]) => {
    const credential = provider === null ? null : accountOf(provider);
    if (provider === null || credential === null) return [];
    if (brought.has(credential) || house[credential].apiKey !== null) return [];
    return [{ path, provider, credential, setting: KEY_SETTINGS[credential] }];
  });
}
