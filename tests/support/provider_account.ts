/** The providers' reads of an account on loopback: what each answers to the key it knows, and to any other. */

import type { ProbedProvider } from "@/lib/providers/credential_check.ts";

export interface AccountServer {
  readonly url: string;
  readonly requests: readonly { readonly path: string; readonly headers: Headers }[];
  /** The next request is answered so. */
  answerNext(status: number, body: unknown): void;
  close(): Promise<void>;
}

/** As each provider answers a key that it does not know (2026-11). */
const UNKNOWN: Readonly<Record<ProbedProvider, unknown>> = {
  twilio: { code: 20003, message: "Authenticate", more_info: "", status: 401 },
  deepgram: { err_code: "INVALID_AUTH", err_msg: "Invalid credentials.", request_id: "1" },
  openai: {
    error: { message: "Incorrect API key provided: sk-***.", code: "invalid_api_key" },
  },
  anthropic: {
    type: "error",
    error: { type: "authentication_error", message: "invalid x-api-key" },
    request_id: "req_1",
  },
  elevenlabs: { detail: { status: "invalid_api_key", message: "Invalid API key" } },
};

interface Account {
  readonly path: string;
  readonly header: readonly [name: string, value: string];
  readonly body: unknown;
}

export const ACCOUNT_SID = `AC${"0123456789abcdef".repeat(2)}`;
export const ACCOUNT_KEY = "sk-proj-0123456789abcdef0123456789f3a9";

const ACCOUNTS: Readonly<Record<ProbedProvider, Account>> = {
  twilio: {
    path: `/2010-04-01/Accounts/${ACCOUNT_SID}.json`,
    header: ["authorization", `Basic ${btoa(`${ACCOUNT_SID}:${ACCOUNT_KEY}`)}`],
    body: { sid: ACCOUNT_SID, status: "active", type: "Full" },
  },
  deepgram: {
    path: "/v1/auth/token",
    header: ["authorization", `Token ${ACCOUNT_KEY}`],
    body: { api_key_id: "1", scopes: ["usage:write"] },
  },
  openai: {
    path: "/v1/models",
    header: ["authorization", `Bearer ${ACCOUNT_KEY}`],
    body: { object: "list", data: [{ id: "gpt-4.1-mini", object: "model" }] },
  },
  anthropic: {
    path: "/v1/models",
    header: ["authorization", `Bearer ${ACCOUNT_KEY}`],
    body: { data: [{ type: "model", id: "claude-haiku-4-5" }], has_more: true },
  },
  elevenlabs: {
    path: "/v1/user",
    header: ["xi-api-key", ACCOUNT_KEY],
    body: { subscription: { tier: "creator" }, is_new_user: false },
  },
};

export function startAccountServer(provider: ProbedProvider): AccountServer {
  const { path, header: [name, value], body } = ACCOUNTS[provider];
  const requests: { path: string; headers: Headers }[] = [];
  const next: Response[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    requests.push({ path: pathname, headers: request.headers });
    const planned = next.shift();
    if (planned !== undefined) return planned;
    if (request.headers.get(name) !== value) {
      return Response.json(UNKNOWN[provider], { status: 401 });
    }
    if (request.method !== "GET" || pathname !== path) return new Response(null, { status: 404 });
    return Response.json(body);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}${provider === "openai" ? "/v1" : ""}`,
    requests,
    answerNext(status, planned) {
      const headers = status === 302 ? { location: "/elsewhere" } : {};
      next.push(Response.json(planned, { status, headers }));
    },
    close: () => server.shutdown(),
  };
}
