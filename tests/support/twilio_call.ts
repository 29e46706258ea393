/** One phone call as the carrier lives it: asks for TwiML, does what it says, until somebody hangs up. */

import { type Clock, deadline, sleep } from "@/lib/clock.ts";
import { messageOf } from "@/lib/errors.ts";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import { parseTwiml, type PlayedVerb } from "./twilio_document.ts";
import { type MediaStream, type MediaStreamOptions, newMediaStream } from "./twilio_media.ts";
import { newRelayStream, type RelayStream } from "./twilio_relay.ts";
import type { Webhooks } from "./twilio_webhooks.ts";

/** Twilio waits so long for TwiML, then ends the call. */
const WEBHOOK_MS = 15_000;
/** More documents than this, one after another, are a loop. */
const DOCUMENTS_MAX = 20;

export type CallStatus =
  | "queued"
  | "initiated"
  | "ringing"
  | "in-progress"
  | "completed"
  | "busy"
  | "no-answer"
  | "failed"
  | "canceled";

/**
 * Who ended it: the agent (REST, `<Hangup>`, `<Reject>`, or TwiML that has run out), the caller, or an
 * error that Twilio's debugger would show.
 */
export interface Ending {
  readonly by: "agent" | "caller" | "error";
  readonly reason: string;
}

export type CallLog =
  | { readonly type: "asked"; readonly url: string; readonly atMs: number; readonly tookMs: number }
  | { readonly type: "said"; readonly sentence: string; readonly atMs: number }
  | { readonly type: "dialed"; readonly to: string; readonly atMs: number }
  | { readonly type: "rejected"; readonly reason: string; readonly atMs: number }
  | {
    readonly type: "streamOpened" | "streamRefused" | "streamEnded";
    readonly url: string;
    readonly atMs: number;
  }
  | {
    readonly type: "ended";
    readonly by: Ending["by"];
    readonly reason: string;
    readonly atMs: number;
  };

/** What detection comes to, so long after the answer; told `copies` times, once when absent. */
export interface Detected {
  readonly by: CarrierAnswerer;
  readonly afterMs: number;
  readonly copies?: number;
}

export interface FakeCallOptions {
  readonly webhooks: Webhooks;
  readonly clock: Clock;
  readonly accountSid: string;
  readonly callSid: string;
  readonly from: string;
  readonly to: string;
  readonly direction: "inbound" | "outbound-api";
  /** Asked for the first TwiML. */
  readonly url: string;
  readonly statusUrl?: string;
  /** Status callbacks wanted beside the last one; an inbound number gets none. */
  readonly statusEvents?: readonly string[];
  /** Who is called, of an outbound call: `answer` when absent. */
  readonly callee?: "answer" | "busy" | "no-answer" | "failed" | "canceled";
  /** Detection of machines beside the call. */
  readonly detection?: Detected & { readonly url: string };
  /** How a number that the TwiML dials for the caller turns out: `completed` when absent. */
  readonly dialed?: "completed" | "busy" | "no-answer" | "failed";
  /** How the media side behaves. */
  readonly media?: Pick<MediaStreamOptions, "delayMs" | "jitterMs" | "random" | "faults">;
  /** A media stream has begun: the first, or one more after a resume. */
  streamed?(stream: MediaStream): void;
  /** As `streamed`, where the carrier hears and speaks. */
  relayed?(relay: RelayStream): void;
}

export interface FakeCall {
  readonly carrierCallId: string;
  readonly status: CallStatus;
  /** The live media stream, or null between streams. */
  readonly stream: MediaStream | null;
  readonly streams: readonly MediaStream[];
  /** As `stream`, where the carrier hears and speaks. */
  readonly relay: RelayStream | null;
  readonly log: readonly CallLog[];
  readonly ended: Promise<Ending>;
  /** As `MediaStream.say`; null when no stream is live. */
  say(audio: Uint8Array): Promise<number | null>;
  /** What the caller heard from the first stream's start on, over all streams, with the silence between. */
  played(): Uint8Array;
  /** The caller presses a key that a `<Gather>` waits for; without one it does nothing. */
  press(digit: string): void;
  /** The media socket breaks, without a `stop`; the call goes on as its TwiML says. */
  breakStream(): void;
  /** The caller hangs up. */
  hangUp(): void;
  /** The server has it leave what it does and ask this URL. False when it has ended already. */
  redirect(url: string): boolean;
  /** The server ends it over the API. False when it has ended already. */
  complete(): boolean;
}

/** Begins the call. `ended` never rejects: an error is an ending. */
export function newFakeCall(options: FakeCallOptions): FakeCall {
  const { webhooks, clock } = options;
  const log: CallLog[] = [];
  const streams: MediaStream[] = [];
  const over = new AbortController();
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  let status: CallStatus = options.direction === "inbound" ? "ringing" : "queued";
  let stream: MediaStream | null = null;
  let relay: RelayStream | null = null;
  /** Of the relay that was last. */
  let session: Readonly<Record<string, string>> = {};
  let sessions = 0;
  let streamBroken = (): void => {};
  let answeredAtMs = clock.now();
  let statusCount = 0;
  let dialStatus: string | null = null;
  /** Of the `<Gather>` that is waiting. */
  let gathered: ((digit: string) => void) | null = null;
  let digits: string | null = null;
  /** Where it is told over the API to ask next. */
  let redirected: string | null = null;

  function fields(): Record<string, string> {
    const { callSid, accountSid, from, to, direction } = options;
    return {
      ...{ AccountSid: accountSid, ApiVersion: "2010-04-01", CallSid: callSid, CallStatus: status },
      ...{ Called: to, Caller: from, Direction: direction, From: from, To: to },
      ...(dialStatus === null ? {} : { DialCallStatus: dialStatus }),
      ...(digits === null ? {} : { Digits: digits }),
      ...session,
    };
  }

  /** Twilio tells and does not care for the answer. */
  async function tellStatus(word: CallStatus, event: string = word): Promise<void> {
    const { statusUrl, statusEvents = [] } = options;
    if (statusUrl === undefined) return;
    if (event !== "completed" && !statusEvents.includes(event)) return;
    const seconds = Math.ceil((clock.now() - answeredAtMs) / 1000);
    try {
      await inTime(webhooks.post(statusUrl, {
        ...fields(),
        CallStatus: word,
        CallbackSource: "call-progress-events",
        SequenceNumber: String(statusCount++),
        Timestamp: clock.date().toUTCString(),
        ...(word === "completed" ? { CallDuration: String(seconds), Duration: "1" } : {}),
      }));
    } catch {
      // An unreachable status callback changes nothing.
    }
  }

  async function end(
    by: Ending["by"],
    reason: string,
    last: CallStatus = "completed",
  ): Promise<void> {
    if (over.signal.aborted) return;
    over.abort();
    status = last;
    stream?.stop();
    stream = null;
    relay?.close();
    log.push({ type: "ended", by, reason, atMs: clock.now() });
    await tellStatus(last, "completed");
    resolve({ by, reason });
  }

  async function ask(url: string): Promise<PlayedVerb[]> {
    const atMs = clock.now();
    try {
      return parseTwiml(await inTime(webhooks.post(url, fields())));
    } finally {
      log.push({ type: "asked", url, atMs, tookMs: clock.now() - atMs });
    }
  }

  async function inTime<T>(answered: Promise<T>): Promise<T> {
    const { signal, cancel } = deadline(clock, WEBHOOK_MS, () => new Error("11205: timeout"));
    const { promise: late, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason));
    try {
      return await Promise.race([answered, late]);
    } finally {
      cancel();
    }
  }

  function answer(): void {
    if (status === "in-progress") return;
    status = "in-progress";
    answeredAtMs = clock.now();
    void tellStatus("in-progress", "answered");
    void detect();
  }

  /** Tells who has answered, whether or not the call still goes on; nobody cares for the answer. */
  async function detect(): Promise<void> {
    const { detection, accountSid, callSid } = options;
    if (detection === undefined) return;
    const { by, afterMs, copies = 1, url } = detection;
    await sleep(clock, afterMs);
    for (let copy = 0; copy < copies; copy++) {
      await inTime(webhooks.post(url, {
        ...{ AccountSid: accountSid, CallSid: callSid, AnsweredBy: by },
        MachineDetectionDuration: String(afterMs),
      })).catch(() => {});
    }
  }

  /** Plays one verb. A URL: what comes next is asked there; null: the next verb, or the end. */
  async function play(verb: PlayedVerb): Promise<string | null> {
    if (verb.type !== "Reject" && verb.type !== "Redirect" && verb.type !== "Hangup") answer();
    switch (verb.type) {
      case "Connect":
        if (verb.relay === undefined) await connect(verb.streamUrl, verb.parameters);
        else await connectRelay(verb);
        return verb.actionUrl ?? null;
      case "Redirect":
        return verb.url;
      case "Reject": {
        log.push({ type: "rejected", reason: verb.reason, atMs: clock.now() });
        await end(
          "agent",
          `rejected: ${verb.reason}`,
          verb.reason === "busy" ? "busy" : "no-answer",
        );
        return null;
      }
      case "Dial":
        log.push({ type: "dialed", to: verb.to, atMs: clock.now() });
        dialStatus = options.dialed ?? "completed";
        return verb.actionUrl;
      case "Say":
        log.push({ type: "said", sentence: verb.sentence, atMs: clock.now() });
        return null;
      case "Pause":
        await sleep(clock, verb.seconds * 1000, over.signal);
        return null;
      case "Gather": {
        const { sentence, seconds, actionUrl } = verb;
        if (sentence !== null) log.push({ type: "said", sentence, atMs: clock.now() });
        digits = await oneKey(seconds);
        return digits === null ? null : actionUrl;
      }
      case "Hangup":
        await end("agent", "hung up by TwiML");
        return null;
    }
  }

  /** Null: none was pressed in time. */
  async function oneKey(seconds: number): Promise<string | null> {
    const key = Promise.withResolvers<string>();
    const waited = new AbortController();
    gathered = key.resolve;
    const signal = AbortSignal.any([over.signal, waited.signal]);
    const silence = sleep(clock, seconds * 1000, signal).then(() => null, () => null);
    const digit = await Promise.race([key.promise, silence]);
    gathered = null;
    waited.abort();
    return digit;
  }

  /** Resolves when the stream has ended, whoever ended it. */
  async function connect(url: string, parameters: Readonly<Record<string, string>>): Promise<void> {
    const socket = await webhooks.openStream(url).catch(() => null);
    if (socket === null) { // 31920: the stream is over before it began
      return void log.push({ type: "streamRefused", url, atMs: clock.now() });
    }
    if (over.signal.aborted) return socket.close(1000, "");
    const { promise, resolve: streamEnded } = Promise.withResolvers<void>();
    over.signal.addEventListener("abort", () => streamEnded(), { once: true });
    streamBroken = streamEnded;
    stream = newMediaStream({
      socket,
      clock,
      accountSid: options.accountSid,
      callSid: options.callSid,
      streamSid: `MZ${options.callSid.slice(2, -2)}${String(streams.length).padStart(2, "0")}`,
      parameters,
      ...options.media,
      closed: () => streamEnded(),
    });
    streams.push(stream);
    log.push({ type: "streamOpened", url, atMs: clock.now() });
    options.streamed?.(stream);
    await promise;
    stream = null;
    log.push({ type: "streamEnded", url, atMs: clock.now() });
  }

  /** As `connect`; when the caller has hung up, the action URL is told so, and its answer ignored. */
  async function connectRelay(verb: Extract<PlayedVerb, { type: "Connect" }>): Promise<void> {
    const { streamUrl: url, parameters, actionUrl } = verb;
    const socket = await webhooks.openStream(url).catch(() => null);
    if (socket === null) return void log.push({ type: "streamRefused", url, atMs: clock.now() });
    if (over.signal.aborted) return socket.close(1000, "");
    const { promise, resolve: ended } = Promise.withResolvers<void>();
    const sessionId = `VX${options.callSid.slice(2, -2)}${String(sessions++).padStart(2, "0")}`;
    const { callSid, from, to } = options;
    const about = { callSid, sessionId, numbers: { from, to }, parameters };
    const beganAt = clock.now();
    relay = newRelayStream({ socket, clock, ...about, ended });
    streamBroken = () => relay?.close();
    log.push({ type: "streamOpened", url, atMs: beganAt });
    options.relayed?.(relay);
    await promise;
    log.push({ type: "streamEnded", url, atMs: clock.now() });
    const seconds = Math.ceil((clock.now() - beganAt) / 1000);
    session = { SessionId: sessionId, SessionStatus: "ended", SessionDuration: String(seconds) };
    if (over.signal.aborted && actionUrl !== undefined) await ask(actionUrl).catch(() => {});
  }

  /** Rings at the other end. True: it was answered. */
  async function dial(): Promise<boolean> {
    const { callee = "answer" } = options;
    for (status of ["initiated", "ringing"] as const) await tellStatus(status);
    if (callee === "answer") answer();
    else await end("caller", callee, callee);
    return callee === "answer";
  }

  async function run(): Promise<void> {
    if (options.direction === "outbound-api" && !await dial()) return;
    let next: string | null = options.url;
    for (let documents = 0; next !== null; documents++) {
      if (documents === DOCUMENTS_MAX) throw new Error("TwiML goes round in circles");
      const verbs = await ask(next);
      next = null;
      for (const verb of verbs) {
        if (over.signal.aborted) return;
        next = await play(verb);
        next = redirected ?? next;
        redirected = null;
        if (next !== null) break;
      }
      if (over.signal.aborted) return;
    }
    await end("agent", "TwiML has run out");
  }

  run().catch((error) => end("error", messageOf(error), "failed"));

  return {
    carrierCallId: options.callSid,
    get status() {
      return status;
    },
    get stream() {
      return stream;
    },
    get relay() {
      return relay;
    },
    streams,
    log,
    ended,
    say: (audio) => stream?.say(audio) ?? Promise.resolve(null),
    played: () => joinPlayed(streams),
    press: (digit) => gathered?.(digit),
    breakStream() {
      stream?.drop();
      streamBroken();
    },
    hangUp: () => void end("caller", "hung up", status === "ringing" ? "canceled" : "completed"),
    redirect(url) {
      if (over.signal.aborted) return false;
      redirected = url;
      stream?.drop();
      streamBroken();
      return true;
    },
    complete() {
      if (over.signal.aborted) return false;
      void end("agent", "completed over the API");
      return true;
    },
  };
}

function joinPlayed(streams: readonly MediaStream[]): Uint8Array {
  const first = streams[0];
  if (first === undefined) return new Uint8Array();
  const parts = streams.map(({ player, startedAtMs }) => ({
    at: Math.round((startedAtMs - first.startedAtMs) * BYTES_PER_MS),
    audio: player.played(),
  }));
  const bytes = Math.max(...parts.map(({ at, audio }) => at + audio.length));
  const whole = new Uint8Array(bytes).fill(SILENCE);
  for (const { at, audio } of parts) whole.set(audio, at);
  return whole;
}
