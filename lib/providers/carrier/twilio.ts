/** Twilio's REST API, by its SDK. https://www.twilio.com/docs/voice/api/call-resource */

import type TwilioClient from "twilio/lib/rest/Twilio.js";
import type RequestClient from "twilio/lib/base/RequestClient.js";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { Carrier } from "./carrier.ts";
import type { Detection } from "./detection.ts";

export interface TwilioOptions {
  readonly accountSid: string;
  readonly authToken: string;
  /** Where the API is, without a trailing slash; `https://api.twilio.com` when absent. */
  readonly apiUrl?: string;
  readonly fetch?: typeof fetch;
}

const API_URL = "https://api.twilio.com";
/** No such call any more, and a call that is not live: https://www.twilio.com/docs/api/errors/20404, …/21220. */
const ENDED: ReadonlySet<unknown> = new Set([20404, 21220]);
const STATUS_EVENTS = ["initiated", "ringing", "answered", "completed"];

type Client = typeof TwilioClient;

/**
 * Loads the SDK, which reads the whole environment and holds the event loop for about 100 ms: at the
 * start, where no call is live. What it returns makes the carrier of an account.
 */
export async function loadTwilio(): Promise<(options: TwilioOptions) => Carrier> {
  const { default: Client } = await import("twilio/lib/rest/Twilio.js");
  // The SDK loads the pages of its API when they are first read.
  void new Client("AC", "none").calls;
  return (options) => carrierOf(Client, options);
}

export async function twilio(options: TwilioOptions): Promise<Carrier> {
  return (await loadTwilio())(options);
}

function carrierOf(Client: Client, options: TwilioOptions): Carrier {
  /** A client for one request, since the SDK takes no signal: its `httpClient` is ours, over `fetch`. */
  function newClient(signal: AbortSignal): TwilioClient {
    const httpClient = { request: requester(options, signal) };
    return new Client(options.accountSid, options.authToken, {
      autoRetry: false,
      // Of its client class the SDK calls `request` alone; the rest is fields of axios.
      httpClient: httpClient as unknown as RequestClient,
    });
  }

  return {
    provider: "twilio",
    async placeCall(request, signal) {
      const client = newClient(signal);
      try {
        const call = await client.calls.create({
          to: request.to,
          from: request.from,
          url: request.answerUrl,
          statusCallback: request.statusUrl,
          statusCallbackEvent: STATUS_EVENTS,
          timeLimit: request.timeLimitSeconds,
          ...(request.detection === undefined ? {} : detecting(request.detection)),
        });
        if (!/^CA\w+$/.test(call.sid)) throw new Error("The answer names no call");
        return { carrierCallId: call.sid };
      } catch (error) {
        // Never by itself again: without a plain refusal the call may have been placed.
        throw toFailure("place a call", error, { signal, repeatable: false });
      }
    },
    async hangUp(carrierCallId, signal) {
      const client = newClient(signal);
      try {
        await client.calls(carrierCallId).update({ status: "completed" });
      } catch (error) {
        if (ENDED.has(codeOf(error))) return;
        throw toFailure("hang up", error, { signal, repeatable: true });
      }
    },
    async redirect(carrierCallId, url, signal) {
      const client = newClient(signal);
      try {
        await client.calls(carrierCallId).update({ url, method: "POST" });
        return true;
      } catch (error) {
        if (ENDED.has(codeOf(error))) return false;
        throw toFailure("redirect a call", error, { signal, repeatable: true });
      }
    },
  };
}

/** While the call goes on: who has answered is not kept waiting for it. */
function detecting({ awaitsGreeting, timeoutSeconds, url }: Detection) {
  return {
    machineDetection: awaitsGreeting ? "DetectMessageEnd" : "Enable",
    machineDetectionTimeout: timeoutSeconds,
    asyncAmd: "true",
    asyncAmdStatusCallback: url,
  };
}

type Request = Pick<RequestClient, "request">["request"];
interface ApiResponse {
  readonly statusCode: number;
  readonly body: unknown;
}

function requester(options: TwilioOptions, signal: AbortSignal): (
  request: Parameters<Request>[0],
) => Promise<ApiResponse> {
  const { apiUrl = API_URL, fetch = globalThis.fetch } = options;
  return async ({ method, uri, headers, data }) => {
    const { pathname, search } = new URL(uri);
    const credentials = new TextEncoder().encode(`${options.accountSid}:${options.authToken}`);
    const response = await fetch(`${apiUrl}${pathname}${search}`, {
      method: method.toUpperCase(),
      headers: {
        "Accept": "application/json",
        "Authorization": `Basic ${credentials.toBase64()}`,
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": String(headers?.["User-Agent"] ?? "twilio-node"),
      },
      body: toForm(data),
      redirect: "error",
      signal,
    });
    const text = await response.text();
    return { statusCode: response.status, body: toJson(text) };
  };
}

/** The SDK's parameters as Twilio reads them: an array is its name repeated, undefined is left out. */
function toForm(data: unknown): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(data ?? {})) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) form.append(name, String(one));
  }
  return form;
}

/** A body that is no JSON comes from something before Twilio: the text then, which the SDK can take. */
function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/**
 * The signal's reason stays itself. Anything without a status never reached Twilio or never came
 * back. A 429 was never processed. Twilio's own sentence may name the number called, so its code
 * stands for it.
 */
function toFailure(
  what: string,
  error: unknown,
  { signal, repeatable }: { readonly signal: AbortSignal; readonly repeatable: boolean },
): unknown {
  if (signal.aborted) return signal.reason;
  const status = error instanceof Error && "status" in error ? Number(error.status) : undefined;
  if (status === undefined) {
    const message = `Cannot ${what} by Twilio: ${messageOf(error)}`;
    return new AppError("provider_failed", message, { retryable: repeatable, cause: error });
  }
  return new AppError(
    "provider_failed",
    `Cannot ${what} by Twilio: status ${status}, code ${codeOf(error) ?? "none"}`,
    { retryable: status === 429 || (repeatable && status >= 500), status },
  );
}
