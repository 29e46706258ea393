/** Sockets that come to the wrong machine: on Fly and elsewhere they reach the one that holds their call. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER } from "@/db/demo.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";
import { TALK_PROTOCOL } from "@/routes/talk_socket.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type Machines, startMachines } from "@/tests/support/machines.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

/** Requests go to the first machine, sockets to the second. */
async function withTwo(
  isFly: boolean,
  test: (machines: Machines, database: Database) => Promise<void>,
): Promise<void> {
  const database = await open();
  const machines = await startMachines({
    database,
    names: ["one", "two"],
    isFly,
    pick: ({ isUpgrade }, all) => all.find(({ id }) => id === (isUpgrade ? "two" : "one")),
  });
  try {
    await test(machines, database);
  } finally {
    await machines.close();
    await database.close();
  }
}

const LINE = "I have a toothache.";

/** Phones by the public address: the caller's call, and what the path of its media stream says. */
async function phone({ kits: [kit], proxy }: Machines) {
  assert.ok(kit);
  const phoned = await placeInbound({
    webhookUrl: `${proxy.url}/twilio/voice`,
    publicUrl: proxy.url,
    authToken: kit.carrierToken,
    from: "+15550199000",
    to: DEMO_NUMBER,
    clock: systemClock,
    twilio: kit.twilio,
  });
  const opened = phoned.log.find(({ type }) => type === "streamOpened");
  assert.ok(opened?.type === "streamOpened");
  const { pathname } = new URL(opened.url);
  const [, , node = "", callId = ""] = pathname.split("/");
  return { kit, phoned, pathname, node, callId };
}

/** The samples of one counter, by their labels as they are written. */
async function metric({ kits }: Machines, nth: number, name: string) {
  const text = await (await kits[nth]?.operator("/metrics"))?.text() ?? "";
  const lines = text.split("\n").flatMap((line) => {
    const [sample = "", value = ""] = line.split(" ");
    return sample.replace(/\{.*/, "") === name ? [[sample.slice(name.length), Number(value)]] : [];
  });
  return Object.fromEntries(lines);
}

for (const isFly of [true, false]) {
  const where = isFly ? "on Fly" : "elsewhere";
  Deno.test(`a caller whose socket comes to the wrong machine ${where} is heard`, async () => {
    await withTwo(isFly, async (machines) => {
      const { proxy } = machines;
      const { kit, phoned, callId } = await phone(machines);
      await phoned.say(speak(LINE).audio);
      const events = await kit.rest(`/api/v1/calls/${callId}/stream`);
      let told = "";
      for await (const piece of events.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        told += piece;
        if (/toothache\.[^]*agent_said/.test(told)) break;
      }
      assert.ok(phoned.played().some((sample) => sample !== SILENCE), "the agent is heard as well");
      phoned.hangUp();
      await phoned.ended;
      if (isFly) {
        assert.deepEqual(proxy.replays.map(({ from, to, outcome }) => [from, to, outcome]), [
          ["two", "one", "answered"],
        ]);
        assert.deepEqual(await metric(machines, 1, "replayed_sockets_total"), { "": 1 });
        return;
      }
      const answers = await metric(machines, 1, "carried_sockets_total");
      assert.equal(answers['{answer="opened"}'], 1);
      const bytes = await metric(machines, 1, "carried_bytes_total");
      assert.ok((bytes['{direction="there"}'] ?? 0) > 20_000);
      assert.ok((bytes['{direction="back"}'] ?? 0) > 10_000);
      assert.deepEqual(await metric(machines, 1, "carried_sockets"), { "": 0 });
    });
  });

  Deno.test(`a page and a colleague who come to the wrong machine ${where} find their call`, async () => {
    await withTwo(isFly, async (machines) => {
      const { kits: [one, two], proxy } = machines;
      assert.ok(one && two);
      const path = `/talk/${DEMO_AGENT_ID}/socket`;
      const { ticket } = await (await fetch(`${proxy.url}/talk/${DEMO_AGENT_ID}/tickets`, {
        method: "POST",
      })).json();
      const at = (url: string, protocols: readonly string[]): Promise<MessageSocket> =>
        openSocket(`${url.replace(/^http/, "ws")}`, { protocols });
      const page = await at(`http://127.0.0.1:${one.server.port}${path}`, [
        ...[TALK_PROTOCOL, `ticket.${ticket}`],
      ]);
      const { callId, resume } = JSON.parse(String(await firstMessage(page)));
      page.close(1006, "");
      const again = await at(`${proxy.url}${path}`, [TALK_PROTOCOL, `resume.${callId}.${resume}`]);
      assert.equal(JSON.parse(String(await firstMessage(again))).callId, callId);

      again.send(JSON.stringify({ type: "start", version: 1 }));
      const invited = await one.rest(`/api/v1/calls/${callId}/listen-tickets`, { method: "POST" });
      const { ticket: toListen } = await invited.json();
      const colleague = await at(`${proxy.url}/calls/${callId}/listen`, [
        ...["ringmaster.listen.v1", `ticket.${toListen}`],
      ]);
      assert.ok(await firstMessage(colleague));
      colleague.close(1000, "");
      again.close(1000, "");
    });
  });
}

function firstMessage(socket: MessageSocket): Promise<string | Uint8Array> {
  return new Promise((resolve, reject) =>
    socket.listen({ message: resolve, closed: (code, why) => reject(new Error(`${code} ${why}`)) })
  );
}

async function statusOf(opening: Promise<MessageSocket>): Promise<number | undefined> {
  const error = await opening.then(() => null, (error: unknown) => error);
  assert.ok(error instanceof AppError, "It was let in");
  return error.status;
}

Deno.test("a forged path gets through no machine, and one that names nobody goes nowhere", async () => {
  await withTwo(false, async (machines) => {
    const { proxy } = machines;
    const { kit, phoned, pathname, node, callId } = await phone(machines);
    assert.match(node, /^127\.0\.0\.1-\d+$/);
    const knock = (path: string, token = kit.carrierToken): Promise<MessageSocket> =>
      openSocket(`${proxy.url.replace(/^http/, "ws")}${path}`, {
        headers: { "X-Twilio-Signature": signatureOf(token, `${proxy.url}${path}`) },
      });
    const forged = `/media/${node}/${callId}/2/${"x".repeat(32)}`;
    assert.equal(await statusOf(knock(forged, "a stranger's")), 403);
    assert.equal(await statusOf(knock(pathname)), 409); // it was spent
    assert.equal(await statusOf(knock(forged.replace(node, "nobody"))), 404);
    const { '{answer="refused"}': refused } = await metric(machines, 1, "carried_sockets_total");
    assert.equal(refused, 2);
    phoned.hangUp();
    await phoned.ended;
  });
});

Deno.test("on Fly a machine that is cordoned is reached on the private network, and one that is gone is not", async () => {
  await withTwo(true, async (machines) => {
    const { proxy } = machines;
    const { kit, phoned, pathname } = await phone(machines);
    const knock = (): Promise<MessageSocket> =>
      openSocket(`${proxy.url.replace(/^http/, "ws")}${pathname}`, {
        headers: { "X-Twilio-Signature": signatureOf(kit.carrierToken, proxy.url + pathname) },
      });
    proxy.cordon("one");
    assert.equal(await statusOf(knock()), 409, "asked where it is: the path was spent");
    assert.deepEqual(await metric(machines, 1, "returned_sockets_total"), { "": 1 });
    assert.ok(phoned.stream !== null, "what was open goes on");
    phoned.hangUp();
    await phoned.ended;
    await kit.server.stop();
    const status = await statusOf(knock()); // 404 once it is seen that it has left
    assert.ok(status === 503 || status === 404, "the carrier asks what is next");
    assert.deepEqual(proxy.replays.map(({ outcome }) => outcome), [
      ...["answered", "no_candidate", "no_candidate"],
    ]);
  });
});
