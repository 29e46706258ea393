/** The carrier's side of one media stream: a caller who talks, hears and presses keys, in real or virtual time. */

import { z } from "zod";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { newDelayLine } from "./delay_line.ts";
import { newPlayer, type Player } from "./twilio_player.ts";

/** Bytes that may wait on a server that reads slowly; past it Twilio drops the caller's audio (31930). */
const SLOW_READER_BYTES = 64 * 1024;

export interface MediaStreamOptions {
  /** Open. The stream says `connected` and `start` at once. */
  readonly socket: MessageSocket;
  readonly clock: Clock;
  readonly accountSid: string;
  readonly callSid: string;
  readonly streamSid: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** One way, from us to the carrier and back; 0 takes effect within the same instant. */
  readonly delayMs?: { readonly toCarrier: number; readonly toServer: number };
  /** Added to the delay of each message to the server: uniform in [0, jitterMs), order kept. */
  readonly jitterMs?: number;
  /** In [0, 1), seeded; needed with `jitterMs`. */
  readonly random?: () => number;
  readonly faults?: MediaFaults;
  /** The server closed the socket, or it broke. Not after `stop` or `drop`. */
  closed?(code: number, reason: string): void;
}

export interface MediaFaults {
  /** Inbound frames leave in bunches of so many. */
  readonly bunch?: number;
  /** Marks come so much later than they should; null: never. */
  readonly lateMarksMs?: number | null;
  readonly duplicateStart?: boolean;
}

/** What the server did, and what Twilio's debugger would say of it. */
export type MediaLog =
  | { readonly atMs: number; readonly type: "audio"; readonly bytes: number }
  | { readonly atMs: number; readonly type: "mark" | "markSent"; readonly name: string }
  | { readonly atMs: number; readonly type: "clear" }
  | {
    readonly atMs: number;
    readonly type: "closed";
    readonly code: number;
    readonly reason: string;
  }
  | { readonly atMs: number; readonly type: "warning"; readonly code: number };

export interface MediaStream {
  readonly player: Player;
  /** In order of time; a `mark` is the server's, a `markSent` its echo. */
  readonly log: readonly MediaLog[];
  /** Clock time of the stream's `start`: 0 of every media timestamp. */
  readonly startedAtMs: number;
  /** False once either side has ended it. */
  isOpen(): boolean;
  /**
   * Speaks from the next frame on, after what was said before it. Resolves with the clock time at
   * which its last frame left, or null when the stream ended first.
   */
  say(audio: Uint8Array): Promise<number | null>;
  press(digit: string): void;
  /** Ends the stream as Twilio does: `stop`, then the socket closes. */
  stop(): void;
  /** Ends it as a broken line does: the socket is gone, without `stop`. */
  drop(): void;
  /** The line is cut on its way, as by a host that is gone: nothing gets through, and neither end is told. */
  cut(): void;
  /** Inbound frames that were dropped because the server reads slowly. */
  droppedFrames(): number;
}

// Strict, unlike Twilio, which ignores what it does not know: our server sends nothing else.
const FromServer = z.discriminatedUnion("event", [
  z.strictObject({
    event: z.literal("media"),
    streamSid: z.string(),
    media: z.strictObject({ payload: z.base64() }),
  }),
  z.strictObject({
    event: z.literal("mark"),
    streamSid: z.string(),
    mark: z.strictObject({ name: z.string() }),
  }),
  z.strictObject({ event: z.literal("clear"), streamSid: z.string() }),
]);

interface Utterance {
  readonly audio: Uint8Array;
  at: number;
  left(atMs: number | null): void;
}

export function newMediaStream(options: MediaStreamOptions): MediaStream {
  const { socket, clock, streamSid, accountSid, callSid, faults = {} } = options;
  const { toCarrier, toServer } = options.delayMs ?? { toCarrier: 0, toServer: 0 };
  const startedAtMs = clock.now();
  const log: MediaLog[] = [];
  const utterances: Utterance[] = [];
  let sequence = 0;
  let frames = 0; // sent or bunched
  let isCut = false;
  let bunched: (() => void)[] = [];
  let dropped = 0;
  let open = true;
  let cancelTick: Cancel | undefined;

  const { jitterMs = 0, random = () => 0 } = options;
  const act = (arrival: () => void): void => arrival();
  const outward = newDelayLine({ clock, delayMs: () => toCarrier, deliver: act });
  const inward = newDelayLine({
    clock,
    delayMs: () => toServer + jitterMs * random(),
    deliver: act,
  });
  const late = newDelayLine<string>({
    clock,
    delayMs: () => faults.lateMarksMs ?? 0,
    deliver: (name) => {
      log.push({ atMs: clock.now(), type: "markSent", name });
      send({ event: "mark", streamSid, mark: { name } });
    },
  });
  const player = newPlayer({
    clock,
    originMs: startedAtMs,
    mark: (name) => faults.lateMarksMs === null ? undefined : late.put(name),
  });

  /** Numbers the message as it leaves, and sends it with its members in Twilio's order. */
  function send({ event, streamSid, ...rest }: Readonly<Record<string, unknown>>): void {
    const numbered = { event, sequenceNumber: String(++sequence), ...rest, streamSid };
    inward.put(() => isCut || socket.send(JSON.stringify(numbered)));
  }

  function receive(data: string | Uint8Array): void {
    if (!open || isCut) return;
    const atMs = clock.now();
    if (typeof data !== "string") return void log.push({ atMs, type: "warning", code: 31950 });
    const parsed = parse(data);
    if (parsed === null || parsed.streamSid !== streamSid) {
      return void log.push({ atMs, type: "warning", code: 31924 });
    }
    switch (parsed.event) {
      case "media": {
        const audio = Uint8Array.fromBase64(parsed.media.payload);
        log.push({ atMs, type: "audio", bytes: audio.length });
        return player.audio(audio);
      }
      case "mark":
        log.push({ atMs, type: "mark", name: parsed.mark.name });
        return player.mark(parsed.mark.name);
      case "clear":
        log.push({ atMs, type: "clear" });
        return player.clear();
    }
  }

  /** Sends every frame that is due by now, so that a late timer delays and never drifts. */
  function tick(): void {
    const due = Math.floor((clock.now() - startedAtMs) / FRAME_MS + 1e-6);
    while (open && frames < due) sendFrame();
    if (!open) return;
    cancelTick = clock.timer(startedAtMs + (frames + 1) * FRAME_MS - clock.now(), tick);
  }

  function sendFrame(): void {
    const { frame, left } = nextFrame();
    const media = {
      track: "inbound",
      chunk: String(frames + 1),
      timestamp: String(frames * FRAME_MS),
      payload: frame.toBase64(),
    };
    frames += 1;
    bunched.push(() => {
      if (socket.bufferedBytes > SLOW_READER_BYTES) dropped += 1;
      else send({ event: "media", streamSid, media });
      left();
    });
    if (bunched.length < (faults.bunch ?? 1)) return;
    for (const leave of bunched.splice(0)) leave();
  }

  /** The next 20 ms of what the caller says, padded with silence. */
  function nextFrame(): { readonly frame: Uint8Array; left(): void } {
    const frame = new Uint8Array(FRAME_BYTES).fill(SILENCE);
    const utterance = utterances[0];
    if (utterance === undefined) return { frame, left() {} };
    frame.set(utterance.audio.subarray(utterance.at, utterance.at + FRAME_BYTES));
    utterance.at += FRAME_BYTES;
    if (utterance.at < utterance.audio.length) return { frame, left() {} };
    utterances.shift();
    return { frame, left: () => utterance.left(clock.now()) };
  }

  function end(): void {
    open = false;
    cancelTick?.();
    player.stop();
    outward.cut();
    late.cut();
    bunched = [];
    for (const { left } of utterances.splice(0)) left(null);
  }

  function closed(code: number, reason: string): void {
    if (!open || isCut) return;
    log.push({ atMs: clock.now(), type: "closed", code, reason });
    end();
    inward.cut();
    options.closed?.(code, reason);
  }

  socket.listen({
    message: (data) => outward.put(() => receive(data)),
    closed: (code, reason) => outward.put(() => closed(code, reason)),
  });
  inward.put(() =>
    socket.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }))
  );
  const start = {
    accountSid,
    streamSid,
    callSid,
    tracks: ["inbound"],
    mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
    customParameters: options.parameters,
  };
  send({ event: "start", streamSid, start });
  if (faults.duplicateStart) send({ event: "start", streamSid, start });
  if (open) tick();

  return {
    player,
    log,
    startedAtMs,
    isOpen: () => open,
    say(audio) {
      if (!open) return Promise.resolve(null);
      const { promise, resolve } = Promise.withResolvers<number | null>();
      if (audio.length === 0) resolve(clock.now());
      else utterances.push({ audio, at: 0, left: resolve });
      return promise;
    },
    press(digit) {
      if (open) send({ event: "dtmf", streamSid, dtmf: { track: "inbound_track", digit } });
    },
    stop() {
      if (!open) return;
      end();
      send({ event: "stop", streamSid, stop: { accountSid, callSid } });
      inward.put(() => socket.close(1000, ""));
    },
    drop() {
      if (!open) return;
      end();
      inward.cut();
      socket.close(1006, "");
    },
    cut: () => void (isCut = true),
    droppedFrames: () => dropped,
  };
}

function parse(data: string): z.infer<typeof FromServer> | null {
  try {
    return FromServer.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}
