/** Companies with Twilio accounts of their own: each is phoned by its own, and by nobody else's. */

import assert from "node:assert/strict";
import { insertAgent, publishAgentVersion } from "@/db/agents.ts";
import { bumpConfigVersion } from "@/db/tenants.ts";
import type { Database } from "@/db/client.ts";
import { insertPhoneNumber } from "@/db/phone_numbers.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { type FakeTwilio, newSid, placeInbound, startTwilio } from "@/tests/support/twilio.ts";
import { joinTwilio } from "@/tests/support/twilio_accounts.ts";

const { open } = await testDatabase();

const KEYS = `k1:${crypto.getRandomValues(new Uint8Array(32)).toBase64()}`;
const PEPPER = crypto.randomUUID();
let numbers = 0;

interface Company {
  readonly tenantId: string;
  readonly agentId: string;
  readonly number: string;
  readonly twilio: FakeTwilio;
  api(method: string, path: string, body?: unknown): Promise<Response>;
}

function newTwilio(): FakeTwilio {
  const accountSid = newSid("AC");
  return startTwilio({ clock: systemClock, accountSid, authToken: crypto.randomUUID() });
}

async function withHouse(
  test: (kit: ServerKit, house: {
    readonly a: Company;
    readonly b: Company;
    readonly twilio: FakeTwilio;
    readonly database: Database;
    /** Another machine over the same database. */
    second(): Promise<ServerKit>;
  }) => Promise<void>,
): Promise<void> {
  const database = await open();
  const [house, one, two] = [newTwilio(), newTwilio(), newTwilio()];
  const twilio = joinTwilio([house, one, two]);
  const env = {
    KEY_ENCRYPTION_KEYS: KEYS,
    TOKEN_PEPPER: PEPPER,
    TWILIO_API_URL: twilio.url,
    TWILIO_ACCOUNT_SID: house.accountSid,
    TWILIO_AUTH_TOKEN: house.authToken,
  };
  const machine = (): Promise<ServerKit> => serverKit({ database, env, isWithoutCarrier: true });
  const kits = [await machine()];
  const [kit] = kits;
  assert.ok(kit);
  try {
    const a = await newCompany(kit, database, one);
    const b = await newCompany(kit, database, two);
    const second = async (): Promise<ServerKit> => {
      const made = await machine();
      kits.push(made);
      return made;
    };
    await test(kit, { a, b, twilio: house, database, second });
  } finally {
    await Promise.all(kits.map((kit) => kit.close()));
    await twilio.close();
    await database.close();
  }
}

async function newCompany(
  kit: ServerKit,
  database: Database,
  twilio: FakeTwilio,
): Promise<Company> {
  const signedUp = await fetch(`${kit.url}/api/v1/auth/signup`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      email: `ada-${crypto.randomUUID().slice(0, 8)}@example.com`,
      password: "correct horse battery",
      name: "Ada",
      tenantName: "Clinic",
    }),
  });
  const { accessToken, tenantId } = await signedUp.json();
  const agentId = newId("agent");
  const number = `+1555010${7000 + numbers++}`;
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    const version = { id: newId("version"), agentId, graph: demoAgent };
    await publishAgentVersion(sql, tenantId, version);
    await insertPhoneNumber(sql, tenantId, { id: newId("number"), number, agentId });
  });
  const api = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${kit.url}/api/v1/${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${accessToken}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const { accountSid, authToken } = twilio;
  const made = await api("POST", "credentials", {
    provider: "twilio",
    values: { accountSid, authToken },
  });
  assert.equal(made.status, 201, await made.clone().text());
  assert.equal((await made.json()).status, "valid");
  return { tenantId, agentId, number, twilio, api };
}

function ring(kit: ServerKit, { tenantId, number, twilio }: Company) {
  return placeInbound({
    webhookUrl: `${kit.url}/twilio/${tenantId}/voice`,
    publicUrl: kit.url,
    authToken: twilio.authToken,
    from: "+15550199000",
    to: number,
    clock: systemClock,
    twilio,
  });
}

/** A voice webhook as somebody signs it. */
async function knock(
  kit: ServerKit,
  path: string,
  { number, authToken }: { readonly number: string; readonly authToken: string },
): Promise<[status: number, body: string]> {
  const url = `${kit.url}${path}`;
  const form = new URLSearchParams({
    CallSid: newSid("CA"),
    From: "+15550199000",
    To: number,
    CallStatus: "ringing",
    Direction: "inbound",
  });
  const response = await fetch(url, {
    method: "POST",
    body: form,
    headers: { "X-Twilio-Signature": signatureOf(authToken, url, form), "X-Request-Id": "same" },
  });
  return [response.status, await response.text()];
}

Deno.test("two companies are phoned over their own accounts, and place calls over them", async () => {
  await withHouse(async (kit, { a, b, twilio }) => {
    for (const company of [a, b]) {
      const phoned = await ring(kit, company);
      assert.ok(phoned.stream, JSON.stringify(phoned.log));
      phoned.hangUp();
      await phoned.ended;
      const { agentId, number: from } = company;
      const placed = await company.api("POST", "calls", { agentId, from, to: "+15550123456" });
      assert.equal(placed.status, 201, await placed.clone().text());
      const outbound = company.twilio.calls.at(-1);
      assert.ok(outbound);
      while (outbound.stream === null) await kit.operator("/alive").then((it) => it.text());
      outbound.hangUp();
      await outbound.ended;
      const { items } = await (await company.api("GET", "calls")).json();
      const directions = items.map(({ direction }: { direction: string }) => direction);
      assert.deepEqual(directions.toSorted(), ["inbound", "outbound"]);
      const [create] = company.twilio.requests.filter(({ method }) => method === "POST");
      const form = Object.fromEntries(create?.form ?? []);
      const path = `${kit.url}/twilio/${company.tenantId}/calls/`;
      assert.ok(form["Url"]?.startsWith(path) && form["StatusCallback"]?.startsWith(path));
    }
    assert.equal(twilio.requests.length, 0);
  });
});

Deno.test("a webhook that another account has signed is refused, as one for nobody is", async () => {
  await withHouse(async (kit, { a, b, twilio }) => {
    const { number } = a;
    const voice = (tenantId: string): string => `/twilio/${tenantId}/voice`;
    const refusals = [
      await knock(kit, voice(a.tenantId), { number, authToken: b.twilio.authToken }),
      await knock(kit, voice(a.tenantId), { number, authToken: twilio.authToken }),
      await knock(kit, voice(newId("tenant")), { number, authToken: a.twilio.authToken }),
      await knock(kit, voice("tenant_1"), { number, authToken: a.twilio.authToken }),
      await knock(kit, "/twilio/voice", { number, authToken: a.twilio.authToken }),
    ];
    for (const refusal of refusals) assert.deepEqual(refusal, refusals[0]);
    assert.equal(refusals[0]?.[0], 403);
    const unsigned = await fetch(`${kit.url}${voice(a.tenantId)}`, {
      method: "POST",
      body: new URLSearchParams({ To: number, From: "+1", CallSid: newSid("CA") }),
    });
    assert.equal(unsigned.status, 403);
    await unsigned.body?.cancel();
    const [status, body] = await knock(kit, voice(a.tenantId), {
      number: b.number,
      authToken: a.twilio.authToken,
    });
    assert.equal(status, 200);
    assert.match(body, /not in service/);
    assert.deepEqual((await (await b.api("GET", "calls")).json()).items, []);
  });
});

Deno.test("from the next ring on a changed token counts, on every machine", async () => {
  await withHouse(async (kit, { a, second }) => {
    const other = await second();
    const path = `/twilio/${a.tenantId}/voice`;
    const { number } = a;
    const old = a.twilio.authToken;
    for (const machine of [kit, other]) { // both have it in memory now
      assert.equal((await knock(machine, path, { number, authToken: old }))[0], 200);
    }
    const { items: [credential] } = await (await a.api("GET", "credentials")).json();
    const fresh = crypto.randomUUID();
    const replaced = await a.api("PUT", `credentials/${credential.id}`, {
      provider: "twilio",
      values: { ...credential.values, authToken: fresh },
      check: false,
    });
    assert.equal(replaced.status, 200, await replaced.text());
    for (const machine of [kit, other]) {
      assert.equal((await knock(machine, path, { number, authToken: old }))[0], 403);
      assert.equal((await knock(machine, path, { number, authToken: fresh }))[0], 200);
    }
    const gone = await a.api("DELETE", `credentials/${credential.id}`);
    assert.equal(gone.status, 204);
    for (const machine of [kit, other]) {
      assert.equal((await knock(machine, path, { number, authToken: fresh }))[0], 403);
    }
  });
});

Deno.test("a company whose access is off is not in service, and its callers are on record", async () => {
  await withHouse(async (kit, { a, database }) => {
    const { tenantId, number } = a;
    await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
      await sql`update tenant set status = 'suspended' where id = ${uuidOf("tenant", tenantId)}`;
      await bumpConfigVersion(sql, tenantId);
    });
    const { authToken } = a.twilio;
    const [status, body] = await knock(kit, `/twilio/${tenantId}/voice`, { number, authToken });
    assert.equal(status, 200);
    assert.match(body, /not in service/);
    const calls = await database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) =>
        sql<{ reason: string }[]>`
        select reason from call where tenant_id = ${uuidOf("tenant", tenantId)} limit 10`,
    );
    assert.deepEqual(calls.map(({ reason }) => reason), ["tenant_suspended"]);
  });
});
