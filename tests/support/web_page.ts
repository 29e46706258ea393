/** A page in a browser, without the browser: speaks the protocol of web calls, plays, answers marks, speaks and writes. */

import { FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { newNarrower, newWidener, WIDE_FRAME_BYTES } from "@/lib/audio/resample.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { newPlayer, type Player } from "./twilio_player.ts";

export interface WebPageOptions {
  readonly socket: MessageSocket;
  readonly clock: Clock;
}

export interface WebPage {
  readonly player: Player;
  readonly startedAtMs: number;
  /** Text messages of the server in order, parsed. */
  readonly got: readonly Record<string, unknown>[];
  /** Its own marks that were answered, in order. */
  readonly marked: readonly string[];
  /** Code and reason, once the server has closed. */
  closed(): readonly [number, string] | null;
  /** Messages of one type. */
  of(type: string): Record<string, unknown>[];
  start(): void;
  /** µ-law, frame by frame from now on. */
  say(audio: Uint8Array): Promise<number | null>;
  write(text: string, isFinal?: boolean): void;
  press(digit: string): void;
  end(): void;
  /** As a broken line. */
  drop(): void;
  send(data: string | Uint8Array): void;
}

export function newWebPage({ socket, clock }: WebPageOptions): WebPage {
  const got: Record<string, unknown>[] = [];
  const marked: string[] = [];
  const narrower = newNarrower();
  const widener = newWidener();
  const startedAtMs = clock.now();
  let waiting = new Uint8Array(0);
  let ending: readonly [number, string] | null = null;
  let cancel: Cancel | null = null;
  let dropped: string[] | null = null;

  const player = newPlayer({
    clock,
    mark(name) {
      if (dropped !== null) return void dropped.push(name);
      marked.push(name);
      tell({ type: "mark", name });
    },
  });

  function tell(message: unknown): void {
    if (ending === null) socket.send(JSON.stringify(message));
  }

  function tick(): void {
    cancel = clock.timer(FRAME_MS, tick);
    const frame = new Uint8Array(FRAME_BYTES).fill(SILENCE);
    frame.set(waiting.subarray(0, FRAME_BYTES));
    waiting = waiting.slice(FRAME_BYTES);
    const wide = widener.widen(frame);
    if (wide.length !== WIDE_FRAME_BYTES) throw new Error("A frame is not one");
    socket.send(wide);
  }

  function stop(): void {
    cancel?.();
    cancel = null;
    player.stop();
  }

  socket.listen({
    message(data) {
      if (typeof data !== "string") return player.audio(narrower.narrow(data));
      const message = JSON.parse(data);
      got.push(message);
      if (message.type === "mark") player.mark(message.name);
      if (message.type !== "clear") return;
      dropped = [];
      player.clear();
      const last = dropped.at(-1); // of what was dropped the last mark alone comes back
      dropped = null;
      if (last !== undefined) tell({ type: "mark", name: last });
    },
    closed(code, reason) {
      ending = [code, reason];
      stop();
    },
  });

  return {
    player,
    startedAtMs,
    got,
    marked,
    closed: () => ending,
    of: (type) => got.filter((message) => message.type === type),
    start() {
      tell({ type: "start", version: 1 });
      tick();
    },
    say(audio) {
      waiting = new Uint8Array([...waiting, ...audio]);
      return Promise.resolve(null);
    },
    write: (text, isFinal = true) => tell({ type: "text", text, isFinal }),
    press: (digit) => tell({ type: "dtmf", digit }),
    end() {
      tell({ type: "end" });
      stop();
    },
    drop() {
      stop();
      socket.close(1006, "");
    },
    send: (data) => socket.send(data),
  };
}
