/** A page's door, over real sockets: tickets let in once, from the right page, and a lost page comes back. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { storeAnswered } from "@/db/call_news.ts";
import { insertCall } from "@/db/calls.ts";
import { claimActor, insertNode } from "@/db/cluster.ts";
import { DEMO_AGENT_ID, DEMO_TENANT_ID } from "@/db/demo.ts";
import { appendEvents } from "@/db/events.ts";
import { systemClock } from "@/lib/clock.ts";
import { openSocket } from "@/lib/socket.ts";
import { newToken } from "@/lib/ids.ts";
import { webCallId } from "@/lib/talk.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { begin } from "@/lib/workflow/engine.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { CLOSE_CODES, TALK_PROTOCOL } from "@/routes/talk_socket.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newCall } from "@/tests/support/rows.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

async function setUp() {
  const database = await open();
  const kit = await serverKit({ database });
  const tickets = `/api/v1/agents/${DEMO_AGENT_ID}/talk-tickets`;

  async function ticket(body?: unknown): Promise<string> {
    const init = body === undefined ? {} : {
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    };
    const answer = await kit.rest(tickets, { method: "POST", ...init });
    const { ticket, url } = await answer.json();
    assert.equal(answer.status, 201);
    assert.match(url, new RegExp(`/talk/${DEMO_AGENT_ID}#ticket=${ticket}$`));
    return ticket;
  }

  /** Resolves with the close code, or with the first message when it is let in; then it is dropped. */
  async function enter(
    shown: string,
    { origin, agentId = DEMO_AGENT_ID }: { origin?: string; agentId?: string } = {},
  ): Promise<number | Record<string, string>> {
    const socket = await openSocket(
      `ws://127.0.0.1:${kit.server.port}/talk/${agentId}/socket`,
      {
        protocols: [TALK_PROTOCOL, shown],
        headers: origin === undefined ? {} : { Origin: origin },
      },
    );
    return await new Promise((resolve) =>
      socket.listen({
        message(data) {
          resolve(JSON.parse(String(data)));
          socket.close(1006, "");
        },
        closed: (code) => resolve(code),
      })
    );
  }

  return {
    database,
    kit,
    ticket,
    enter,
    async [Symbol.asyncDispose]() {
      await kit.close();
      await database.close();
    },
  };
}

Deno.test("a ticket lets a page in once, and its secret brings it back", async () => {
  await using it = await setUp();
  const ticket = await it.ticket();
  const admitted = await it.enter(`ticket.${ticket}`);
  assert(typeof admitted === "object");
  assert.equal(admitted.type, "admitted");
  assert.equal(await it.enter(`ticket.${ticket}`), CLOSE_CODES.forbidden);

  const again = await it.enter(`resume.${admitted.callId}.${admitted.resume}`);
  assert.deepEqual(again, admitted);
  const wrong = await it.enter(`resume.${admitted.callId}.${newToken()}`);
  assert.equal(wrong, CLOSE_CODES.not_found);
  assert(!it.kit.logged.join().includes(ticket), "a ticket is not logged");
});

Deno.test("a ticket of a page is good on that page alone, and a plain one on ours", async () => {
  await using it = await setUp();
  const origin = "https://www.example.com";
  const { forbidden } = CLOSE_CODES;
  assert.equal(await it.enter(`ticket.${await it.ticket({ origin })}`), forbidden);
  const elsewhere = { origin: "https://evil.example.com" };
  assert.equal(await it.enter(`ticket.${await it.ticket({ origin })}`, elsewhere), forbidden);
  assert.equal(await it.enter(`ticket.${await it.ticket()}`, elsewhere), forbidden);
  const there = await it.enter(`ticket.${await it.ticket({ origin })}`, { origin });
  assert(typeof there === "object");
  const ours = await it.enter(`ticket.${await it.ticket()}`, { origin: it.kit.url });
  assert(typeof ours === "object");
});

Deno.test("a ticket leads to its own agent alone", async () => {
  await using it = await setUp();
  const other = DEMO_AGENT_ID.slice(0, -1) + "9";
  const { forbidden } = CLOSE_CODES;
  assert.equal(await it.enter(`ticket.${await it.ticket()}`, { agentId: other }), forbidden);
  assert.equal(await it.enter(`ticket.${newToken()}`), forbidden);
});

Deno.test("anyone gets a ticket to an agent that is public, and to no other, and not without end", async () => {
  await using it = await setUp();
  const path = `${it.kit.url}/talk/${DEMO_AGENT_ID}/tickets`;
  const ask = () => fetch(path, { method: "POST" });
  const answer = await ask();
  assert.equal(answer.status, 201);
  const { ticket } = await answer.json();
  assert(typeof await it.enter(`ticket.${ticket}`) === "object");

  const agent = `/api/v1/agents/${DEMO_AGENT_ID}`;
  const changed = await it.kit.rest(agent, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ isTalkPublic: false }),
  });
  assert.equal((await changed.json()).isTalkPublic, false);
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) {
    const { status, body } = await ask();
    await body?.cancel();
    statuses.push(status);
  }
  assert.equal(statuses[0], 404);
  assert.equal(statuses.at(-1), 429);
});

Deno.test("the page and its files are served with a policy that runs nothing but them", async () => {
  await using it = await setUp();
  const page = await fetch(`${it.kit.url}/talk/${DEMO_AGENT_ID}`);
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert(!policy.includes("unsafe"));
  const html = await page.text();
  for (const [, file = ""] of html.matchAll(/(?:src|href)="(files\/[^"]+)"/g)) {
    const response = await fetch(`${it.kit.url}/talk/${file}`);
    await response.body?.cancel();
    assert.equal(response.status, 200, file);
  }
});

Deno.test("a page whose machine is gone comes back to another, and hears the rest of the sentence", async () => {
  await using it = await setUp();
  const { database, kit } = it;
  const lookup = <T>(work: Parameters<typeof database.lookup<T>>[2]): Promise<T> =>
    database.lookup("rest", DEADLINE_MS, work);
  const at = { address: "127.0.0.1:1", region: "local", version: "1", weight: 10 };
  const boot = await lookup(async (sql) => ({
    nodeId: "killed",
    incarnation: await insertNode(sql, { nodeId: "killed", ...at }),
  }));
  const secret = newToken();
  const call = newCall(DEMO_AGENT_ID, { carrier: "web", carrierCallId: webCallId(secret) });
  const now = systemClock.date();
  const told: readonly CallEvent[] = [
    { type: "call_started", direction: "inbound" },
    { type: "leg_started", epoch: 1 },
    { type: "workflow_moved", workflow: begin(parseGraph(demoAgent)).state },
    { type: "speech_given", turn: 1, text: "How can I help you today?", isOpen: false },
    { type: "speech_heard", turn: 1, words: 4 },
  ];
  await database.asTenant("rest", DEMO_TENANT_ID, DEADLINE_MS, async (sql) => {
    await insertCall(sql, DEMO_TENANT_ID, call);
    await storeAnswered(sql, DEMO_TENANT_ID, call.id, now);
    const rows = told.map(({ type, ...payload }, nth) => ({
      ...{ tenantId: DEMO_TENANT_ID, conversationId: call.id, seq: nth + 1, type, payload },
      at: now,
    }));
    await appendEvents(sql, rows);
  });
  await lookup((sql) => claimActor(sql, { kind: "call", id: call.id }, boot));

  const url = `ws://127.0.0.1:${kit.server.port}/talk/${DEMO_AGENT_ID}/socket`;
  const come = (with_: string) =>
    openSocket(url, { protocols: [TALK_PROTOCOL, `resume.${call.id}.${with_}`] });
  await assert.rejects(come(secret), "its machine was thought to be there");
  assert.equal(await it.enter(`resume.${call.id}.${newToken()}`), CLOSE_CODES.not_found);
  await assert.rejects(come(secret), "each time once");
  const page = await come(secret);
  const words = await new Promise<string>((resolve) => {
    let heard = "";
    page.listen({
      message(data) {
        if (typeof data !== "string") return;
        const message = JSON.parse(data);
        if (message.type === "admitted") {
          assert.deepEqual([message.callId, message.resume], [call.id, secret]);
          page.send(JSON.stringify({ type: "start", version: 1 }));
        }
        if (message.type === "words") heard += `${message.words.join(" ")} `;
        if (heard.includes("?")) resolve(heard.trim());
      },
      closed: (code, why) => resolve(`${code} ${why}`),
    });
  });
  assert.equal(words, "you today?");
  page.close(1000, "");
});
