/** LiveKit through a whole server: by the house's project and a company's own, with webhooks as it signs them. */

import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import type { Database } from "@/db/client.ts";
import { systemClock } from "@/lib/clock.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { wireRoom } from "@/lib/providers/livekit/rooms.ts";
import { type SignedUp, signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type FakeLiveKit, type Json, startLiveKit } from "@/tests/support/livekit.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();
const API = "/api/v1/livekit";
/** The tests of a file share a database, in which a number is one company's. */
const [NUMBER, TRUNK_NUMBER, LONE_NUMBER] = ["+15550100177", "+15550100176", "+15550100175"];
const SECRET_WORD = "a password of tests";

interface Kit extends AsyncDisposable {
  readonly livekit: FakeLiveKit;
  readonly url: string;
  readonly carrierToken: string;
  readonly database: Database;
  readonly mine: SignedUp;
  /** Where the house's project sends its webhooks. */
  readonly webhook: string;
}

async function setUp(env: Readonly<Record<string, string>> = {}): Promise<Kit> {
  const database = await open();
  const livekit = startLiveKit();
  const kit = await serverKit({
    database,
    env: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      ...env,
    },
  });
  const url = `http://127.0.0.1:${kit.server.port}`;
  const { carrierToken } = kit;
  return {
    ...{ livekit, url, database, carrierToken, mine: await signUp(url) },
    webhook: `${url}/livekit/webhook`,
    async [Symbol.asyncDispose]() {
      await kit.close();
      await livekit.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** A recording of a room of the company's, begun over the API. */
async function recorded({ mine }: Kit): Promise<Json & { id: string; livekitId: string }> {
  await mine.ask("POST", `${API}/rooms`, { name: "desk" });
  const { status, body } = await mine.ask("POST", `${API}/egress`, { room: "desk" });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

function egressEvent(
  id: string,
  egress: { readonly livekitId: string },
  { tenantId }: { readonly tenantId: string },
  more: Json,
): Json {
  return {
    ...{ id, event: "egress_updated", createdAt: "1780000000" },
    egressInfo: { egressId: egress.livekitId, roomName: wireRoom(tenantId, "desk"), ...more },
  };
}

/** A webhook of Twilio's, signed over the public URL. */
async function ring(
  { url, carrierToken }: Pick<Kit, "url" | "carrierToken">,
  path: string,
  more: Record<string, string> = {},
): Promise<string> {
  const body = new URLSearchParams({
    CallSid: `CA${"0123456789abcdef".repeat(2)}`,
    From: "+15550100199",
    To: NUMBER,
    Direction: "inbound",
    ...more,
  });
  const publicUrl = url.replace("127.0.0.1", "localhost");
  const signature = signatureOf(carrierToken, `${publicUrl}${path}`, body);
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    body,
    headers: { "X-Twilio-Signature": signature },
  });
  assert.equal(response.status, 200);
  return (await response.text()).replace(/^.*?<Response>|<\/Response>$/g, "");
}

Deno.test("LiveKit: a token opens one room of the company's own, for ten minutes at most", async () => {
  await using kit = await setUp();
  const { mine, livekit } = kit;
  const made = await mine.ask("POST", `${API}/tokens`, { room: "desk", identity: "ada" });
  assert.equal(made.status, 201);
  const { exp = 0, video } = decodeJwt<{ video: Json }>(made.body.token);
  assert.ok(exp - systemClock.date().getTime() / 1_000 <= 600);
  assert.equal(video["room"], wireRoom(mine.tenantId, "desk"));
  assert.equal(made.body.url, livekit.url.replace("http", "ws"));
  for (const wrong of [{ ttlSeconds: 601 }, { identity: "agent-1" }, { room: "a/b" }]) {
    const input = { room: "desk", identity: "ada", ...wrong };
    const { status, body } = await mine.ask("POST", `${API}/tokens`, input);
    assert.deepEqual([status, body.field], [400, Object.keys(wrong)[0]]);
  }
});

Deno.test("LiveKit: two companies have rooms of one name, and neither sees the other's", async () => {
  await using kit = await setUp();
  const { mine, livekit, url } = kit;
  const other = await signUp(url);
  for (const { ask } of [mine, other]) await ask("POST", `${API}/rooms`, { name: "desk" });
  livekit.rooms.set("stray", { sid: "RM_1", name: "stray", creationTime: "1" }); // somebody else's
  assert.equal(livekit.rooms.size, 3);
  assert.equal((await mine.ask("DELETE", `${API}/rooms/desk`)).status, 204);
  assert.deepEqual((await mine.ask("GET", `${API}/rooms`)).body, { items: [] });
  const { body } = await other.ask("GET", `${API}/rooms`);
  assert.deepEqual(body.items.map((room: Json) => room["name"]), ["desk"]);
});

Deno.test("LiveKit: a trunk is for numbers of one's own, and never open to all", async () => {
  await using kit = await setUp();
  const { ask } = kit.mine;
  const trunk = { direction: "inbound", name: "Twilio", numbers: [TRUNK_NUMBER] };
  const open = await ask("POST", `${API}/trunks`, trunk);
  assert.deepEqual([open.status, open.body.field], [400, "allowedAddresses"]);
  const login = { username: "twilio", password: SECRET_WORD.replaceAll(" ", "-") };
  const foreign = await ask("POST", `${API}/trunks`, { ...trunk, login });
  assert.deepEqual([foreign.status, foreign.body.field], [409, "numbers[0]"]);
  await ask("POST", "/api/v1/phone-numbers", { number: TRUNK_NUMBER });
  const made = await ask("POST", `${API}/trunks`, { ...trunk, login });
  assert.equal(made.status, 201);
  assert.equal(made.body.username, "twilio");
  assert.ok(!JSON.stringify(made.body).includes(login.password));
  const asked = kit.livekit.requests.find(({ method }) => method === "SIP/CreateSIPInboundTrunk");
  assert.deepEqual(asked?.body["trunk"], {
    ...{ name: "Twilio", numbers: [TRUNK_NUMBER], metadata: `{"tenantId":"${kit.mine.tenantId}"}` },
    ...{ authUsername: "twilio", authPassword: login.password },
    headersToAttributes: { "X-Ringmaster-Call": "ringmaster.carrierCallId" },
  });
  const rule = { name: "All", room: "call", trunkIds: [made.body.id] };
  assert.equal((await ask("POST", `${API}/dispatch-rules`, rule)).status, 201);
  const inRule = kit.livekit.requests.find(({ method }) => method === "SIP/CreateSIPDispatchRule");
  assert.deepEqual(inRule?.body["rule"], {
    dispatchRuleIndividual: { roomPrefix: wireRoom(kit.mine.tenantId, "call") },
  });
  const stray = await ask("POST", `${API}/dispatch-rules`, { ...rule, trunkIds: ["ST_none"] });
  assert.equal(stray.status, 404);
});

Deno.test("LiveKit: a recording stands as its webhooks say, told twice and in any order", async () => {
  await using kit = await setUp();
  const { mine, livekit, webhook: to } = kit;
  const egress = await recorded(kit);
  assert.equal(egress["status"], "starting");
  const asked = livekit.requests.find(({ method }) => method.startsWith("Egress/Start"));
  assert.deepEqual(asked?.body["fileOutputs"], [
    { fileType: "OGG", filepath: `${mine.tenantId}/desk/{time}.ogg` },
  ]);
  const status = async () => (await mine.ask("GET", `${API}/egress`)).body.items[0].status;
  const complete = egressEvent("EV_2", egress, mine, {
    ...{ status: "EGRESS_COMPLETE", startedAt: "1780000001000000000" },
    ...{ endedAt: "1780000061000000000", updatedAt: "1780000061000000000" },
    fileResults: [{
      filename: "a.ogg",
      location: "s3://b/a.ogg",
      size: "9",
      duration: "60000000000",
    }],
  });
  const active = egressEvent("EV_1", egress, mine, {
    status: "EGRESS_ACTIVE",
    updatedAt: "1780000070000000000",
  });
  assert.equal(await livekit.tell(complete, { to }), 204);
  assert.equal(await livekit.tell(complete, { to }), 204);
  assert.equal(await livekit.tell(active, { to }), 204); // late, and by a clock that was set
  assert.equal(await status(), "complete");
  const { body } = await mine.ask("GET", `${API}/egress/${egress.id}`);
  assert.deepEqual(
    { files: body.files, startedAt: body.startedAt, endedAt: body.endedAt, by: body.startedBy },
    {
      files: [{ name: "a.ogg", location: "s3://b/a.ogg", sizeBytes: 9, durationMs: 60_000 }],
      startedAt: "2026-05-28T20:26:41.000Z",
      endedAt: "2026-05-28T20:27:41.000Z",
      by: mine.personId,
    },
  );
  const again = await mine.ask("POST", `${API}/egress/${egress.id}/stop`);
  assert.equal(again.status, 409);
});

Deno.test("LiveKit: every way that a recording ends is kept, and told to the company once", async () => {
  await using kit = await setUp();
  const { mine, livekit, webhook: to } = kit;
  const hook = { url: "https://hooks.example.com/", events: ["livekit.egress_ended"] };
  const endpoint = await mine.ask("POST", "/api/v1/webhooks", hook);
  assert.equal(endpoint.status, 201, JSON.stringify(endpoint.body));
  for (const end of ["COMPLETE", "FAILED", "ABORTED", "LIMIT_REACHED"]) {
    const egress = await recorded(kit);
    const told = { status: `EGRESS_${end}`, error: "why", updatedAt: "1790000000000000000" };
    for (const id of [`EV_${end}`, `EV_${end}_2`]) {
      await livekit.tell(egressEvent(id, egress, mine, told), { to });
    }
    const { body } = await mine.ask("GET", `${API}/egress/${egress.id}`);
    assert.deepEqual([body.status, body.error], [end.toLowerCase(), "why"]);
  }
  const events = await kit.database.asTenant(
    "rest",
    mine.tenantId,
    2_000,
    (sql) =>
      sql<{ status: string }[]>`
      select payload ->> 'status' as status from outbox where type = 'livekit.egress_ended'
      order by at`,
  );
  assert.deepEqual(events.map((event) => event.status), [
    ...["complete", "failed", "aborted", "limit_reached"],
  ]);
});

Deno.test("LiveKit: a recording is asked after where no webhook comes, and stopped", async () => {
  await using kit = await setUp();
  const { mine, livekit } = kit;
  const egress = await recorded(kit);
  const known = livekit.egresses.get(egress.livekitId);
  livekit.egresses.set(egress.livekitId, {
    ...known,
    status: "EGRESS_ACTIVE",
    updatedAt: "1780000005000000000",
  });
  const path = `${API}/egress/${egress.id}`;
  assert.equal((await mine.ask("GET", path)).body.status, "active");
  assert.equal((await mine.ask("POST", `${path}/stop`)).body.status, "ending");
  assert.equal((await mine.ask("GET", `${API}/egress`)).body.items[0].status, "ending");
});

Deno.test("LiveKit: a webhook that is not signed by the project is refused, and changes nothing", async () => {
  await using kit = await setUp();
  const { mine, livekit, webhook: to } = kit;
  const egress = await recorded(kit);
  const event = egressEvent("EV_1", egress, mine, { status: "EGRESS_FAILED" });
  assert.equal(
    await livekit.tell(event, { to, secret: "another secret, 32 characters long!" }),
    401,
  );
  assert.equal(
    await livekit.tell(event, { to, sends: JSON.stringify({ ...event, id: "EV_2" }) }),
    401,
  );
  assert.equal(await livekit.tell(event, { to, ttlSeconds: -30 }), 401);
  const own = to.replace("/livekit/", `/livekit/${mine.tenantId}/`);
  assert.equal(
    await livekit.tell(event, { to: own }),
    401,
    "the company has no project of its own",
  );
  const { body, status } = await mine.ask("POST", "/livekit/webhook", event);
  assert.deepEqual([status, body.code], [401, "unauthenticated"]);
  assert.equal((await mine.ask("GET", `${API}/egress`)).body.items[0].status, "starting");
  assert.equal(await livekit.tell({ ...event, id: "" }, { to }), 400);
  // Of rooms that are nobody's here nothing is kept, and nothing is told again.
  const stray = { id: "EV_3", event: "room_started", room: { sid: "RM_1", name: "stray" } };
  assert.equal(await livekit.tell(stray, { to }), 204);
});

Deno.test("LiveKit: a company's own project is used for it, and tells of its rooms alone", async () => {
  const own = startLiveKit({ apiKey: "APIown", apiSecret: "their-own-secret-of-32-characters" });
  const { host } = new URL(own.url);
  await using kit = await setUp({ OUTBOUND_ALLOW: host });
  const { mine, url } = kit;
  const other = await signUp(url);
  const values = { url: own.url, apiKey: own.apiKey, apiSecret: own.apiSecret };
  const refused = await mine.ask("POST", "/api/v1/credentials", {
    provider: "livekit",
    values: { ...values, url: "http://169.254.169.254" },
  });
  assert.deepEqual([refused.status, refused.body.field], [400, "values.url"]);
  const brought = await mine.ask("POST", "/api/v1/credentials", { provider: "livekit", values });
  assert.deepEqual([brought.status, brought.body.status], [201, "valid"], JSON.stringify(brought));
  assert.ok(!JSON.stringify(brought.body).includes(own.apiSecret));
  const { body } = await mine.ask("GET", API);
  assert.deepEqual(body, { account: "tenant", url: own.url.replace("http", "ws"), hasSip: false });
  await mine.ask("POST", `${API}/rooms`, { name: "desk" });
  assert.deepEqual([own.rooms.size, kit.livekit.rooms.size], [1, 0]);

  const to = `${url}/livekit/${mine.tenantId}/webhook`;
  const mineToo = egressEvent("EV_1", { livekitId: "EG_auto" }, mine, { status: "EGRESS_ACTIVE" });
  assert.equal(await own.tell(mineToo, { to }), 204);
  const forged = egressEvent("EV_2", { livekitId: "EG_forged" }, other, {
    status: "EGRESS_ACTIVE",
  });
  assert.equal(await own.tell(forged, { to }), 204);
  assert.equal(await own.tell(forged, { to: kit.webhook }), 401, "it is not the house's project");
  const ids = async ({ ask }: SignedUp) =>
    (await ask("GET", `${API}/egress`)).body.items.map((item: Json) => item["livekitId"]);
  assert.deepEqual([await ids(mine), await ids(other)], [["EG_auto"], []]);
  await own.close();
});

Deno.test("LiveKit: what Twilio rings is handed on to the project's SIP host, or as a stream", async () => {
  await using kit = await setUp({
    LIVEKIT_SIP_HOST: "p.sip.livekit.cloud;transport=tls",
    LIVEKIT_SIP_USERNAME: "twilio",
    LIVEKIT_SIP_PASSWORD: 'a "secret"',
  });
  const { mine } = kit;
  await mine.ask("POST", "/api/v1/phone-numbers", { number: NUMBER });
  const sid = `CA${"0123456789abcdef".repeat(2)}`;
  const action = `${kit.url.replace("127.0.0.1", "localhost")}/twilio/livekit?by=sip`;
  assert.equal(
    await ring(kit, "/twilio/livekit"),
    `<Dial action="${action}"><Sip username="twilio" password="a &quot;secret&quot;">` +
      `sip:${NUMBER}@p.sip.livekit.cloud;transport=tls?X-Ringmaster-Call=${sid}</Sip></Dial>`,
  );
  assert.equal(
    await ring(kit, "/twilio/livekit?by=sip", { DialCallStatus: "completed" }),
    "<Hangup/>",
  );
  assert.match(await ring(kit, "/twilio/livekit?by=sip", { DialCallStatus: "failed" }), /<Say>/);
  const room = wireRoom(mine.tenantId, `call-${sid}`);
  assert.match(
    await ring(kit, "/twilio/livekit?by=stream"),
    new RegExp(`^<Connect><Stream url="wss://connector.example.com/${room}/TC_\\w+"/></Connect>`),
  );
  assert.match(await ring(kit, "/twilio/livekit", { To: "+15550100178" }), /not in service/);
});

Deno.test("LiveKit: where there is no project, the setting is named, and the caller hears a sentence", async () => {
  await using database = await open();
  const kit = await serverKit({ database });
  const url = `http://127.0.0.1:${kit.server.port}`;
  const { ask } = await signUp(url);
  const { status, body } = await ask("GET", API);
  assert.deepEqual([status, body.code, body.field], [503, "not_configured", "LIVEKIT_URL"]);
  const features = (await ask("GET", "/api/v1/features")).body;
  const list: Json[] = features.items ?? features.features ?? features;
  assert.deepEqual(list.find(({ name }) => name === "livekit"), {
    name: "livekit",
    provider: null,
    missing: "LIVEKIT_URL",
  });
  await ask("POST", "/api/v1/phone-numbers", { number: LONE_NUMBER });
  const { carrierToken } = kit;
  assert.match(
    await ring({ url, carrierToken }, "/twilio/livekit", { To: LONE_NUMBER }),
    /not set up yet/,
  );
  await kit.close();
});
