/** Twilio on loopback: its REST API for calls, and callers who phone us. */

import type { Clock } from "@/lib/clock.ts";
import { type Detected, type FakeCall, type FakeCallOptions, newFakeCall } from "./twilio_call.ts";
import { network, newWebhooks, type Reach } from "./twilio_webhooks.ts";

const API_VERSION = "2010-04-01";

export interface TwilioOptions {
  readonly clock: Clock;
  readonly accountSid: string;
  readonly authToken: string;
  /** How calls that are placed over the API reach the server that placed them. */
  readonly reach?: Reach;
  /** What happens at the number called. */
  readonly callee?: FakeCallOptions["callee"];
  /** What its detection of machines comes to, where a call asks for it. */
  readonly detects?: Detects;
  readonly media?: FakeCallOptions["media"];
  /** A media stream of an outbound call has begun. */
  readonly streamed?: FakeCallOptions["streamed"];
}

/** By the form that placed the call. */
export type Detects = (form: Readonly<Record<string, string>>) => Detected;

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly form: readonly (readonly [string, string])[];
  readonly userAgent: string;
}

/** How the next request to the API goes wrong. */
export type ApiFault =
  | { readonly type: "status"; readonly status: number; readonly code: number }
  | { readonly type: "garbage"; readonly status: number }
  /** The answer never comes. */
  | { readonly type: "hang" };

export interface FakeTwilio {
  /** For `TWILIO_API_URL`. */
  readonly url: string;
  readonly accountSid: string;
  readonly authToken: string;
  readonly requests: readonly ApiRequest[];
  /** All calls so far, outbound ones and those that `placeInbound` told of. */
  readonly calls: readonly FakeCall[];
  add(call: FakeCall): void;
  failNext(...faults: ApiFault[]): void;
  close(): Promise<void>;
}

/** Serves the part of the API that is needed to place, read and end calls, and to read the account. */
export function startTwilio(options: TwilioOptions): FakeTwilio {
  const { accountSid, authToken } = options;
  const calls: FakeCall[] = [];
  const requests: ApiRequest[] = [];
  const faults: ApiFault[] = [];
  const closing = new AbortController();
  const root = `/${API_VERSION}/Accounts/${accountSid}/Calls`;
  const authorization = `Basic ${btoa(`${accountSid}:${authToken}`)}`;

  async function answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const form = [...new URLSearchParams(await request.text())];
    const userAgent = request.headers.get("user-agent") ?? "";
    requests.push({ method: request.method, path: pathname, form, userAgent });
    const fault = faults.shift();
    if (fault !== undefined) return await misbehave(fault);
    if (request.headers.get("authorization") !== authorization) return failure(401, 20003);
    if (request.method === "GET" && pathname === `/${API_VERSION}/Accounts/${accountSid}.json`) {
      return Response.json({ sid: accountSid, status: "active", type: "Full" });
    }
    if (request.method !== "POST" || !pathname.startsWith(root)) return failure(404, 20404);
    if (pathname === `${root}.json`) return create(form);
    const sid = /^\/(CA[0-9a-f]{32})\.json$/.exec(pathname.slice(root.length))?.[1];
    return update(calls.find(({ carrierCallId }) => carrierCallId === sid), form);
  }

  function create(form: ApiRequest["form"]): Response {
    const { To: to = "", From: from = "", Url: url = "", ...rest } = Object.fromEntries(form);
    if (!/^\+[1-9]\d{1,14}$/.test(to)) return failure(400, 21211);
    if (!/^\+[1-9]\d{1,14}$/.test(from)) return failure(400, 21212);
    if (!URL.canParse(url)) return failure(400, 21205);
    const statusUrl = rest["StatusCallback"];
    const detection = detectionOf(rest);
    if (detection === "refused") return failure(400, 20001);
    const call = newFakeCall({
      webhooks: newWebhooks(options.reach ?? network("", ""), authToken),
      clock: options.clock,
      accountSid,
      callSid: newSid("CA"),
      from,
      to,
      direction: "outbound-api",
      url,
      statusEvents: form.flatMap(([name, value]) => name === "StatusCallbackEvent" ? [value] : []),
      ...(statusUrl === undefined ? {} : { statusUrl }),
      ...(options.callee === undefined ? {} : { callee: options.callee }),
      ...(options.media === undefined ? {} : { media: options.media }),
      ...(options.streamed === undefined ? {} : { streamed: options.streamed }),
      ...(detection === null || options.detects === undefined
        ? {}
        : { detection: { ...options.detects(rest), url: detection } }),
    });
    calls.push(call);
    return Response.json(resource(call, "queued"), { status: 201 });
  }

  function update(call: FakeCall | undefined, form: ApiRequest["form"]): Response {
    if (call === undefined) return failure(404, 20404);
    const { Status: status, Url: url } = Object.fromEntries(form);
    if (url !== undefined) {
      if (!call.redirect(url)) return failure(400, 21220);
      return Response.json(resource(call, "in-progress"));
    }
    if (status !== "completed") return failure(400, 21218);
    if (!call.complete()) return failure(404, 20404);
    return Response.json(resource(call, "completed"));
  }

  function resource(call: FakeCall, status: string): Record<string, unknown> {
    const sid = call.carrierCallId;
    return {
      ...{ sid, status, account_sid: accountSid, api_version: API_VERSION },
      uri: `${root}/${sid}.json`,
    };
  }

  async function misbehave(fault: ApiFault): Promise<Response> {
    if (fault.type === "status") return failure(fault.status, fault.code);
    if (fault.type === "garbage") return new Response("<html>oops", { status: fault.status });
    const { promise, resolve } = Promise.withResolvers<void>();
    closing.signal.addEventListener("abort", () => resolve());
    await promise;
    return new Response(null, { status: 503 });
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    accountSid,
    authToken,
    requests,
    calls,
    add: (call) => void calls.push(call),
    failNext: (...more) => void faults.push(...more),
    async close() {
      for (const call of calls) call.hangUp();
      await Promise.all(calls.map(({ ended }) => ended));
      closing.abort();
      await server.shutdown();
    },
  };
}

/** Where the answer goes; null: the call asks for none, which goes for the detection that keeps a call waiting as well. */
function detectionOf(form: Readonly<Record<string, string>>): string | null | "refused" {
  const { MachineDetection: mode, MachineDetectionTimeout: timeout = "30" } = form;
  if (mode === undefined) return null;
  const isMode = mode === "Enable" || mode === "DetectMessageEnd";
  const isTimeout = /^\d+$/.test(timeout) && Number(timeout) >= 3 && Number(timeout) <= 59;
  if (!isMode || !isTimeout) return "refused";
  const { AsyncAmd: isAsync, AsyncAmdStatusCallback: url = "" } = form;
  return isAsync === "true" && URL.canParse(url) ? url : null;
}

/** An error as Twilio writes it. */
function failure(status: number, code: number): Response {
  const message = `Error ${code}`;
  const more_info = `https://www.twilio.com/docs/errors/${code}`;
  return Response.json({ code, message, more_info, status }, { status });
}

export function newSid(prefix: "AC" | "CA"): string {
  return `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
}

export interface InboundOptions {
  /** Where the voice webhook is really reached: `http://127.0.0.1:8000/twilio/voice?agentId=…`. */
  readonly webhookUrl: string;
  /** What the server believes it is reached at, and what is signed: its PUBLIC_URL. */
  readonly publicUrl: string;
  readonly authToken: string;
  readonly from: string;
  readonly to: string;
  readonly clock: Clock;
  /** The API over which the server may hang up. Without it only TwiML and the socket can. */
  readonly twilio?: FakeTwilio;
  /** A path under the public URL, for the callback that tells of the end: `/twilio/status`. */
  readonly statusPath?: string;
  readonly media?: FakeCallOptions["media"];
  readonly dialed?: FakeCallOptions["dialed"];
  readonly streamed?: FakeCallOptions["streamed"];
  /** In place of the network. */
  readonly reach?: Reach;
}

/** Phones a number of ours. Resolves when a media stream, or a relay, is live or the call has ended without one. */
export async function placeInbound(options: InboundOptions): Promise<FakeCall> {
  const { webhookUrl, publicUrl, clock, twilio, from, to } = options;
  const { origin, pathname, search } = new URL(webhookUrl);
  const reach = options.reach ?? network(publicUrl, origin);
  const live = Promise.withResolvers<void>();
  const call = newFakeCall({
    webhooks: newWebhooks(reach, options.authToken),
    clock,
    accountSid: twilio?.accountSid ?? newSid("AC"),
    callSid: newSid("CA"),
    from,
    to,
    direction: "inbound",
    url: `${publicUrl}${pathname}${search}`,
    ...(options.statusPath === undefined ? {} : { statusUrl: publicUrl + options.statusPath }),
    ...(options.media === undefined ? {} : { media: options.media }),
    ...(options.dialed === undefined ? {} : { dialed: options.dialed }),
    streamed(stream) {
      options.streamed?.(stream);
      live.resolve();
    },
    relayed: () => live.resolve(),
  });
  twilio?.add(call);
  await Promise.race([live.promise, call.ended]);
  return call;
}
