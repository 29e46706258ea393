/** The live check of credentials, against each provider's account read as it is on the wire. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
import { CREDENTIAL_PROVIDERS, type CredentialValues } from "@/lib/credentials.ts";
import {
  credentialCheck,
  type CredentialVerdict,
  liveKitCheck,
  type ProbedProvider,
} from "@/lib/providers/credential_check.ts";
import { limitedFetch } from "@/lib/providers/http.ts";
import { loadLiveKit } from "@/lib/providers/livekit/server_api.ts";
import { startLiveKit } from "@/tests/support/livekit.ts";
import {
  ACCOUNT_KEY,
  ACCOUNT_SID,
  type AccountServer,
  startAccountServer,
} from "@/tests/support/provider_account.ts";

const LIMITS = { headMs: 1_000, idleMs: 1_000, totalMs: 2_000, maxBytes: 10_000 };
const VALID: CredentialVerdict = { type: "valid" };
const UNREACHABLE: CredentialVerdict = { type: "unreachable" };

const checkLiveKit = liveKitCheck(await loadLiveKit());
const PROBED = CREDENTIAL_PROVIDERS.filter((it): it is ProbedProvider => it !== "livekit");

function valuesOf(provider: ProbedProvider, key: string): CredentialValues {
  return provider === "twilio" ? { accountSid: ACCOUNT_SID, authToken: key } : { apiKey: key };
}

async function withAccount(
  provider: ProbedProvider,
  test: (kit: {
    readonly server: AccountServer;
    ask(key?: string): Promise<CredentialVerdict>;
  }) => Promise<void>,
): Promise<void> {
  const server = startAccountServer(provider);
  const { url } = server;
  const check = credentialCheck({
    urls: { twilio: url, deepgram: url, openai: url, anthropic: url, elevenlabs: url },
    checkLiveKit,
    fetch: limitedFetch({ provider: "credentials", clock: systemClock, ...LIMITS }),
  });
  const { signal } = new AbortController();
  try {
    await test({
      server,
      ask: (key = ACCOUNT_KEY) => check(provider, valuesOf(provider, key), signal),
    });
  } finally {
    await server.close();
  }
}

for (const provider of PROBED) {
  const field = provider === "twilio" ? "authToken" : "apiKey";

  Deno.test(`${provider} knows a good credential, and refuses another by its field`, async () => {
    await withAccount(provider, async ({ ask }) => {
      assert.deepEqual(await ask(), VALID);
      assert.deepEqual(await ask("sk-wrong-wrong-wrong"), { type: "refused", field });
    });
  });

  Deno.test(`${provider} that is busy, broken, elsewhere or talks nonsense says nothing of a credential`, async () => {
    await withAccount(provider, async ({ server, ask }) => {
      for (const status of [403, 404, 429, 500, 503, 302]) {
        server.answerNext(status, { message: "No" });
        assert.deepEqual(await ask(), UNREACHABLE, `${status}`);
      }
      assert.ok(server.requests.every(({ path }) => path !== "/elsewhere"), "It followed");
      server.answerNext(200, "x".repeat(20_000));
      assert.deepEqual(await ask(), UNREACHABLE);
    });
  });
}

Deno.test("a provider that is not there says nothing of a credential", async () => {
  await withAccount("deepgram", async ({ server, ask }) => {
    await server.close();
    assert.deepEqual(await ask(), UNREACHABLE);
  });
});

Deno.test("a key that lacks the scope of the question alone is good", async () => {
  await withAccount("openai", async ({ server, ask }) => {
    for (const status of [401, 403]) {
      const message = "You have insufficient permissions. Missing scopes: api.model.read.";
      server.answerNext(status, { error: { message, code: null } });
      assert.deepEqual(await ask(), VALID);
    }
  });
  await withAccount("elevenlabs", async ({ server, ask }) => {
    server.answerNext(401, { detail: { status: "missing_permissions", message: "user_read" } });
    assert.deepEqual(await ask(), VALID);
  });
});

Deno.test("a Twilio account that is suspended or closed is refused by its SID", async () => {
  await withAccount("twilio", async ({ server, ask }) => {
    for (const status of ["suspended", "closed"]) {
      server.answerNext(200, { sid: ACCOUNT_SID, status });
      assert.deepEqual(await ask(), { type: "refused", field: "accountSid" });
    }
  });
});

Deno.test("a check that nobody waits for any more is given up", async () => {
  await withAccount("openai", async ({ server }) => {
    const { url } = server;
    const urls = { twilio: url, deepgram: url, openai: url, anthropic: url, elevenlabs: url };
    const check = credentialCheck({ urls, fetch, checkLiveKit });
    const reason = new Error("gone");
    const asked = check("openai", { apiKey: ACCOUNT_KEY }, AbortSignal.abort(reason));
    await assert.rejects(asked, reason);
  });
});

Deno.test("a LiveKit project knows its own keys, refuses others, and may be away", async () => {
  const server = startLiveKit();
  const { url, apiKey, apiSecret } = server;
  const ask = (secret: string, signal = new AbortController().signal) =>
    checkLiveKit({ url, apiKey, apiSecret: secret }, signal);
  assert.deepEqual(await ask(apiSecret), VALID);
  assert.deepEqual(await ask("not the secret, and long enough for it"), {
    type: "refused",
    field: "apiSecret",
  });
  server.failNext({ type: "error", status: 503, code: "unavailable" });
  assert.deepEqual(await ask(apiSecret), UNREACHABLE);
  const reason = new Error("gone");
  await assert.rejects(ask(apiSecret, AbortSignal.abort(reason)), reason);
  await server.close();
  assert.deepEqual(await ask(apiSecret), UNREACHABLE);
});
