/** Deepgram on loopback: its listen sockets (v1 and v2) hear tones, its speak socket makes them. */

import { type Clock, systemClock } from "@/lib/clock.ts";
import { fluxSession } from "./deepgram_flux.ts";
import { novaSession } from "./deepgram_nova.ts";
import { speakSession } from "./deepgram_speak.ts";
import {
  type Peer,
  type ProtocolServer,
  type Session,
  startProtocolServer,
} from "./protocol_server.ts";

export interface DeepgramServerOptions {
  readonly apiKey: string;
  readonly clock?: Clock;
}

export interface DeepgramServer extends ProtocolServer {
  /** The addresses that were connected to: path and query. */
  readonly requests: readonly URL[];
  /** Text messages of clients, in order, over all connections. */
  readonly received: readonly Command[];
  /** Resolves with the next text message. */
  nextCommand(): Promise<Command>;
}

/** A client's text message. */
export type Command = Readonly<Record<string, unknown>>;

/** What a session has to work with. */
export interface DeepgramContext {
  readonly peer: Peer;
  readonly query: URLSearchParams;
  readonly clock: Clock;
}

/** A session as its protocol has it: text that is not JSON never reaches it. */
export interface DeepgramSession {
  command(message: Command): void;
  audio(audio: Uint8Array): void;
  closed(): void;
}

interface Endpoint {
  readonly models: RegExp;
  /** True when the rest of the query is one Deepgram would take. */
  isValid(query: URLSearchParams): boolean;
  open(context: DeepgramContext): DeepgramSession;
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/v1/listen": {
    models: /^nova-/,
    open: novaSession,
    isValid(query) {
      const utteranceEnd = query.get("utterance_end_ms");
      if (utteranceEnd === null) return true;
      return Number(utteranceEnd) >= 1000 && query.get("interim_results") === "true";
    },
  },
  "/v2/listen": {
    models: /^flux-general-(en|multi)$/,
    open: fluxSession,
    isValid: (query) =>
      (query.has("language_hint") ? query.get("model") === "flux-general-multi" : true) &&
      isWithin(query.get("eot_threshold"), 0.5, 1) &&
      isWithin(query.get("eager_eot_threshold"), 0.3, Number(query.get("eot_threshold") ?? 0.7)) &&
      isWithin(query.get("eot_timeout_ms"), 500, 60_000),
  },
  "/v1/speak": { models: /^aura-/, open: speakSession, isValid: () => true },
};

function isWithin(value: string | null, least: number, most: number): boolean {
  return value === null || (Number(value) >= least && Number(value) <= most);
}

export async function startDeepgram(options: DeepgramServerOptions): Promise<DeepgramServer> {
  const { apiKey, clock = systemClock } = options;
  const requests: URL[] = [];
  const received: Command[] = [];
  const waiting: ((command: Command) => void)[] = [];

  const server = await startProtocolServer({
    accept(request, url) {
      if (request.headers.authorization !== `Token ${apiKey}`) return 401;
      const endpoint = ENDPOINTS[url.pathname];
      if (endpoint === undefined) return 404;
      const query = url.searchParams;
      // µ-law at 8 kHz is all that we hear and speak here.
      if (query.get("encoding") !== "mulaw" || query.get("sample_rate") !== "8000") return 400;
      if (!endpoint.models.test(query.get("model") ?? "") || !endpoint.isValid(query)) return 400;
      requests.push(url);
      return (peer) => {
        const session = endpoint.open({ peer, query, clock });
        return overJson(peer, session, (command) => {
          received.push(command);
          waiting.splice(0).forEach((resolve) => resolve(command));
        });
      };
    },
  });
  const nextCommand = (): Promise<Command> => new Promise((resolve) => waiting.push(resolve));
  return Object.assign(server, { requests, received, nextCommand });
}

function overJson(peer: Peer, session: DeepgramSession, seen: (command: Command) => void): Session {
  return {
    text(message) {
      const command = commandOf(message);
      if (command === null) {
        const description = "The message is not of the protocol";
        peer.send({ type: "Error", code: "UNPARSABLE_CLIENT_MESSAGE", description });
        return peer.close(1008, "UNPARSABLE_CLIENT_MESSAGE");
      }
      seen(command);
      session.command(command);
    },
    bytes: (audio) => session.audio(audio),
    closed: () => session.closed(),
  };
}

function commandOf(message: string): Command | null {
  try {
    const parsed: unknown = JSON.parse(message);
    return typeof parsed === "object" && parsed !== null && "type" in parsed
      ? parsed as Command // an object with a type: the session looks at the rest
      : null;
  } catch {
    return null;
  }
}
