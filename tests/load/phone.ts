/** Phones a server as the carrier does: signed webhook, media socket, a caller who talks and listens. */

import type { CallEvent } from "@/actors/call/events.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import { wav } from "@/lib/audio/wav.ts";
import { systemClock } from "@/lib/clock.ts";
import { environment, readConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { readLocalSecrets } from "@/lib/local_secrets.ts";
import { newLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import { startServer } from "@/main.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { newRelayCaller } from "@/tests/support/relay_caller.ts";
import type { RelayStream } from "@/tests/support/twilio_relay.ts";
import { newSid, startTwilio } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import { callIdOf, dial } from "./dial.ts";
import { follow, type Transcript } from "./transcript.ts";

/** A call that goes on for longer is hung up by the caller. */
export const CALL_MAX_MS = 180_000;
/** A word that ended so short before a `clear` took effect may be missing: its mark was on its way. */
const ROUND_TRIP_MS = 150;

/** A server to phone, and what proves that we may. */
export interface Target {
  readonly url: string;
  readonly carrierToken: string;
  readonly apiKey: string;
  /** Over which the server can hang up; null at a server that is not ours. */
  readonly twilio: ReturnType<typeof startTwilio> | null;
  close(): Promise<void>;
}

/** A server of our own, in this process, whose carrier is the simulated one. */
export async function ownServer(): Promise<Target> {
  const settings = environment();
  const config = readConfig(settings);
  const authToken = crypto.randomUUID();
  const twilio = startTwilio({ clock: systemClock, accountSid: newSid("AC"), authToken });
  const server = await startServer({
    ...config,
    listen: { host: "127.0.0.1", port: 0 },
    operator: { host: "127.0.0.1", port: 0, token: null },
    publicUrl: null,
    database: { type: "embedded", dataDir: "" },
    twilio: {
      apiUrl: twilio.url,
      accountSid: twilio.accountSid,
      authToken: new Secret(authToken),
    },
  }, {
    isTemporary: true,
    log: newLog({
      level: settings.LOG_LEVEL ? config.log.level : "warn",
      pii: config.log.pii,
      date: () => systemClock.date(),
    }),
  });
  return {
    url: server.publicUrl,
    carrierToken: authToken,
    apiKey: server.demoKey ?? "",
    twilio,
    async close() {
      await server.stop();
      await twilio.close();
    },
  };
}

/** A server that runs already: its secrets are in the environment, or beside the database in DATA_DIR. */
export async function runningServer(url: string): Promise<Target> {
  const { database, twilio } = readConfig(environment());
  const local = database.type === "embedded" ? await readLocalSecrets(database.dataDir) : null;
  const carrierToken = twilio.authToken ?? local?.carrierToken;
  const apiKey = Deno.env.get("API_KEY") || local?.demoKey.reveal();
  if (carrierToken === undefined || apiKey === undefined) {
    const field = carrierToken === undefined ? "TWILIO_AUTH_TOKEN" : "API_KEY";
    throw new AppError("not_configured", `Cannot call "${url}": set ${field} as it is there`, {
      field,
    });
  }
  return {
    url: url.replace(/\/+$/, ""),
    carrierToken: carrierToken.reveal(),
    apiKey,
    twilio: null,
    close: () => Promise.resolve(),
  };
}

export interface PhoneOptions {
  readonly lines: readonly string[];
  readonly agentId: string | null;
  readonly from: string;
  readonly to: string;
  readonly bargeInAtMs: number | null;
  readonly wavFile: string | null;
  /** Over what the server holds the call; absent: as its number or its agent says. */
  readonly leg?: NumberLeg;
}

/** How a call went. */
export interface Phoned {
  readonly callId: string | null;
  readonly transcript: Transcript | null;
  readonly ending: string;
  /** What the caller heard of each of the agent's utterances. */
  readonly heard: readonly string[];
  readonly transcriptMatches: boolean;
  /** Words that halted, since their audio came too late. */
  readonly brokenWords: number;
}

/** Phones, talks, waits for the end, compares. */
export async function phone(
  target: Target,
  options: PhoneOptions,
  told: (event: CallEvent) => void,
  lookEveryMs = 200,
): Promise<Phoned> {
  const { lines, agentId, from, to, bargeInAtMs } = options;
  const query = new URLSearchParams({
    ...(agentId === null ? {} : { agentId }),
    ...(options.leg === undefined ? {} : { leg: options.leg }),
  });
  const phoned = await dial(target, { query, from, to });
  const { stream, relay } = phoned;
  if (relay !== null) return await overRelay(target, options, { phoned, relay, told, lookEveryMs });
  if (stream === null) {
    const { reason } = await phoned.ended;
    return { callId: null, transcript: null, ending: said(phoned, reason), heard: [], ...NO_MATCH };
  }
  const caller = newCaller({
    clock: systemClock,
    stream,
    lines,
    hangUp: () => phoned.hangUp(),
    ...(bargeInAtMs === null ? {} : { bargeInAtMs }),
  });
  const { callId, by, reason, transcript } = await untilEnd(target, phoned, {
    told,
    lookEveryMs,
    caller,
  });

  const stored = transcript.events.filter((event) => event.type === "agent_said");
  const flights = stream.log.flatMap((entry) =>
    entry.type === "clear" ? [{ sentAtMs: entry.atMs - ROUND_TRIP_MS, actedAtMs: entry.atMs }] : []
  );
  const played = playedWords(stream);
  const { extra, missing, missingInFlight, heard } = compareHeard(stored, played, flights);
  const cuts = stored.filter((event) => event.bargedIn).length;
  const transcriptMatches = extra.length === 0 && missing.length === missingInFlight.length &&
    missing.length <= cuts && transcript.isComplete;
  if (options.wavFile !== null) {
    const spoken = callerAudio(caller, stream.startedAtMs, stream.player.played().length);
    await Deno.writeFile(options.wavFile, wav([spoken, stream.player.played()]));
  }
  const brokenWords = played.filter(({ holeMs }) => holeMs > 0).length;
  return { callId, transcript, ending: `${by}: ${reason}`, heard, transcriptMatches, brokenWords };
}

/** Follows a call that is up to its end, and no longer than a call may take. */
async function untilEnd(
  target: Target,
  phoned: FakeCall,
  { told, lookEveryMs, caller }: {
    readonly told: (event: CallEvent) => void;
    readonly lookEveryMs: number;
    readonly caller: { stop(): void };
  },
) {
  const cancel = systemClock.timer(CALL_MAX_MS, () => phoned.hangUp());
  const callId = callIdOf(phoned) ?? "";
  const following = follow({ ...target, callId, clock: systemClock, told, lookEveryMs });
  const [{ by, reason }, transcript] = await Promise.all([phoned.ended, following]).finally(() => {
    cancel();
    caller.stop();
    phoned.hangUp();
  });
  return { callId, by, reason, transcript };
}

/** As `phone`, where the carrier hears and speaks: words are held against words. */
async function overRelay(
  target: Target,
  { lines, bargeInAtMs, wavFile }: PhoneOptions,
  { phoned, relay, told, lookEveryMs }: {
    readonly phoned: FakeCall;
    readonly relay: RelayStream;
    readonly told: (event: CallEvent) => void;
    readonly lookEveryMs: number;
  },
): Promise<Phoned> {
  const caller = newRelayCaller({
    clock: systemClock,
    relay,
    lines,
    hangUp: () => phoned.hangUp(),
    ...(bargeInAtMs === null ? {} : { bargeInAtMs }),
  });
  const { callId, by, reason, transcript } = await untilEnd(target, phoned, {
    told,
    lookEveryMs,
    caller,
  });
  const stored = transcript.events.flatMap((event) =>
    event.type === "agent_said" && event.text !== "" ? [event.text] : []
  );
  const transcriptMatches = transcript.isComplete && stored.join(" ") === relay.heard().join(" ");
  const heard = [...relay.heard()];
  const heardOf = stored.map((text) => heard.splice(0, text.split(" ").length).join(" "));
  const ending = `${by}: ${reason}${wavFile === null ? "" : " (no audio passes a relay)"}`;
  return { callId, transcript, ending, heard: heardOf, transcriptMatches, brokenWords: 0 };
}

const NO_MATCH = { transcriptMatches: false, brokenWords: 0 } as const;

/** What a caller who was not put through was told. */
function said(phoned: FakeCall, reason: string): string {
  const sentences = phoned.log.flatMap((entry) => entry.type === "said" ? [entry.sentence] : []);
  return [...sentences, reason].join(" ");
}

/** The caller's side of the recording, on the time line of what it heard. */
function callerAudio(caller: Caller, startedAtMs: number, bytes: number): Uint8Array {
  const audio = new Uint8Array(bytes).fill(SILENCE);
  for (const line of caller.lines) {
    const at = Math.max(0, Math.round((line.startedAtMs - startedAtMs) * 8));
    audio.set(line.audio.subarray(0, Math.max(0, bytes - at)), at);
  }
  return audio;
}
