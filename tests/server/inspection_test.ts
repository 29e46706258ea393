/** What operators see inside a running server: the state of every actor, the counters, and never a secret. */

import assert from "node:assert/strict";
import { DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

const CALLER = "+15550199000";
/** Of which a machine has one; a desk, a tenant and a call begin with the first that asks for them. */
const KINDS = ["gate", "recorder", "sealer", "jobs", "deliveries", "desk", "tenant", "call"];

async function withCall(test: (kit: ServerKit) => Promise<void>): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database });
  const phoned = await placeInbound({
    webhookUrl: `${kit.url}/twilio/voice`,
    publicUrl: kit.url,
    authToken: kit.carrierToken,
    from: CALLER,
    to: DEMO_NUMBER,
    clock: systemClock,
    ...(kit.twilio === null ? {} : { twilio: kit.twilio }),
  });
  try {
    await test(kit);
  } finally {
    phoned.hangUp();
    await phoned.ended;
    await kit.close();
    await database.close();
  }
}

async function read(kit: ServerKit): Promise<void> {
  const response = await kit.rest("/api/v1/tenant");
  assert.equal(response.status, 200, await response.text());
}

Deno.test("every actor shows its state, and no secret, name or number is in it", async () => {
  await withCall(async (kit) => {
    await read(kit);
    const { actors } = await (await kit.operator("/actors")).json();
    const seen: string[] = [];
    for (const { kind, id } of actors) {
      const text = await (await kit.operator(`/actors/${kind}/${id}`)).text();
      const { view } = JSON.parse(text);
      assert.equal(typeof view, "object", kind);
      if (KINDS.includes(kind)) assert.ok(view !== null && !("viewThrew" in view), text);
      const secrets = [kit.apiKey, kit.carrierToken, kit.server.operatorToken];
      for (const secret of [...secrets, CALLER, DEMO_NUMBER, "Nora", "toothache"]) {
        assert.ok(!text.includes(secret), `${kind}: ${text}`);
      }
      seen.push(kind);
    }
    for (const kind of KINDS) assert.ok(seen.includes(kind), `${kind} is not in ${seen.join(" ")}`);
    assert.ok(actors.some(({ id }: { id: string }) => id === DEMO_TENANT_ID));
  });
});

Deno.test("the counters tell which bucket allowed and refused how many requests, and who counted", async () => {
  await withCall(async (kit) => {
    for (let n = 0; n < 3; n++) await read(kit);
    const wrong = { headers: { Authorization: "Bearer wrong" } };
    // At once: a bucket fills up while one waits for the other.
    await Promise.all(Array.from({ length: 130 }, async () => {
      await (await kit.rest("/api/v1/tenant", wrong)).body?.cancel();
    }));
    const response = await kit.operator("/metrics");
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const counted = (bucket: string, verdict: string): number =>
      Number(
        new RegExp(
          `^limits_verdicts_total\\{bucket="${bucket}",by="local",verdict="${verdict}"\\} (\\d+)$`,
          "m",
        ).exec(text)?.[1] ?? -1,
      );
    assert.equal(counted("read", "allowed"), 3);
    assert.equal(counted("read-key", "allowed"), 3);
    assert.equal(counted("read", "refused"), 0);
    assert.equal(counted("address", "allowed") + counted("address", "refused"), 133);
    assert.ok(counted("address", "refused") > 0);
    assert.match(text, /^limits_store_failures_total 0$/m);
    assert.match(text, /^limits_shared 0$/m);
    assert.match(text, /^actors_live\{kind="call"\} 1$/m);
    assert.ok(!text.includes(DEMO_TENANT_ID));
  });
});
