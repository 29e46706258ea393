/** Asks a provider whether it knows a credential, by its cheapest read that needs one. */

import { z } from "zod";
import type { CredentialProvider, CredentialValues } from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import { Secret } from "@/lib/secret.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";

export type CredentialVerdict =
  | { readonly type: "valid" }
  /** The provider does not take it, because of this field. */
  | { readonly type: "refused"; readonly field: string }
  /** There was no answer that says either. */
  | { readonly type: "unreachable" };

/** All but LiveKit, whose keys sign requests and are never sent. */
export type ProbedProvider = Exclude<CredentialProvider, "livekit">;

/** Rejects only when `signal` is aborted. */
export type CheckCredential = (
  provider: CredentialProvider,
  values: CredentialValues,
  signal: AbortSignal,
) => Promise<CredentialVerdict>;

export interface CredentialCheckOptions {
  /** Where each provider's API is, without a trailing slash: OpenAI's ends in its version. */
  readonly urls: Readonly<Record<ProbedProvider, string>>;
  readonly checkLiveKit: (
    values: CredentialValues,
    signal: AbortSignal,
  ) => Promise<CredentialVerdict>;
  /** With limits of its own. */
  readonly fetch: typeof fetch;
}

interface Probe {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The field that is wrong when the provider says 401. */
  readonly field: string;
  /** What a body of the provider's says against its status. */
  read?(status: number, body: unknown): CredentialVerdict | null;
}

const VALID: CredentialVerdict = { type: "valid" };
const UNREACHABLE: CredentialVerdict = { type: "unreachable" };

export function credentialCheck(options: CredentialCheckOptions): CheckCredential {
  return async (provider, values, signal) => {
    if (provider === "livekit") return await options.checkLiveKit(values, signal);
    const { path, headers, field, read } = PROBES[provider](values);
    try {
      const response = await options.fetch(`${options.urls[provider]}${path}`, {
        headers: { Accept: "application/json", ...headers },
        redirect: "manual", // a key goes to its provider and no further
        signal,
      });
      const answer = await response.text(); // read by all, so that no connection is left open
      const told = read?.(response.status, jsonOf(answer)) ?? null;
      if (told !== null) return told;
      if (response.ok) return VALID;
      return response.status === 401 ? { type: "refused", field } : UNREACHABLE;
    } catch {
      signal.throwIfAborted();
      return UNREACHABLE;
    }
  };
}

/** Asks a project for its rooms. A project that does not answer may be the wrong URL, or be away. */
export function liveKitCheck(
  newLiveKit: (account: LiveKitAccount) => Pick<LiveKit, "listRooms">,
): CredentialCheckOptions["checkLiveKit"] {
  return async ({ url = "", apiKey = "", apiSecret = "" }, signal) => {
    try {
      await newLiveKit({ url, apiKey, apiSecret: new Secret(apiSecret) }).listRooms(signal);
      return VALID;
    } catch (error) {
      signal.throwIfAborted();
      const isRefused = error instanceof AppError && error.status === 401;
      return isRefused ? { type: "refused", field: "apiSecret" } : UNREACHABLE;
    }
  };
}

const PROBES: Readonly<Record<ProbedProvider, (values: CredentialValues) => Probe>> = {
  // https://www.twilio.com/docs/iam/api/account#fetch-an-account-resource
  twilio: ({ accountSid = "", authToken = "" }) => ({
    path: `/2010-04-01/Accounts/${encodeURIComponent(accountSid)}.json`,
    headers: {
      Authorization: `Basic ${new TextEncoder().encode(`${accountSid}:${authToken}`).toBase64()}`,
    },
    field: "authToken",
    // A suspended or closed account places no calls.
    read(status, body) {
      const account = z.object({ status: z.string() }).safeParse(body).data;
      const isOff = status === 200 && account !== undefined && account.status !== "active";
      return isOff ? { type: "refused", field: "accountSid" } : null;
    },
  }),
  // https://developers.deepgram.com/docs/authenticating#test-request
  deepgram: ({ apiKey = "" }) => ({
    path: "/v1/auth/token",
    headers: { Authorization: `Token ${apiKey}` },
    field: "apiKey",
  }),
  // https://platform.openai.com/docs/api-reference/models/list
  openai: ({ apiKey = "" }) => ({
    path: "/models",
    headers: { Authorization: `Bearer ${apiKey}` },
    field: "apiKey",
    // A restricted key may lack this read and be good all the same: 401 or 403, in these words (2026-11).
    read(status, body) {
      const { data } = z.object({ error: z.object({ message: z.string() }) }).safeParse(body);
      const isKnown = (status === 401 || status === 403) &&
        /missing scopes/i.test(data?.error.message ?? "");
      return isKnown ? VALID : null;
    },
  }),
  // https://platform.claude.com/docs/en/api/models-list
  anthropic: ({ apiKey = "" }) => ({
    path: "/v1/models?limit=1",
    headers: { Authorization: `Bearer ${apiKey}`, "anthropic-version": "2026-10-21" },
    field: "apiKey",
  }),
  // https://elevenlabs.io/docs/api-reference/user/get
  elevenlabs: ({ apiKey = "" }) => ({
    path: "/v1/user",
    headers: { "xi-api-key": apiKey },
    field: "apiKey",
    // A key that may only speak is refused this read with 401 as well, and another word (2026-11).
    read(status, body) {
      const { data } = z.object({ detail: z.object({ status: z.string() }) }).safeParse(body);
      return status === 401 && data?.detail.status === "missing_permissions" ? VALID : null;
    },
  }),
};

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
