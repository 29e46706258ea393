/** A link: the one socket to one other machine. It dials or is dialled, proves both ends, beats, and comes back. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { Boot } from "@/db/cluster.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Secret } from "@/lib/secret.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { beatEntry, parseFrame } from "./frames.ts";
import { Answer, Challenge, type Hello, isProven, type Meeting, parse, prove } from "./proof.ts";
import type { Service } from "./serve.ts";
import type { Wire } from "./wire.ts";

/** From one beat to the next. The other's actor answers: a process that stands still does not. */
export const BEAT_MS = 1_000;
/** A link over which nothing has come for so long is closed. */
export const SILENT_MS = 3_500;
/** From the open socket to the proof of the other. */
export const GREET_MS = 2_000;
const DIAL_MS = 3_000;
/** Between two tries to dial: exponential, with full jitter. */
const BACKOFF = { minMs: 100, maxMs: 5_000 };
/** Hellos of the last so many are remembered, so that none is taken twice. */
const NONCES_MAX = 1_024;

/** Why a link was closed, as it stands in the close frame. */
export const CLOSED = {
  replaced: { code: 4000, reason: "replaced" },
  wrongProof: { code: 4001, reason: "wrong proof" },
  malformed: { code: 4002, reason: "malformed" },
  silent: { code: 4003, reason: "silent" },
  framesLost: { code: 4004, reason: "frames lost" },
  late: { code: 4005, reason: "no proof in time" },
  gone: { code: 4006, reason: "machine is gone" },
} as const;

type Closed = typeof CLOSED[keyof typeof CLOSED];

export type LinkMessage =
  | { type: "keyDue" }
  /** What the other proves itself with; null: it is dead, or talks to nobody. */
  | { type: "keyRead"; outcome: Outcome<Secret | null> }
  | { type: "dialDue" }
  | { type: "dialed"; hello: Hello; outcome: Outcome<MessageSocket> }
  /** From the route: may this one open a socket? Answered with null, or why not. */
  | { type: "knock"; hello: Hello; reply: Reply<null> }
  /** From the route: the socket of a `knock` that was answered. */
  | { type: "connected"; hello: Hello; socket: MessageSocket }
  | { type: "said"; socket: MessageSocket; data: string | Uint8Array }
  | { type: "closed"; socket: MessageSocket; code: number; reason: string }
  | { type: "greetMissed" }
  | { type: "beatDue" }
  /** The other asks whether actors are handled here. */
  | { type: "beatCame"; beat: number }
  /** What came cannot be. */
  | { type: "broken"; closed: Closed };

export const linkKind: Kind<LinkMessage> = {
  name: "link",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface LinkSettings {
  readonly self: Boot;
  readonly peer: Boot;
  /** `HOST:PORT` */
  readonly address: string;
  readonly key: Secret;
}

export interface LinkDeps {
  readonly wire: Wire;
  newService(wire: Wire): Service;
  peerKey(): Promise<Secret | null>;
  /** Opens a socket that says hello. */
  connect(address: string, hello: Hello, signal: AbortSignal): Promise<MessageSocket>;
  /** 43 characters that were never there before. */
  newNonce(): string;
  /** Uniform in [0, 1). */
  random(): number;
  /** What this machine knew of the other is void: it may have changed while they did not speak. */
  lost(peer: Boot): void;
  readonly log: Log;
}

/** A socket whose other end has not proven itself. */
interface Greeting {
  readonly socket: MessageSocket;
  readonly meeting: Meeting;
  /** Whether this machine has opened it. */
  readonly isOurs: boolean;
}

interface Open {
  readonly socket: MessageSocket;
  readonly beats: number;
}

/** What has come over the open link: changed in place, by this life alone. */
interface Heard {
  readonly socket: MessageSocket;
  frames: number;
  atMs: number;
}

interface State {
  readonly peerKey: Secret | null;
  readonly greeting: Greeting | null;
  readonly open: Open | null;
  /** Tries since there was a link. */
  readonly tries: number;
  readonly lastRefusal: string | null;
}

export function link(settings: LinkSettings, deps: LinkDeps): Actor<State, LinkMessage> {
  const { self, peer, key } = settings;
  const { wire, log } = deps;
  const isDialing = self.incarnation < peer.incarnation;
  /** Of hellos that were taken. Changed in place, by this life alone. */
  const nonces = new Set<string>();
  const service = deps.newService(wire);
  let heard: Heard | null = null;
  type Ctx = Context<LinkMessage>;

  function dialAfter(state: State, ctx: Ctx): State {
    const most = Math.min(BACKOFF.maxMs, BACKOFF.minMs * 2 ** Math.min(state.tries, 10));
    if (isDialing) ctx.timer("dial", deps.random() * most, { type: "dialDue" });
    return { ...state, tries: state.tries + 1 };
  }

  function listen(socket: MessageSocket, ctx: Ctx): void {
    socket.listen({
      message: ctx.guard((data: string | Uint8Array) =>
        heard?.socket === socket ? take(heard, data, ctx.now()) : { type: "said", socket, data }
      ),
      closed: ctx.guard((code: number, reason: string) => ({
        type: "closed",
        socket,
        code,
        reason,
      })),
    });
  }

  function greet(state: State, greeting: Greeting, ctx: Ctx): State {
    state.greeting?.socket.close(CLOSED.replaced.code, CLOSED.replaced.reason);
    ctx.timer("greet", GREET_MS, { type: "greetMissed" });
    listen(greeting.socket, ctx);
    return { ...state, greeting };
  }

  function refuse(state: State, { code, reason }: Closed, ctx: Ctx) {
    log.warn("link refused", { peer: nameOf(peer), reason });
    state.greeting?.socket.close(code, reason);
    ctx.cancel("greet");
    return dialAfter({ ...state, greeting: null, lastRefusal: reason }, ctx);
  }

  function opened(state: State, { socket }: Greeting, ctx: Ctx): State {
    ctx.cancel("greet");
    ctx.cancel("dial");
    const before = state.open;
    if (before !== null) { // the other side has lost it, or it would not have come again
      service.end();
      wire.closed();
      before.socket.close(CLOSED.replaced.code, CLOSED.replaced.reason);
    }
    wire.opened(socket, ctx.guard(() => wire.flush()));
    ctx.timer("beat", BEAT_MS, { type: "beatDue" });
    log.info("machines linked", { peer: nameOf(peer), isOurs: isDialing });
    heard = { socket, frames: 0, atMs: ctx.now() };
    return { ...state, greeting: null, open: { socket, beats: 0 }, tries: 0, lastRefusal: null };
  }

  function close(state: State, { code, reason }: Closed, ctx: Ctx) {
    state.open?.socket.close(code, reason);
    return ended(state, reason, ctx);
  }

  function ended(state: State, reason: string, ctx: Ctx): State {
    log.warn("link lost", { peer: nameOf(peer), reason });
    ctx.cancel("beat");
    heard = null;
    service.end();
    wire.closed();
    deps.lost(peer);
    return dialAfter({ ...state, open: null }, ctx);
  }

  /** What the other says before it has proven itself. */
  function prover(state: State, greeting: Greeting, data: string | Uint8Array, ctx: Ctx): State {
    const { peerKey } = state;
    const text = typeof data === "string" ? data : null;
    if (peerKey === null) return refuse(state, CLOSED.wrongProof, ctx);
    if (greeting.isOurs) {
      const challenge = parse(Challenge, text);
      if (challenge === null) return refuse(state, CLOSED.malformed, ctx);
      const meeting = { ...greeting.meeting, toNonce: challenge.nonce };
      if (!isProven(peerKey, "challenge", meeting, challenge.proof)) {
        return refuse(state, CLOSED.wrongProof, ctx);
      }
      const answer: Answer = { proof: prove(key, "answer", meeting) };
      greeting.socket.send(JSON.stringify(answer));
      return opened(state, greeting, ctx);
    }
    const answer = parse(Answer, text);
    if (answer === null) return refuse(state, CLOSED.malformed, ctx);
    if (!isProven(peerKey, "answer", greeting.meeting, answer.proof)) {
      return refuse(state, CLOSED.wrongProof, ctx);
    }
    return opened(state, greeting, ctx);
  }

  /** A frame of the other machine. It goes past the mailbox, where a hop costs as much as all the rest; beats do not. */
  function take(from: Heard, data: string | Uint8Array, now: number): LinkMessage | void {
    from.atMs = now;
    try {
      const { number, entries } = parseFrame(data);
      if (number <= from.frames) return; // it came twice
      if (number > from.frames + 1) return broken(CLOSED.framesLost);
      from.frames = number;
      let beat: number | null = null;
      for (const entry of entries) {
        if (entry.type === "beat") beat = entry.beat;
        else if (entry.type !== "beaten") service.take(entry);
      }
      if (beat !== null) return { type: "beatCame", beat };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      log.error("link closed: the other is of another mind", { peer: nameOf(peer), error });
      return broken(CLOSED.malformed);
    }
  }

  /** Nothing more is taken from it. */
  function broken(closed: Closed): LinkMessage {
    heard = null;
    return { type: "broken", closed };
  }

  function readKey(ctx: Ctx): void {
    ctx.run("key", () => deps.peerKey(), (outcome) => ({ type: "keyRead", outcome }));
  }

  return {
    init(ctx) {
      readKey(ctx);
      return { peerKey: null, greeting: null, open: null, tries: 0, lastRefusal: null };
    },
    view: ({ open, greeting, tries, lastRefusal }) => ({
      peer: nameOf(peer),
      phase: open !== null ? "open" : greeting !== null ? "greeting" : "closed",
      tries,
      lastRefusal,
      ...wire.view,
    }),
    stopped({ greeting, open }) {
      service.end();
      wire.closed();
      const { code, reason } = CLOSED.gone;
      greeting?.socket.close(code, reason);
      open?.socket.close(code, reason);
    },
    on: {
      keyDue: (_state, _message, ctx) => readKey(ctx),
      keyRead(state, { outcome }, ctx) {
        if (!outcome.ok || outcome.value === null) {
          ctx.timer("key", BACKOFF.maxMs * deps.random(), { type: "keyDue" });
          return state;
        }
        return dialAfter({ ...state, peerKey: outcome.value }, ctx);
      },
      dialDue(state, _message, ctx) {
        if (state.open !== null || state.greeting !== null) return state;
        const unsigned = { from: self, to: peer, fromNonce: deps.newNonce(), toNonce: "" };
        const proof = prove(key, "hello", unsigned);
        const hello: Hello = { from: self, to: peer, nonce: unsigned.fromNonce, proof };
        ctx.timer("greet", DIAL_MS, { type: "greetMissed" });
        ctx.run(
          "dial",
          (signal) => deps.connect(settings.address, hello, signal),
          (outcome) => ({ type: "dialed", hello, outcome }),
        );
        return state;
      },
      dialed(state, { hello, outcome }, ctx) {
        if (!outcome.ok) {
          ctx.cancel("greet");
          const lastRefusal = messageOf(outcome.error);
          if (state.lastRefusal !== lastRefusal) {
            log.warn("cannot reach a machine", { peer: nameOf(peer), error: outcome.error });
          }
          return dialAfter({ ...state, lastRefusal }, ctx);
        }
        const meeting = { from: self, to: peer, fromNonce: hello.nonce, toNonce: "" };
        return greet(state, { socket: outcome.value, meeting, isOurs: true }, ctx);
      },
      knock(state, { hello, reply }) {
        const { peerKey } = state;
        const { from, to, nonce } = hello;
        if (peerKey === null) {
          return reply.fail(new AppError("busy", "Not known yet", { retryable: true }));
        }
        const meeting = { from, to, fromNonce: nonce, toNonce: "" };
        if (isDialing || !isProven(peerKey, "hello", meeting, hello.proof)) {
          return reply.fail(new AppError("forbidden", "Wrong proof"));
        }
        if (nonces.has(nonce)) return reply.fail(new AppError("forbidden", "Said before"));
        if (nonces.size >= NONCES_MAX) nonces.delete(nonces.values().next().value ?? "");
        nonces.add(nonce);
        reply(null);
      },
      connected(state, { hello: { from, to, nonce }, socket }, ctx) {
        const meeting = { from, to, fromNonce: nonce, toNonce: deps.newNonce() };
        const proof = prove(key, "challenge", meeting);
        const challenge: Challenge = { nonce: meeting.toNonce, proof };
        socket.send(JSON.stringify(challenge));
        return greet(state, { socket, meeting, isOurs: false }, ctx);
      },
      said(state, { socket, data }, ctx) {
        const { greeting } = state;
        if (greeting?.socket === socket) return prover(state, greeting, data, ctx);
        if (heard?.socket !== socket) return state;
        const next = take(heard, data, ctx.now()); // it came while its sender was proving itself
        if (next?.type === "broken") return close(state, next.closed, ctx);
        return state;
      },
      closed(state, { socket, code, reason }, ctx) {
        const why = `${code} ${reason}`;
        if (state.open?.socket === socket) return ended(state, why, ctx);
        if (state.greeting?.socket !== socket) return state;
        ctx.cancel("greet");
        log.warn("link refused", { peer: nameOf(peer), reason: why });
        return dialAfter({ ...state, greeting: null, lastRefusal: why }, ctx);
      },
      greetMissed(state, _message, ctx) {
        ctx.cancel("dial");
        return refuse(state, CLOSED.late, ctx);
      },
      beatDue(state, _message, ctx) {
        if (state.open === null) return state;
        if (heard === null || ctx.now() - heard.atMs >= SILENT_MS) {
          return close(state, CLOSED.silent, ctx);
        }
        const beats = state.open.beats + 1;
        wire.tell(beatEntry("beat", beats));
        ctx.timer("beat", BEAT_MS, { type: "beatDue" });
        return { ...state, open: { ...state.open, beats } };
      },
      beatCame: (_state, { beat }) => wire.tell(beatEntry("beaten", beat)),
      broken: (state, { closed }, ctx) => state.open === null ? state : close(state, closed, ctx),
    },
  };
}

function nameOf({ nodeId, incarnation }: Boot): string {
  return `${nodeId}/${incarnation}`;
}
