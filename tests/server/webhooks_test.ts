/** Webhooks end to end: an integrator adds an endpoint over REST, and a receiver of theirs verifies what comes. */

import assert from "node:assert/strict";
import { Webhook } from "standardwebhooks";
import { act } from "@/db/act.ts";
import type { Database } from "@/db/client.ts";
import { DEMO_TENANT_ID } from "@/db/demo.ts";
import { deadline, systemClock } from "@/lib/clock.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

/** What has not come by then does not come. */
const LATE_MS = 30_000;

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A receiver on loopback that takes everything. */
function startReceiver() {
  const received: Received[] = [];
  let came = Promise.withResolvers<void>();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    received.push({ headers: Object.fromEntries(request.headers), body: await request.text() });
    came.resolve();
    came = Promise.withResolvers<void>();
    return new Response("thanks");
  });
  const host = `127.0.0.1:${server.addr.port}`;
  return {
    received,
    host,
    url: `http://${host}/hook`,
    /** Resolves when so many have come. */
    async until(count: number): Promise<void> {
      const late = (): Error => new Error(`${received.length} of ${count} came`);
      const end = deadline(systemClock, LATE_MS, late);
      try {
        while (received.length < count) await orAborted(came.promise, end.signal);
      } finally {
        end.cancel();
      }
    },
    close: () => server.shutdown(),
  };
}

async function emit(database: Database): Promise<void> {
  const actor = { actorKind: "system", actorId: "test", requestId: null, address: null } as const;
  const nobody = () => {};
  const committed = {
    configChanged: nobody,
    acted: nobody,
    wakeJobs: nobody,
    wakeDeliveries: nobody,
  };
  const tenantId = DEMO_TENANT_ID;
  const bounds = { tenantId, pool: "rest", deadlineMs: DEADLINE_MS } as const;
  await act(
    { database, clock: systemClock, committed, actor, ...bounds },
    ({ emit }) => emit("agent.published", { agentId: "agent_1", version: 1, by: "key_1" }),
  );
}

Deno.test("an endpoint is added, tested, told of events, rotated and replayed over REST", async () => {
  await using database = await open();
  const receiver = startReceiver();
  const kit = await serverKit({ database, env: { OUTBOUND_ALLOW: receiver.host } });
  const ask = async (
    path: string,
    body?: unknown,
    method = body === undefined ? "GET" : "POST",
  ) => {
    const json = {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    const init = { method, ...(body === undefined ? {} : json) };
    const response = await kit.rest(`/api/v1/webhooks${path}`, init);
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  };
  try {
    const refused = await ask("", { url: "http://10.0.0.1/hook" });
    assert.equal(refused.status, 400);
    const added = await ask("", { url: receiver.url, events: ["agent.published"] });
    assert.equal(added.status, 201, JSON.stringify(added.body));
    const { id, secret } = added.body;
    assert.equal((await ask(`/${id}`)).body.secret, undefined, "shown once");

    const tested = await ask(`/${id}/test`, undefined, "POST");
    assert.equal(tested.status, 200, JSON.stringify(tested.body));
    assert.equal(tested.body.status, "delivered");
    assert.equal(tested.body.history[0].answer, "thanks");
    const [test] = receiver.received;
    assert.ok(test);
    new Webhook(secret).verify(test.body, test.headers);

    await emit(database);
    await receiver.until(2);
    const event = receiver.received[1];
    assert.ok(event);
    assert.equal(JSON.parse(event.body).type, "agent.published");

    const rotated = await ask(`/${id}/rotate-secret`, { overlapHours: 1 });
    assert.equal(rotated.status, 200, JSON.stringify(rotated.body));
    assert.notEqual(rotated.body.secret, secret);
    await emit(database);
    await receiver.until(3);
    const signed = receiver.received[2];
    assert.ok(signed);
    for (const live of [secret, rotated.body.secret]) {
      new Webhook(live).verify(signed.body, signed.headers);
    }

    const listed = await ask(`/${id}/deliveries?limit=1`);
    const more = await ask(`/${id}/deliveries?limit=5&cursor=${listed.body.next}`);
    assert.equal(listed.body.items.length + more.body.items.length, 3);
    const [newest] = listed.body.items;
    const replayed = await ask(`/${id}/deliveries/${newest.id}/replay`, undefined, "POST");
    assert.equal(replayed.status, 202);
    await receiver.until(4);
    assert.equal(receiver.received[3]?.headers["webhook-id"], newest.eventId);

    const stale = await kit.rest(`/api/v1/webhooks/${id}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json", "If-Match": '"1"' },
      body: JSON.stringify({ mode: "hex" }),
    });
    assert.equal(stale.status, 412);
    await stale.body?.cancel();
    assert.equal((await ask(`/${id}`, undefined, "DELETE")).status, 204);
    assert.equal((await ask(`/${id}`)).status, 404);
  } finally {
    await kit.close();
    await receiver.close();
  }
});
