/** The settings of one process: the only reader of its environment. `.env.example` says what each is for. */

import { z } from "zod";
import { AppError } from "./errors.ts";
import type { Level } from "./log.ts";
import {
  accountOf,
  KEY_SETTINGS,
  LLM_PROVIDERS,
  type LlmConfig,
  llmConfig,
  type LlmProvider,
  type ProviderAccounts,
  STT_PROVIDERS,
  type SttConfig,
  sttConfig,
  type SttProvider,
  TTS_PROVIDERS,
  type TtsConfig,
  ttsConfig,
  type TtsProvider,
} from "./provider_choice.ts";
import { Secret } from "./secret.ts";

/** Everything an operator can set. Nothing else reads the environment, and printing it shows no secret. */
export interface Config {
  /** The listener that carriers and users reach. Port 0: any free one. */
  readonly listen: Address;
  /** The listener of operators; with a null token, one is made at the start. */
  readonly operator: Address & { readonly token: Secret | null };
  /** What the carrier reaches us at, with no slash at its end; null: localhost and the port listened on. */
  readonly publicUrl: string | null;
  /** This machine among others, as Fly calls it; elsewhere null: it goes by its address (`machineOf`). */
  readonly nodeId: string | null;
  /** Where it stands, and the host at which other machines reach it. */
  readonly region: string;
  readonly privateHost: string;
  readonly database:
    | { readonly type: "embedded"; readonly dataDir: string }
    | { readonly type: "postgres"; readonly url: Secret };
  readonly twilio: {
    readonly apiUrl: string;
    readonly accountSid: string | null;
    readonly authToken: Secret | null;
  };
  /** The house's LiveKit project; a null key: there is none. */
  readonly livekit: {
    readonly url: string | null;
    readonly apiKey: string | null;
    readonly apiSecret: Secret | null;
    readonly sip: SipGate | null;
  };
  /** The process that joins LiveKit's rooms: where it is, what it is shown, and where it listens itself. */
  readonly rooms: {
    readonly url: string | null;
    readonly token: Secret | null;
    readonly hostname: string;
    readonly port: number;
  };
  /** What calls are held with. A null key: the provider was chosen, and answers `not_configured`. */
  readonly stt: SttConfig;
  readonly llm: LlmConfig;
  readonly tts: TtsConfig;
  /** Whom to ask, in this order, where those fail. */
  readonly fallbacks: {
    readonly stt: readonly SttConfig[];
    readonly llm: readonly LlmConfig[];
    readonly tts: readonly TtsConfig[];
    /** Whether the house's accounts stand in for a tenant's own: what is said then goes to them, and is theirs to pay. */
    readonly coverTenants: boolean;
  };
  /** All there are, for agents and tenants that name others. */
  readonly providers: ProviderAccounts;
  /** Live calls this machine holds at most. */
  readonly maxCalls: number;
  /** Of each hundred of them, those that only callers may take. */
  readonly inboundPercent: number;
  /** Lag of the event loop from which work is shed; 0: never. */
  readonly shedLagMs: number;
  /** The process ends itself when its event loop stands still for so long; 0: never. */
  readonly stuckMs: number;
  /** What the process may hold before work is shed; null: not looked at. */
  readonly memoryMaxBytes: number | null;
  /** Who may call the API from a browser, and under which names it answers. */
  readonly edge: EdgeConfig;
  /** What passwords, tokens, keys and secrets are kept with. Null: those features are not configured. */
  readonly auth: {
    /** By name; the first one seals, all of them open. */
    readonly keyEncryptionKeys: readonly KeyEncryptionKey[] | null;
    /** Under the hashes of keys and tokens. */
    readonly pepper: Secret | null;
    readonly signup: "open" | "invited";
  };
  /** With a null URL, mail is written to the folder. */
  readonly mail: {
    readonly from: string;
    readonly smtpUrl: Secret | null;
    readonly dir: string;
  };
  /** Where recordings of calls are kept. */
  readonly storage: StorageConfig;
  /** Upstash Redis over REST, for limits; null: in memory. */
  readonly redis: { readonly url: string; readonly token: Secret } | null;
  /** `host:port` that tenants' URLs may reach although they are private. */
  readonly outboundAllow: readonly string[];
  /** How many machines share the limits when Redis is away. */
  readonly machines: number;
  readonly log: { readonly level: Level; readonly pii: boolean };
}

/** A bucket where one is set, else the folder. */
export interface StorageConfig {
  readonly dir: string;
  readonly s3: {
    readonly endpoint: string;
    readonly bucket: string;
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: Secret;
  } | null;
}

/** Where a carrier phones a LiveKit project, and what it shows there. */
export interface SipGate {
  /** `project.sip.livekit.cloud`, with `;transport=tls` where it is wanted. */
  readonly host: string;
  /** Null: the carrier is known by its addresses. */
  readonly login: { readonly username: string; readonly password: Secret } | null;
}

export interface EdgeConfig {
  /** `https://app.example.com` */
  readonly origins: readonly string[];
  /** Without ports. */
  readonly hosts: readonly string[];
  /** True on Fly, whose proxy brings requests to the machine that they are for. */
  readonly trustsFly: boolean;
  /** In which the proxy before us says who the client is, in lower case; null: there is none, and the socket says it. */
  readonly clientHeader: string | null;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface KeyEncryptionKey {
  readonly name: string;
  /** Base64 of 32 bytes. */
  readonly key: Secret;
}

const port = z.string()
  .refine((text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535, {
    error: "must be a whole number from 0 to 65535",
  })
  .transform(Number);

/** An address without a query, and with no slash at its end, so that paths can be appended. */
function address(...schemes: readonly string[]) {
  return z.string()
    .refine((text) => isAddress(text, schemes), {
      error: `must be a URL with ${schemes.join(" or ")} and no query`,
    })
    .transform((text) => text.replace(/\/+$/, ""));
}

function isAddress(text: string, schemes: readonly string[]): boolean {
  const url = URL.parse(text);
  return url !== null && schemes.includes(url.protocol) && !/[?#]/.test(text);
}

function isOrigin(text: string): boolean {
  return isAddress(text, ["http:", "https:"]) && URL.parse(text)?.origin === text;
}

/** Names between commas, in their order. */
function listOf<const T extends readonly string[]>(...values: T) {
  const one = z.enum(values, {
    error: `must be of ${values.join(", ")}, with commas between them`,
  });
  return text.transform((list) => list.split(",").map((it) => it.trim()).filter((it) => it !== ""))
    .pipe(z.array(one).max(FALLBACKS_MAX)).default([]);
}

function oneOf<const T extends readonly string[]>(...values: T) {
  return z.enum(values, { error: `must be one of ${values.join(", ")}` });
}

/** Providers of one kind that are asked one after the other. */
const FALLBACKS_MAX = 3;

const text = z.string();
const secret = text.transform((value) => new Secret(value));

/** Names between commas; empty ones are dropped. */
const list = text.transform((value) => value.split(",").map((part) => part.trim()).filter(Boolean));

const wholeNumber = text.refine((value) => /^[1-9]\d{0,5}$/.test(value), {
  error: "must be a whole number from 1 to 999999",
}).transform(Number);

function numberUpTo(max: number) {
  return text.refine((value) => /^\d{1,5}$/.test(value) && Number(value) <= max, {
    error: `must be a whole number from 0 to ${max}`,
  }).transform(Number);
}

const KEK = /^([\w-]{1,32}):([A-Za-z0-9+/]{43}=)$/;
const keyEncryptionKeys = list
  .refine((keys) => keys.length > 0 && keys.every((key) => KEK.test(key)), {
    error: "must be NAME:KEY,… with keys of 32 bytes in base64",
  })
  .transform((keys) =>
    keys.map((text): KeyEncryptionKey => {
      const [, name = "", key = ""] = KEK.exec(text) ?? [];
      return { name, key: new Secret(key) };
    })
  )
  .refine((keys) => new Set(keys.map(({ name }) => name)).size === keys.length, {
    error: "must have different names",
  });

/** A host, perhaps a port, and parameters of a SIP URI. */
export const SIP_HOST = /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:\d{1,5})?(;[a-z]+=[A-Za-z0-9.-]+)*$/;
const SIP_HOST_WANTED = "must be a host, as project.sip.livekit.cloud;transport=tls";

/** Name and region of a machine that Fly has given none. */
const FLY_CLIENT = "fly-client-ip"; // which its proxy lets nobody else set
const HERE = "local";

/** Every setting by its name; what it is for stands in `.env.example`. */
const Settings = z.object({
  HOST: text.default("127.0.0.1"),
  PORT: port.default(8000),
  PUBLIC_URL: address("http:", "https:").optional(),
  OPERATOR_HOST: text.default("127.0.0.1"),
  OPERATOR_PORT: port.default(9000),
  OPERATOR_TOKEN: text.min(16, { error: "must have at least 16 characters" })
    .transform((value) => new Secret(value)).optional(),

  DATABASE_URL: text.refine((value) => /^postgres(ql)?:$/.test(URL.parse(value)?.protocol ?? ""), {
    error: "must be a URL with postgres: or postgresql:",
  }).transform((value) => new Secret(value)).optional(),
  DATA_DIR: text.default(".ringmaster"),

  TWILIO_API_URL: address("http:", "https:").default("https://api.twilio.com"),
  TWILIO_ACCOUNT_SID: text.optional(),
  TWILIO_AUTH_TOKEN: secret.optional(),

  LIVEKIT_URL: address("ws:", "wss:", "http:", "https:").optional(),
  LIVEKIT_API_KEY: text.optional(),
  LIVEKIT_API_SECRET: secret.optional(),
  LIVEKIT_SIP_HOST: text.regex(SIP_HOST, { error: SIP_HOST_WANTED }).optional(),
  LIVEKIT_SIP_USERNAME: text.optional(),
  LIVEKIT_SIP_PASSWORD: secret.optional(),

  ROOMS_URL: address("ws:", "wss:", "http:", "https:").optional(),
  ROOMS_TOKEN: text.min(16, { error: "must have at least 16 characters" })
    .transform((value) => new Secret(value)).optional(),
  ROOMS_HOST: text.default("127.0.0.1"),
  ROOMS_PORT: port.default(8100),

  STT_PROVIDER: oneOf(...STT_PROVIDERS).optional(),
  STT_FALLBACK: listOf(...STT_PROVIDERS),
  HOUSE_FALLBACK: oneOf("true", "false").default("false"),
  DEEPGRAM_URL: address("http:", "https:").default("https://api.deepgram.com"),
  DEEPGRAM_API_KEY: secret.optional(),
  DEEPGRAM_MODEL: oneOf("nova-3", "flux-general-en", "flux-general-multi").default("nova-3"),
  DEEPGRAM_VOICE: text.default("aura-2-thalia-en"),

  LLM_PROVIDER: oneOf(...LLM_PROVIDERS).optional(),
  LLM_FALLBACK: listOf(...LLM_PROVIDERS),
  OPENAI_BASE_URL: address("http:", "https:").default("https://api.openai.com/v1"),
  OPENAI_API_KEY: secret.optional(),
  OPENAI_MODEL: text.default("gpt-4.1-mini"),
  OPENAI_SPEECH_MODEL: text.default("gpt-4o-mini-tts"),
  OPENAI_VOICE: text.default("alloy"),
  OPENAI_REALTIME_MODEL: text.default("gpt-realtime-1.5"),
  OPENAI_REALTIME_VOICE: text.default("marin"),
  OPENAI_TRANSCRIPTION_MODEL: text.default("gpt-transcribe"),
  ANTHROPIC_URL: address("http:", "https:").default("https://api.anthropic.com"),
  ANTHROPIC_API_KEY: secret.optional(),
  ANTHROPIC_MODEL: text.default("claude-haiku-4-5"),

  TTS_PROVIDER: oneOf(...TTS_PROVIDERS).optional(),
  TTS_FALLBACK: listOf(...TTS_PROVIDERS),
  ELEVENLABS_URL: address("http:", "https:").default("https://api.elevenlabs.io"),
  ELEVENLABS_API_KEY: secret.optional(),
  ELEVENLABS_MODEL: text.default("eleven_flash_v2_5"),
  ELEVENLABS_VOICE: text.default("21m00Tcm4TlvDq8ikWAM"),

  ALLOWED_ORIGINS: list.refine((origins) => origins.every(isOrigin), {
    error: "must be origins, as https://app.example.com",
  }).default([]),
  ALLOWED_HOSTS: list.default([]),
  KEY_ENCRYPTION_KEYS: keyEncryptionKeys.optional(),
  TOKEN_PEPPER: text.min(32, { error: "must have at least 32 characters" })
    .transform((value) => new Secret(value)).optional(),
  SIGNUP: oneOf("open", "invited").default("open"),
  MAIL_FROM: text.default("Ringmaster <no-reply@localhost>"),
  SMTP_URL: text.refine((value) => /^smtps?:$/.test(URL.parse(value)?.protocol ?? ""), {
    error: "must be a URL with smtp: or smtps:",
  }).transform((value) => new Secret(value)).optional(),
  S3_ENDPOINT: address("http:", "https:").default("https://s3.amazonaws.com"),
  S3_REGION: text.regex(/^[a-z0-9-]{1,32}$/, { error: "must be a region, as eu-central-1" })
    .default("us-east-1"),
  S3_BUCKET: text.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
    error: "must be the name of a bucket",
  }).optional(),
  S3_ACCESS_KEY_ID: text.optional(),
  S3_SECRET_ACCESS_KEY: secret.optional(),
  UPSTASH_REDIS_REST_URL: address("http:", "https:").optional(),
  UPSTASH_REDIS_REST_TOKEN: secret.optional(),
  OUTBOUND_ALLOW: list.refine(
    (hosts) => hosts.every((host) => /^[\w.:[\]-]+:\d{1,5}$/.test(host)),
    {
      error: "must be HOST:PORT,…",
    },
  ).default([]),
  MACHINES: wholeNumber.default(1),
  CLIENT_IP_HEADER: text.regex(/^[A-Za-z0-9-]{1,64}$/, { error: "must be the name of a header" })
    .transform((name) => name.toLowerCase()).optional(),

  MAX_CALLS: wholeNumber.default(300),
  INBOUND_PERCENT: numberUpTo(100).default(10),
  SHED_LAG_MS: numberUpTo(10_000).default(50),
  MEMORY_MAX_MB: wholeNumber.optional(),
  STUCK_MS: numberUpTo(99_999).default(5_000),
  LOG_LEVEL: oneOf("debug", "info", "warn", "error").default("info"),
  LOG_PII: oneOf("true", "false").default("false"),

  FLY_MACHINE_ID: text.default(HERE),
  FLY_REGION: text.default(HERE),
  FLY_PRIVATE_IP: text.optional(),
});

type Settings = z.output<typeof Settings>;

/** The name of every setting there is: what `--allow-env` must list. */
export const SETTINGS: readonly string[] = Object.keys(Settings.shape);

/** The settings as this process was given them, read by name so that `--allow-env=NAME,…` suffices. */
export function environment(
  names: readonly string[] = SETTINGS,
): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, Deno.env.get(name)]));
}

/** Throws AppError("invalid") naming each wrong setting, never its value. An empty value is no value. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = SETTINGS.map((name) => [name, env[name] || undefined] as const);
  const parsed = Settings.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw new AppError("invalid", `Cannot read the settings: ${wrong.join("; ")}`, {
      field: parsed.error.issues[0]?.path.join(".") ?? "",
    });
  }
  return toConfig(parsed.data);
}

/** How other machines know this one, which listens on `port`. Its name has nothing that a path could not hold. */
export function machineOf(
  { nodeId, privateHost }: Pick<Config, "nodeId" | "privateHost">,
  port: number,
): { readonly nodeId: string; readonly address: string } {
  const address = `${privateHost.includes(":") ? `[${privateHost}]` : privateHost}:${port}`;
  return { nodeId: nodeId ?? address.replaceAll(/[^\w.]+/g, "-"), address };
}

function toConfig(set: Settings): Config {
  return {
    listen: { host: set.HOST, port: set.PORT },
    operator: {
      host: set.OPERATOR_HOST,
      port: set.OPERATOR_PORT,
      token: set.OPERATOR_TOKEN ?? null,
    },
    publicUrl: set.PUBLIC_URL ?? null,
    nodeId: set.FLY_MACHINE_ID === HERE ? null : set.FLY_MACHINE_ID,
    region: set.FLY_REGION,
    privateHost: set.FLY_PRIVATE_IP ?? set.HOST,
    database: set.DATABASE_URL
      ? { type: "postgres", url: set.DATABASE_URL }
      : { type: "embedded", dataDir: set.DATA_DIR },
    twilio: {
      apiUrl: set.TWILIO_API_URL,
      accountSid: set.TWILIO_ACCOUNT_SID ?? null,
      authToken: set.TWILIO_AUTH_TOKEN ?? null,
    },
    livekit: {
      url: set.LIVEKIT_URL ?? null,
      apiKey: set.LIVEKIT_API_KEY ?? null,
      apiSecret: set.LIVEKIT_API_SECRET ?? null,
      sip: toSipGate(set),
    },
    rooms: {
      url: set.ROOMS_URL ?? null,
      token: set.ROOMS_TOKEN ?? null,
      hostname: set.ROOMS_HOST,
      port: set.ROOMS_PORT,
    },
    ...toProviders(set),
    maxCalls: set.MAX_CALLS,
    inboundPercent: set.INBOUND_PERCENT,
    shedLagMs: set.SHED_LAG_MS,
    stuckMs: set.STUCK_MS,
    memoryMaxBytes: set.MEMORY_MAX_MB === undefined ? null : set.MEMORY_MAX_MB * 1024 * 1024,
    edge: {
      origins: set.ALLOWED_ORIGINS,
      hosts: set.ALLOWED_HOSTS.map((host) => host.toLowerCase()),
      trustsFly: set.FLY_MACHINE_ID !== HERE,
      clientHeader: set.FLY_MACHINE_ID === HERE ? set.CLIENT_IP_HEADER ?? null : FLY_CLIENT,
    },
    auth: {
      keyEncryptionKeys: set.KEY_ENCRYPTION_KEYS ?? null,
      pepper: set.TOKEN_PEPPER ?? null,
      signup: set.SIGNUP,
    },
    mail: { from: set.MAIL_FROM, smtpUrl: set.SMTP_URL ?? null, dir: `${set.DATA_DIR}/mail` },
    storage: { dir: set.DATA_DIR, s3: toBucket(set) },
    redis: toRedis(set),
    outboundAllow: set.OUTBOUND_ALLOW,
    machines: set.MACHINES,
    log: { level: set.LOG_LEVEL, pii: set.LOG_PII === "true" },
  };
}

function toSipGate(set: Settings): SipGate | null {
  const { LIVEKIT_SIP_HOST: host, LIVEKIT_SIP_USERNAME: username, LIVEKIT_SIP_PASSWORD: password } =
    set;
  if (host === undefined) return null;
  if (username === undefined || password === undefined) return { host, login: null };
  return { host, login: { username, password } };
}

/** A bucket without its keys would be noticed by a recording that failed. */
function toBucket(set: Settings): StorageConfig["s3"] {
  const { S3_ENDPOINT: endpoint, S3_REGION: region, S3_BUCKET: bucket } = set;
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = set;
  if (bucket === undefined) return null;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { endpoint, region, bucket, accessKeyId, secretAccessKey };
  }
  const field = accessKeyId === undefined ? "S3_ACCESS_KEY_ID" : "S3_SECRET_ACCESS_KEY";
  throw new AppError("invalid", `Cannot read the settings: ${field} is missing`, { field });
}

/** Half of it is a mistake that would be noticed only under load. */
function toRedis(set: Settings): Config["redis"] {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = set;
  if (url === undefined && token === undefined) return null;
  if (url !== undefined && token !== undefined) return { url, token };
  const field = url === undefined ? "UPSTASH_REDIS_REST_URL" : "UPSTASH_REDIS_REST_TOKEN";
  throw new AppError("invalid", `Cannot read the settings: ${field} is missing`, { field });
}

function toAccounts(set: Settings): ProviderAccounts {
  return {
    deepgram: {
      url: set.DEEPGRAM_URL,
      apiKey: set.DEEPGRAM_API_KEY ?? null,
      model: set.DEEPGRAM_MODEL,
      voice: set.DEEPGRAM_VOICE,
    },
    openai: {
      url: set.OPENAI_BASE_URL,
      apiKey: set.OPENAI_API_KEY ?? null,
      model: set.OPENAI_MODEL,
      speechModel: set.OPENAI_SPEECH_MODEL,
      voice: set.OPENAI_VOICE,
      realtimeModel: set.OPENAI_REALTIME_MODEL,
      realtimeVoice: set.OPENAI_REALTIME_VOICE,
      transcriptionModel: set.OPENAI_TRANSCRIPTION_MODEL,
    },
    anthropic: {
      url: set.ANTHROPIC_URL,
      apiKey: set.ANTHROPIC_API_KEY ?? null,
      model: set.ANTHROPIC_MODEL,
    },
    elevenlabs: {
      url: set.ELEVENLABS_URL,
      apiKey: set.ELEVENLABS_API_KEY ?? null,
      model: set.ELEVENLABS_MODEL,
      voice: set.ELEVENLABS_VOICE,
    },
  };
}

/** A fallback that could not be asked would be found out when it is needed. */
function named<T extends SttConfig | LlmConfig | TtsConfig>(
  field: string,
  name: SttProvider | LlmProvider | TtsProvider,
  config: T,
): T {
  if (config.provider === "simulated" || config.apiKey !== null) return config;
  const account = accountOf(name);
  const key = account === null ? "" : KEY_SETTINGS[account];
  throw new AppError("invalid", `${field} names "${name}", and ${key} is not set`, { field });
}

/** Each the one that was named, else one whose key is there, else the simulated one. */
function toProviders(
  set: Settings,
): Pick<Config, "stt" | "llm" | "tts" | "providers" | "fallbacks"> {
  const providers = toAccounts(set);
  const { deepgram, openai, anthropic, elevenlabs } = providers;
  const has = ({ apiKey }: { readonly apiKey: Secret | null }): boolean => apiKey !== null;
  const stt = set.STT_PROVIDER ?? (has(deepgram) ? "deepgram" : "simulated");
  const llm = set.LLM_PROVIDER ??
    (has(openai) ? "openai" : has(anthropic) ? "anthropic" : "simulated");
  const tts = set.TTS_PROVIDER ??
    (has(elevenlabs) ? "elevenlabs" : has(deepgram) ? "aura" : "simulated");
  return {
    stt: sttConfig(stt, providers),
    llm: llmConfig(llm, providers),
    tts: ttsConfig(tts, providers),
    fallbacks: {
      stt: set.STT_FALLBACK.map((it) => named("STT_FALLBACK", it, sttConfig(it, providers))),
      llm: set.LLM_FALLBACK.map((it) => named("LLM_FALLBACK", it, llmConfig(it, providers))),
      tts: set.TTS_FALLBACK.map((it) => named("TTS_FALLBACK", it, ttsConfig(it, providers))),
      coverTenants: set.HOUSE_FALLBACK === "true",
    },
    providers,
  };
}
