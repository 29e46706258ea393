/** Credentials over REST: what is taken, what is refused by its field, and what the desk is asked. */

import assert from "node:assert/strict";
import type { CredentialView } from "@/actors/desk/credentials.ts";
import { API_KEY, setUp } from "./fakes.ts";

const ID = "credential_0198f3c2-1b2c-7def-8123-000000000009";
const KEY = "sk-0123456789abcdef";
const VIEW: CredentialView = {
  id: ID,
  provider: "openai",
  name: "default",
  values: { apiKey: "sk-…cdef" },
  status: "valid",
  checkedAt: "2026-01-05T09:00:00.000Z",
  createdAt: "2026-01-05T09:00:00.000Z",
  updatedAt: "2026-01-05T09:00:00.000Z",
  version: 3,
};

function desk() {
  return setUp({
    desk(message) {
      if (message.type === "errand") message.reply(VIEW);
    },
  });
}

function send(app: ReturnType<typeof desk>["app"], method: string, path: string, body?: unknown) {
  return app.request(`/api/v1/credentials${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${API_KEY}`,
      "Content-Type": "application/json",
      "If-Match": '"3"',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

Deno.test("a credential is created, replaced from its version, and tells its ETag", async () => {
  const { app, sent } = desk();
  const input = { provider: "openai", values: { apiKey: KEY } };
  const created = await send(app, "POST", "", input);
  assert.deepEqual([created.status, created.headers.get("etag")], [201, '"3"']);
  assert.deepEqual(await created.json(), VIEW);
  const change = { provider: "openai", values: VIEW.values, name: "spare", check: false };
  assert.equal((await send(app, "PUT", `/${ID}`, change)).status, 200);
  assert.deepEqual(sent.map(({ name, input }) => [name, input]), [
    ["createCredential", input],
    ["replaceCredential", { ...change, id: ID, expected: 3 }],
  ]);
});

Deno.test("what is not of a provider's fields is refused, and the field is named", async () => {
  const values = { apiKey: KEY };
  const rows: [Record<string, unknown>, string][] = [
    [{ provider: "openai", values: { apiKey: KEY, baseUrl: "http://10.0.0.1" } }, "values.baseUrl"],
    [{ provider: "openai", values: {} }, "values.apiKey"],
    [{ provider: "openai", values: { apiKey: "short" } }, "values.apiKey"],
    [{ provider: "openai", values: { apiKey: "x".repeat(257) } }, "values.apiKey"],
    [{ provider: "twilio", values: { accountSid: "AC1", authToken: KEY } }, "values.accountSid"],
    [{ provider: "elevenlabs", values: { ...values, voice: "../x" } }, "values.voice"],
    [{ provider: "openai", values, surprise: 1 }, "surprise"],
    [{ provider: "nobody", values }, "provider"],
  ];
  for (const [body, field] of rows) {
    const { app, sent } = desk();
    const response = await send(app, "POST", "", body);
    const problem = await response.json();
    assert.deepEqual([response.status, problem.code, problem.field], [400, "invalid", field]);
    assert.ok(!JSON.stringify(problem).includes(KEY));
    assert.equal(sent.length, 0);
  }
});
