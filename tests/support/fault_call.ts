/** One call over ill providers: real actors, adapters and sockets, and what its caller heard of it. */

import { isAudible } from "@/lib/audio/energy.ts";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import { FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import type { Clock } from "@/lib/clock.ts";
import { type Breakers, newBreakers } from "@/lib/providers/failover/breaker.ts";
import type { Guarded } from "@/lib/providers/failover/guarded.ts";
import { failoverModel, FIRST_TOKEN_MS } from "@/lib/providers/failover/model.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { failoverVoice, FIRST_BYTE_MS } from "@/lib/providers/failover/voice.ts";
import { anthropic } from "@/lib/providers/llm/anthropic.ts";
import type { LanguageModel, Prompt } from "@/lib/providers/llm/llm.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import { deepgramNova } from "@/lib/providers/stt/deepgram_nova.ts";
import { REPLY_TIMEOUT_MS } from "@/lib/providers/stt/deepgram_session.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { aura } from "@/lib/providers/tts/aura.ts";
import { elevenlabs } from "@/lib/providers/tts/elevenlabs.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { startAnthropic } from "./anthropic.ts";
import { type CallKit, callKit } from "./call_kit.ts";
import { startDeepgram } from "./deepgram.ts";
import { liveKit } from "./live_kit.ts";
import { startOpenAI } from "./openai.ts";
import { startElevenLabs } from "./elevenlabs.ts";
import { startToxic, type Toxic } from "./toxic.ts";
import type { MediaStream } from "./twilio_media.ts";

export type FaultPart = "stt" | "llm" | "tts";
export const FAULT_PARTS: readonly FaultPart[] = ["stt", "llm", "tts"];

/** What is ill for a call; null: nothing. */
export interface Illness {
  readonly part: FaultPart;
  readonly toxic: Toxic;
}

/** How a call under faults went. */
export interface FaultedCall {
  /** It was answered to the end, and hung up by its caller. */
  readonly isLost: boolean;
  /** What ended it was the apology, in the agent's voice or the carrier's. */
  readonly isExcused: boolean;
  /** How long the process itself was kept from running at a time: past LAG_MAX_MS the call shows nothing. */
  readonly lagMs: number;
  /** The longest silence while the agent owed a word, without what the process was kept from running. */
  readonly deadAirMs: number;
  /** Of each answer: from the end of the caller's line to the agent's first sound. */
  readonly waitsMs: readonly number[];
  /** Of the worst of them, past the moment at which the fault had to be known. */
  readonly fallbackMs: number;
  /** Failures of the ill provider before it was left alone; null: it never was. */
  readonly failuresToOpen: number | null;
  /** Timers and sockets that were left. */
  readonly leaked: number;
  /** What failed in the call's own words, for whoever reads a failed test. */
  readonly notes: readonly string[];
}

export interface FaultHouse {
  /** `hasFallback`: of each part there is a second provider, which works. */
  call(illness: Illness | null, hasFallback?: boolean): Promise<FaultedCall>;
  close(): Promise<void>;
}

const KEY = "key";
const GREETING = "Hello there.";
const LINES = ["I have toothache.", "Thank you."];
const PATIENCE_MS = 25_000;
const ANSWER_AFTER_MS = 500;
const POLL_MS = 20;
export const LAG_MAX_MS = 100;
/** A poll that is later than this was kept waiting by others on the machine. */
const POLL_LATE_MS = 10;
/** From the end of a line to the request of its answer, and from there to its first words, when all is well. */
const ENDPOINT_MS = 400;
const FIRST_WORDS_MS = 300;
/** When a fault must have been known, from the end of the caller's line. */
const KNOWN_MS: Readonly<Record<FaultPart, number>> = {
  stt: REPLY_TIMEOUT_MS,
  llm: ENDPOINT_MS + FIRST_TOKEN_MS,
  tts: ENDPOINT_MS + FIRST_WORDS_MS + FIRST_BYTE_MS,
};
/** So many that one call cannot make, sent to the same provider after it. */
const MORE_REQUESTS = 8;
/** To the middle of a frame, of what each of them sends. */
const HEALTHY_BYTES: Readonly<Record<FaultPart, number>> = { stt: 1_100, llm: 900, tts: 3_000 };

const graph = parseGraph({
  ...demoAgent,
  nodes: demoAgent.nodes.map((node) =>
    node.type === "start" ? { ...node, greeting: GREETING } : node
  ),
});

const SORRY = graph.failureSentence;

/** Answers the n-th line with so many words that only a whole answer holds the last; goes on where one broke off. */
const brain: LanguageModel = {
  provider: "test",
  async *respond({ messages }: Prompt) {
    const nth = messages.filter(({ role }) => role === "caller").length;
    const whole = `Certainly, that is answer ${nth}.`;
    const last = messages.at(-1);
    const said = last?.role === "agent" ? last.text : "";
    const rest = whole.startsWith(said) ? whole.slice(said.length) : whole;
    for (const word of rest.split(/(?<= )/)) yield { type: "text", text: word };
    yield { type: "finished", reason: "stop" };
  },
};

export async function startFaultHouse(): Promise<FaultHouse> {
  const deepgram = await startDeepgram({ apiKey: KEY });
  const chat = await startOpenAI({ apiKey: KEY, brain });
  const messages = await startAnthropic({ apiKey: KEY, brain });
  const speech = await startElevenLabs({ apiKey: KEY });
  const servers = [deepgram, chat, messages, speech];
  const apiKey = new Secret(KEY);

  /** Each part's providers, the ill one first. */
  function providers(clock: Clock, urlOf: (part: FaultPart, url: string) => string) {
    const nova = (baseUrl: string): SpeechToText =>
      deepgramNova({ apiKey, clock, baseUrl, model: "nova-3" });
    const stt = [nova(urlOf("stt", deepgram.url)), nova(deepgram.url)];
    const llm: LanguageModel[] = [
      openai({ apiKey, clock, baseUrl: urlOf("llm", chat.url), model: "test" }),
      anthropic({ apiKey, clock, baseUrl: messages.url, model: "claude-test" }),
    ];
    const tts: TextToSpeech[] = [
      aura({ apiKey, clock, baseUrl: urlOf("tts", deepgram.url), voice: "aura-2-thalia-en" }),
      elevenlabs({ apiKey, clock, baseUrl: speech.url, model: "eleven_flash_v2_5", voice: "v" }),
    ];
    return { stt, llm, tts };
  }

  async function call(illness: Illness | null, hasFallback = true): Promise<FaultedCall> {
    const kit = liveKit();
    const { clock } = kit;
    const line = illness === null ? null : await startToxic({
      toxic: illness.toxic,
      to: illness.part === "llm" ? chat.url : deepgram.url,
      healthyBytes: HEALTHY_BYTES[illness.part],
      hugeAs: illness.part === "llm" ? "chunked" : "websocket",
    });
    const seen = watched(newBreakers(clock));
    const parts = providers(clock, (part, url) => part === illness?.part ? line?.url ?? url : url);
    const guard = <T>(part: FaultPart, all: readonly T[]): Guarded<T>[] =>
      all.slice(0, hasFallback ? 2 : 1)
        .map((provider, nth) => ({ provider, breaker: seen.breakers.of(`${part}${nth}`) }));
    const deps = {
      stt: failoverRecogniser({ clock, recognisers: guard("stt", parts.stt) }),
      llm: failoverModel({ clock, models: guard("llm", parts.llm) }),
      tts: failoverVoice({ clock, voices: guard("tts", parts.tts) }),
    };
    const whole = callKit({ kit, graph, deps });
    const stream = await whole.connect();
    const heard = await converse(whole, stream, clock);
    await whole.close();
    if (illness !== null && hasFallback) await askMore(illness.part, deps, clock);
    line?.wake();
    await settled(() => clock.armed === 0 && (line?.openCount ?? 0) === 0);
    const leaked = clock.armed + (line?.openCount ?? 0);
    await line?.close();
    const name = illness === null ? "" : `${illness.part}0`;
    const knownMs = illness === null ? 0 : KNOWN_MS[illness.part];
    return {
      ...heard,
      fallbackMs: Math.max(0, ...heard.waitsMs.map((ms) => ms - knownMs)),
      failuresToOpen: seen.failuresToOpen(name),
      leaked,
      notes: whole.events.flatMap((event) =>
        event.type === "failed" ? [`${event.part}: ${event.message}`] : []
      ),
    };
  }

  return {
    call,
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Plays a caller who waits for each answer to its end. */
async function converse(
  { events, resume }: CallKit,
  stream: MediaStream,
  clock: Clock & { advance(ms: number): Promise<void> },
): Promise<Pick<FaultedCall, "isLost" | "isExcused" | "lagMs" | "deadAirMs" | "waitsMs">> {
  const owed: { readonly from: number; until: number }[] = [];
  const stalls: Stretch[] = [];
  const lostMs = (from: number, until: number): number =>
    stalls.filter((stall) => stall.from < until && stall.until > from)
      .reduce((sum, stall) => sum + stall.until - stall.from, 0);
  async function poll(): Promise<void> {
    const due = clock.now() + POLL_MS;
    await clock.advance(POLL_MS);
    if (clock.now() - due > POLL_LATE_MS) stalls.push({ from: due, until: clock.now() });
  }
  const said = (text: string): boolean =>
    events.some((event) => event.type === "agent_said" && event.text.includes(text));

  /** Until the agent has said this, or the caller has lost patience. */
  async function await_(text: string, from: number): Promise<boolean> {
    const owing = { from, until: from };
    owed.push(owing);
    while (!said(text) && !said(SORRY) && stream.isOpen() && clock.now() - from < PATIENCE_MS) {
      await poll();
    }
    owing.until = clock.now();
    return said(text);
  }

  let isAnswered = await await_(GREETING, stream.startedAtMs);
  for (const [nth, text] of LINES.entries()) {
    if (!isAnswered) break;
    await clock.advance(ANSWER_AFTER_MS);
    const endedAt = await stream.say(speak(text).audio);
    isAnswered = endedAt !== null && await await_(`answer ${nth + 1}.`, endedAt);
  }
  const isLost = !isAnswered || !stream.isOpen();
  const isApologyOfCarrier = !stream.isOpen() && await isRefused(resume);
  const sounds = stream.player.pieces()
    .filter(({ audio }) => isAudible(audio))
    .map(({ atMs, audio }) => ({ from: atMs, until: atMs + audio.length / 8 }));
  const lastOwed = owed.at(-1);
  if (isApologyOfCarrier && lastOwed !== undefined) {
    lastOwed.until = clock.now() + 1;
    sounds.push({ from: clock.now(), until: lastOwed.until });
  }
  stream.stop();
  return {
    isLost,
    isExcused: said(SORRY) || isApologyOfCarrier,
    lagMs: Math.max(0, ...stalls.map(({ from, until }) => until - from)),
    deadAirMs: Math.max(...owed.map(({ from, until }) => {
      const silence = longestSilence(sounds, from, until);
      return silence.until - silence.from - lostMs(silence.from, silence.until);
    })),
    waitsMs: owed.map(({ from, until }) => {
      const begins = sounds.find((sound) => sound.until > from)?.from ?? until;
      return begins - from - lostMs(from, begins);
    }),
  };
}

/** The media stream is over: whether the carrier is now to say the apology, as it asks. */
async function isRefused(resume: CallKit["resume"]): Promise<boolean> {
  try {
    const answer = await resume();
    return answer.type === "refused" && answer.sentence === SORRY;
  } catch {
    return false; // the call has ended altogether
  }
}

interface Stretch {
  readonly from: number;
  readonly until: number;
}

function longestSilence(sounds: readonly Stretch[], from: number, until: number): Stretch {
  let quietFrom = from;
  let longest: Stretch = { from, until: from };
  for (const sound of sounds) {
    if (sound.until <= from || sound.from >= until) continue;
    if (sound.from - quietFrom > longest.until - longest.from) {
      longest = { from: quietFrom, until: sound.from };
    }
    quietFrom = Math.max(quietFrom, sound.until);
  }
  // Behind its last word the answer is over: what follows is the time it takes to know it.
  return quietFrom === from ? { from, until } : longest;
}

type Deps = {
  readonly stt: SpeechToText;
  readonly llm: LanguageModel;
  readonly tts: TextToSpeech;
};

/** What other calls would ask of the same providers at the same time. */
async function askMore(part: FaultPart, { stt, llm, tts }: Deps, clock: Clock): Promise<void> {
  const requests = Array.from({ length: MORE_REQUESTS }, async () => {
    const { signal } = new AbortController();
    if (part === "llm") {
      const messages = [{ role: "caller", text: "Hello" }] as const;
      const prompt = { system: "Be brief.", tools: [], messages, maxTokens: 99, temperature: 0 };
      return await Array.fromAsync(llm.respond(prompt, signal));
    }
    if (part === "tts") {
      const text = newAsyncQueue<string>(2);
      text.push("One two three four five six. ");
      text.end();
      return await Array.fromAsync(
        tts.synthesize(text, { voice: null, language: "en" }, signal),
      );
    }
    return await listen(stt, clock);
  });
  await Promise.allSettled(requests);
}

/** A caller who speaks until a word of theirs is understood, in real time. */
async function listen(stt: SpeechToText, clock: Clock): Promise<void> {
  const leave = new AbortController();
  const audio = newAsyncQueue<Uint8Array>(1_000);
  const sound = speak("One two three four five six seven eight nine ten.").audio;
  let at = 0;
  let cancel = clock.timer(FRAME_MS, feed);
  function feed(): void {
    const frame = new Uint8Array(FRAME_BYTES).fill(0xff);
    frame.set(sound.subarray(at, at + FRAME_BYTES));
    at += FRAME_BYTES;
    audio.push(frame);
    cancel = clock.timer(FRAME_MS, feed);
  }
  try {
    const options = { language: "en", keyterms: [], endpointingMs: ENDPOINT_MS };
    for await (const it of stt.transcribe(audio, options, leave.signal)) {
      if (it.type === "utteranceEnded") break;
    }
  } finally {
    cancel();
    leave.abort();
    audio.end();
  }
}

/** Breakers that remember after how many failures each of them first opened. */
function watched(
  breakers: Breakers,
): { readonly breakers: Breakers; failuresToOpen(name: string): number | null } {
  const opened = new Map<string, number>();
  const look = (name: string): void => {
    const view = breakers.view().find((it) => it.name === name);
    if (view !== undefined && view.opened > 0 && !opened.has(name)) opened.set(name, view.failures);
  };
  return {
    breakers: {
      view: breakers.view,
      of(name) {
        const breaker = breakers.of(name);
        return {
          ...breaker,
          failed() {
            breaker.failed();
            look(name);
          },
        };
      },
    },
    failuresToOpen: (name) => opened.get(name) ?? null,
  };
}

/** Sockets take a turn of the loop or two to be gone. */
async function settled(isSettled: () => boolean): Promise<void> {
  const clock = liveKit().clock;
  for (let nth = 0; nth < 50 && !isSettled(); nth++) await clock.advance(POLL_MS);
}
