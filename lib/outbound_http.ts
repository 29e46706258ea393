/** The way out over HTTP: resolved once, checked, and connected to that very address. */

import { lookup } from "node:dns/promises";
import http, { type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";
import type { Clock } from "./clock.ts";
import { AppError } from "./errors.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "./outbound.ts";
import { orAborted, untilAborted } from "./until_aborted.ts";
import { type Destination, destinationOf, isPublic, refused } from "./outbound_address.ts";

/** All headers of an answer together. */
const HEADER_BYTES_MAX = 16 * 1024;
/** Addresses of one name that are looked at; a name with more is refused. */
const ADDRESSES_MAX = 32;
/** Ours to set: what a caller gives of these is dropped. */
const OWN_HEADERS =
  /^(host|connection|content-length|transfer-encoding|expect|upgrade|te|trailer)$/i;

export interface OutboundOptions {
  /** `host:port` of exactly the private destinations that are allowed. */
  readonly allow: readonly string[];
  readonly clock: Clock;
  /** All addresses of a name; the system's resolver when absent. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

interface Pinned {
  readonly address: string;
  readonly family: 4 | 6;
}

export function outboundHttp(
  { allow, clock, resolve = systemAddresses }: OutboundOptions,
): Outbound {
  /** One private address among many refuses the name: which one would be taken is a matter of luck. */
  async function pin({ host, isAllowed }: Destination): Promise<Pinned> {
    let addresses: readonly string[];
    try {
      addresses = await resolve(host);
    } catch (cause) {
      throw failed("its name was not found", cause);
    }
    const [address] = addresses;
    if (address === undefined) throw failed("its name has no address");
    const isGood = isAllowed || (addresses.length <= ADDRESSES_MAX && addresses.every(isPublic));
    if (!isGood) throw refused("leads to a private address");
    return { address, family: address.includes(":") ? 6 : 4 };
  }

  return {
    check: (url) => void destinationOf(url, allow),
    async send(request, signal) {
      const destination = destinationOf(request.url, allow);
      const limit = new AbortController();
      const disarm = clock.timer(
        request.totalMs,
        () => limit.abort(failed(`it did not answer within ${request.totalMs} ms`)),
      );
      const ended = AbortSignal.any([signal, limit.signal]);
      try {
        const pinned = await orAborted(pin(destination), ended);
        return await exchange(destination, pinned, request, ended);
      } catch (error) {
        if (ended.aborted) throw ended.reason;
        throw error instanceof AppError ? error : failed("its connection was lost", error);
      } finally {
        disarm();
      }
    },
  };
}

async function systemAddresses(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);
}

/** Resolves with the whole answer; the connection is never used again. */
async function exchange(
  { url }: Destination,
  { address, family }: Pinned,
  request: OutboundRequest,
  signal: AbortSignal,
): Promise<OutboundAnswer> {
  const body = typeof request.body === "string"
    ? new TextEncoder().encode(request.body)
    : request.body;
  const own = Object.entries(request.headers).filter(([name]) => !OWN_HEADERS.test(name));
  const options: RequestOptions = {
    method: request.method,
    headers: {
      "accept-encoding": "identity",
      ...Object.fromEntries(own),
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
    },
    agent: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    // The name stays for `Host` and for the certificate; the address is the one that was checked.
    lookup: (_host, { all }, told) =>
      all ? told(null, [{ address, family }]) : told(null, address, family),
  };
  const client = url.protocol === "https:" ? https : http;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = client.request(url, options, resolve);
  const abort = (): void => void sent.destroy();
  signal.addEventListener("abort", abort, { once: true });
  sent.on("error", reject); // and stays, for errors after the answer began
  try {
    sent.end(body);
    const answer = await orAborted(promise, signal);
    return { ...headOf(answer), ...await readBody(answer, request.maxBytes, signal) };
  } finally {
    signal.removeEventListener("abort", abort);
    sent.destroy();
  }
}

function headOf(
  { statusCode = 0, headers }: IncomingMessage,
): Pick<OutboundAnswer, "status" | "headers"> {
  const named = Object.entries(headers).map(([name, value]) => [name, String(value)] as const);
  return { status: statusCode, headers: Object.fromEntries(named) };
}

async function readBody(
  answer: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Pick<OutboundAnswer, "body" | "isCut">> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of untilAborted<Uint8Array>(answer, signal)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) break;
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return { body: whole.subarray(0, maxBytes), isCut: bytes > maxBytes };
}

function failed(what: string, cause?: unknown): AppError {
  return new AppError("provider_failed", `The destination failed: ${what}`, {
    retryable: true,
    cause,
  });
}
