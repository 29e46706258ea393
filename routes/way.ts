/**
 * The way of a socket to the machine that holds its call. On Fly its proxy brings it there; elsewhere this
 * machine carries it, over one hop at most.
 *
 * Signatures and tickets are checked where the call is. A media socket's can be checked nowhere else without a
 * query, since only its call knows by whose account it is signed; and whoever gets through a tunnel meets the
 * same door that every machine has open anyway. What strangers could take up is bounded: tunnels that wait for
 * an answer (`lib/tunnel.ts`), sockets of one address, and paths that are none go nowhere.
 */

import type { IncomingMessage } from "node:http";
import type { EdgeConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { LISTEN_PROTOCOL } from "@/lib/listening.ts";
import type { Log } from "@/lib/log.ts";
import { parsePlace } from "@/lib/place.ts";
import { isSameHash, peppered } from "@/lib/pepper.ts";
import { counter, gauge } from "@/lib/prometheus.ts";
import type { Secret } from "@/lib/secret.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import type { TunnelMetrics, Tunnels } from "@/lib/tunnel.ts";
import { peerAddress } from "./edge.ts";
import { problem, STATUS_OF } from "./errors.ts";
import { parsePath } from "./media.ts";
import { resumedCall } from "./talk_socket.ts";

/** https://fly.io/docs/networking/dynamic-request-routing/: the proxy tries for so long, then comes back. */
const REPLAY = "timeout=2s;fallback=prefer_self";
/** Pages come again within a second. */
const UNREACHED_MAX = 1_000;
/** What a machine that carries a socket adds: its name, and the proof that it is one of ours. */
const CARRIED = "x-ringmaster-carried";

export interface WayDeps {
  /** This machine, as media paths name it. */
  readonly nodeId: string;
  /** On Fly its proxy takes `fly-replay`. */
  readonly edge: EdgeConfig;
  /** Shared by all machines. Null: none knows another's sockets from a stranger's. */
  readonly pepper: Secret | null;
  /** Whether a call lives on this machine. */
  isHere(callId: string): boolean;
  /** `HOST:PORT` of a machine; null: there is none of this name. */
  addressOf(nodeId: string): Promise<string | null>;
  /** The machine that holds a call; null: none does. */
  holderOf(callId: string): Promise<{ readonly nodeId: string } | null>;
  /** Whether an address may open another socket on this machine. */
  mayOpen(address: string): boolean;
  readonly tunnels: Tunnels;
  readonly log: Log;
}

export interface Way {
  /** Null: it is to be answered here. */
  elsewhere(request: IncomingMessage): Promise<UpgradeAnswer | null>;
  /** Whether whoever asks may open another socket: counted by address, on the first machine that it comes to. */
  mayOpen(request: IncomingMessage): boolean;
  /** Prometheus text. */
  text(): string;
}

export function newWay(deps: WayDeps): Way {
  const { nodeId, pepper, edge, tunnels, log } = deps;
  let replayed = 0;
  let returned = 0;
  /** Calls of pages whose machine could not be reached: who comes for one again is answered here, once. */
  const unreached = new Set<string>();

  function proofOf(by: string, url: string): string {
    if (pepper === null) return "";
    return new Uint8Array(peppered(pepper, "carried socket", `${by} ${url}`)).toHex();
  }

  /** Whether another machine of ours has brought it. */
  function isCarried({ headers, url = "" }: IncomingMessage): boolean {
    const [, by = "", proof = ""] = /^([\w.-]+);([0-9a-f]{64})$/.exec(told(headers[CARRIED])) ?? [];
    if (pepper === null || by === "") return false;
    const encoder = new TextEncoder();
    return isSameHash(encoder.encode(proof), encoder.encode(proofOf(by, url)));
  }

  function mayOpen(request: IncomingMessage): boolean {
    const address = peerAddress(request, edge);
    return address === null || isCarried(request) || deps.mayOpen(address);
  }

  /** Whoever holds the call that a socket names, unless that is nobody or this machine. */
  async function holderOf(request: IncomingMessage): Promise<string | null> {
    const named = namedBy(request);
    if (named === null || deps.isHere(named.callId)) return null;
    if (named.node !== null) return named.node === nodeId ? null : named.node;
    if (unreached.delete(named.callId)) return null;
    if (!mayOpen(request)) return null; // it is refused here
    const holder = await deps.holderOf(named.callId);
    return holder === null || holder.nodeId === nodeId ? null : holder.nodeId;
  }

  function replay(to: string): UpgradeAnswer {
    replayed++;
    const headers = { "fly-replay": `instance=${to};${REPLAY}` };
    return { type: "refuse", status: 409, body: "", headers };
  }

  async function carry(request: IncomingMessage, to: string): Promise<UpgradeAnswer | null> {
    const address = await deps.addressOf(to);
    if (address === null) return null; // gone: who holds the call now is found by the carrier's asking
    return {
      type: "carry",
      isStranger: parsePath(request.url ?? "") === null,
      async take(raw, head) {
        try {
          const carried = `${nodeId};${proofOf(nodeId, request.url ?? "")}`;
          await tunnels.open(raw, repeated(request, carried, head), parsePlace(address));
          return null;
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          const page = resumedCall(request);
          if (page !== null && unreached.size < UNREACHED_MAX) unreached.add(page);
          const requestId = newId("request");
          log.warn("socket not carried", { requestId, to, address, code: error.code, error });
          return { type: "refuse", status: STATUS_OF[error.code], body: problem(error, requestId) };
        }
      },
    };
  }

  return {
    async elsewhere(request) {
      const { headers } = request;
      // Brought here for its call: it goes no further, and is refused if there is no such call.
      if (isTold(headers[CARRIED]) || isTold(headers["fly-replay-src"])) return null;
      const failed = told(headers["fly-replay-failed"]);
      if (failed !== "") {
        returned++;
        log.warn("socket could not be replayed", { why: failed.slice(0, 200) });
        // It may be cordoned: who owns the call answers on the private network. Who is silent there, is here too.
        if (!/(^|;)reason=no_candidate(;|$)/.test(failed)) return null;
      }
      const to = await holderOf(request);
      if (to === null) return null;
      return edge.trustsFly && failed === "" ? replay(to) : await carry(request, to);
    },
    mayOpen,
    text: () => metricsText(tunnels.metrics(), { replayed, returned }),
  };
}

/** The call that a socket is for, where it says so; `node`: the machine that its path names. */
function namedBy(
  request: IncomingMessage,
): { readonly callId: string; readonly node: string | null } | null {
  const { url = "", headers } = request;
  const media = parsePath(url);
  // An unsigned one is refused here as well as there.
  if (media !== null) return isTold(headers["x-twilio-signature"]) ? media : null;
  const [protocol] = told(headers["sec-websocket-protocol"]).split(/\s*,\s*/);
  const listened = /^\/calls\/(call_[\w-]{36})\/listen$/.exec(url)?.[1];
  const callId = listened === undefined
    ? resumedCall(request)
    : protocol === LISTEN_PROTOCOL
    ? listened
    : null;
  return callId === null ? null : { callId, node: null };
}

function told(header: string | readonly string[] | undefined): string {
  return typeof header === "string" ? header : "";
}

function isTold(header: string | readonly string[] | undefined): boolean {
  return header !== undefined && header !== "";
}

/** The request as it came, its names and values byte for byte, with who carries it. */
function repeated({ method, url, rawHeaders }: IncomingMessage, by: string, rest: Uint8Array) {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  }
  lines.push(`${CARRIED}: ${by}`, "", "");
  const head = Uint8Array.from(lines.join("\r\n"), (char) => char.charCodeAt(0)); // latin1, as it came
  const all = new Uint8Array(head.length + rest.length);
  all.set(head);
  all.set(rest, head.length);
  return all;
}

function metricsText(
  { open, opened, refused, unreachable, ends, bytesThere, bytesBack }: TunnelMetrics,
  { replayed, returned }: { readonly replayed: number; readonly returned: number },
): string {
  const answers = { opened, refused, unreachable };
  return [
    gauge("carried_sockets", "Sockets that this machine carries to others now.", [[{}, open]]),
    counter(
      "carried_sockets_total",
      "Sockets for other machines, by what these answered.",
      Object.entries(answers).map(([answer, count]) => [{ answer }, count]),
    ),
    counter(
      "carried_sockets_ended_total",
      "Carried sockets by how they ended.",
      Object.entries(ends).map(([why, count]) => [{ why }, count]),
    ),
    counter("carried_bytes_total", "Bytes carried to other machines, and back.", [
      [{ direction: "there" }, bytesThere],
      [{ direction: "back" }, bytesBack],
    ]),
    counter("replayed_sockets_total", "Sockets that Fly's proxy was told to bring elsewhere.", [
      [{}, replayed],
    ]),
    counter("returned_sockets_total", "Sockets that Fly's proxy could bring nowhere.", [
      [{}, returned],
    ]),
  ].join("");
}
