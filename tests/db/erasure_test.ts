/** F24: what is erased is nowhere any more, and nothing else is missing. */

import assert from "node:assert/strict";
import { erasureErrands } from "@/actors/desk/erasures.ts";
import { getCall, insertCall, updateCallEnded } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { appendEvents } from "@/db/events.ts";
import { listAuditEntries } from "@/db/audit.ts";
import { eraseCalls } from "@/db/erasure.ts";
import { insertJob } from "@/db/jobs.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { newLog } from "@/lib/log.ts";
import { placesOf } from "@/tests/support/catalogue.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, newCall, newStaffedTenant, type Staffed } from "@/tests/support/rows.ts";
import { tenantOffice } from "@/tests/support/tenant_office.ts";

const { open } = await testDatabase();

const PLANTED = new Date("2026-01-05T08:00:00Z");
let contacts = 0;

/** A phone number and a sentence that stand nowhere but where this test puts them. */
function newContact() {
  const number = `+4915${String(1_000_000_000 + contacts).slice(1)}77`;
  return { number, sentence: `the parrot of contact ${contacts++} is ill` };
}
type Contact = ReturnType<typeof newContact>;

function setUp(database: Database, { tenantId }: Staffed) {
  const logged: string[] = [];
  const clock = manualClock();
  const log = newLog({
    level: "debug",
    pii: false,
    date: clock.date,
    write: (l) => logged.push(l),
  });
  return { office: tenantOffice(database, { tenantId, clock, log }), clock, logged };
}

/** An ended call of the contact, and everything that a house stores of one. */
async function plant(
  database: Database,
  { tenantId, agentId }: Staffed,
  { number, sentence }: Contact,
  office: ReturnType<typeof tenantOffice>,
): Promise<string> {
  const call = newCall(agentId, { fromNumber: number });
  const tenant = uuidOf("tenant", tenantId);
  const key = { principal: "key_1", errand: "placeCall", key: `call ${number}` };
  const other = { ...key, key: newId("request") };
  const seal = (id: typeof key) =>
    office.vault.seal({
      tenantId,
      table: "idempotency_key",
      column: "answer_sealed",
      row: JSON.stringify(id),
    }, JSON.stringify({ answer: { id: call.id, to: number } }));
  const answers = [[key, await seal(key)], [other, await seal(other)]] as const;
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertCall(sql, tenantId, call);
    await appendEvents(sql, [{
      ...{ tenantId, conversationId: call.id, seq: 1, type: "caller_said" },
      payload: { text: sentence, from: number },
      at: PLANTED,
    }]);
    await updateCallEnded(sql, tenantId, call.id, {
      outcome: "answered",
      reason: sentence,
      variables: { number, note: sentence },
      usage: null,
      endedAt: new Date("2026-01-05T08:00:00Z"),
    });
    await insertJob(sql, tenantId, {
      ...{ id: newId("job"), kind: "analyse", key: call.id, runAt: PLANTED },
      payload: { callId: call.id, text: sentence },
    });
    await insertJob(sql, tenantId, {
      ...{ id: newId("job"), kind: "remind", key: `remind ${number}`, runAt: PLANTED },
      payload: { to: number },
    });
  });
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`update call set analysis = ${sql.json({ summary: sentence })}
      where id = ${uuidOf("call", call.id)}`;
    await sql`update job set last_error = ${`no answer from ${number}`}
      where tenant_id = ${tenant} and key = ${`remind ${number}`}`;
    const endpoint = crypto.randomUUID();
    await sql`
      insert into webhook_endpoint (tenant_id, id, url, description, events, mode, secret_sealed)
      values (${tenant}, ${endpoint}, 'https://example.com/', '', '{}', 'standard', '\\x00')`;
    const payloads = [
      { callId: call.id, from: number, analysis: { summary: sentence } },
      { contact: number }, // of no call
      { nothing: "of them" },
    ];
    for (const [seq, payload] of payloads.entries()) {
      const event = crypto.randomUUID();
      const delivery = crypto.randomUUID();
      await sql`insert into outbox (tenant_id, id, type, payload, at)
        values (${tenant}, ${event}, 'call.ended', ${sql.json(payload)}, now())`;
      await sql`insert into delivery (tenant_id, id, endpoint_id, event_id, seq)
        values (${tenant}, ${delivery}, ${endpoint}, ${event}, ${seq + 1})`;
      await sql`
        insert into delivery_attempt (tenant_id, delivery_id, attempt, at, duration_ms,
          request_headers, status, answer, error)
        values (${tenant}, ${delivery}, 1, now(), 5, ${sql.json({})}, 500,
          ${"callId" in payload ? sentence : `we know ${number}`}, ${`${number} is unknown`})`;
    }
    for (const [id, sealed] of answers) {
      await sql`
        insert into idempotency_key (tenant_id, principal, errand, key, request_hash, lease,
          lease_until, stage, answer_sealed)
        values (${tenant}, ${id.principal}, ${id.errand}, ${id.key}, '\\x00',
          ${crypto.randomUUID()}, now(), 'answered', ${sealed})`;
    }
  });
  return call.id;
}

/** What the sealed answers of a tenant say. */
async function keptAnswers(database: Database, { tenantId }: Staffed): Promise<number> {
  const [row] = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ count: number }[]>`
    select count(*)::int as count from idempotency_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and answer_sealed is not null`);
  return row?.count ?? -1;
}

const PLACES_OF_NUMBER = [
  ...["call.from_number", "call.variables", "conversation_event.payload"],
  ...["delivery_attempt.answer", "delivery_attempt.error", "idempotency_key.key"],
  ...["job.key", "job.last_error", "job.payload", "outbox.payload"],
];
const PLACES_OF_SENTENCE = [
  ...["call.analysis", "call.reason", "call.variables", "conversation_event.payload"],
  ...["delivery_attempt.answer", "job.payload", "outbox.payload"],
];

Deno.test("F24: an erased contact is in no column of the database and in no log, and others are whole", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const neighbour = await newStaffedTenant(database);
  const { office, logged } = setUp(database, staffed);
  const [contact, other] = [newContact(), newContact()];
  const callId = await plant(database, staffed, contact, office);
  await plant(database, staffed, other, office);
  const theirs = tenantOffice(database, { tenantId: neighbour.tenantId });
  await plant(database, neighbour, other, theirs);
  assert.deepEqual(await placesOf(database, contact.number), PLACES_OF_NUMBER);
  assert.deepEqual(await placesOf(database, contact.sentence), PLACES_OF_SENTENCE);

  const receipt = await erasureErrands.eraseContact.run(office, { phone: contact.number });

  for (const text of [contact.number, contact.number.slice(1), contact.sentence, callId]) {
    assert.deepEqual(await placesOf(database, text), [], text);
  }
  assert.ok(!logged.join().includes(contact.number.slice(1)));
  assert.equal(receipt.kind, "contact");
  assert.equal(receipt.counts["calls"], 1);
  assert.equal(receipt.counts["events"], 1);
  assert.deepEqual(await placesOf(database, other.number), PLACES_OF_NUMBER);
  assert.equal(await keptAnswers(database, staffed), 2, "of the other contact");
  assert.equal(await keptAnswers(database, neighbour), 2);
});

Deno.test("an erased call is gone with all that was told of it; its contact's other calls are not", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const { office } = setUp(database, staffed);
  const contact = newContact();
  const callId = await plant(database, staffed, contact, office);
  const another = newCall(staffed.agentId, { toNumber: contact.number });
  await office.read((sql) => insertCall(sql, tenantId, another));
  const receipt = await erasureErrands.eraseCall.run(office, callId);
  const counts = {
    calls: 1,
    events: 1,
    outbox: 1,
    deliveries: 1,
    attempts: 1,
    jobs: 1,
    answers: 2,
  };
  assert.deepEqual(receipt.counts, counts);
  assert.deepEqual(await placesOf(database, callId), []);
  assert.deepEqual(await placesOf(database, contact.sentence), []);
  assert.notEqual(await office.read((sql) => getCall(sql, tenantId, another.id)), null);
  await assert.rejects(erasureErrands.eraseCall.run(office, callId), { code: "not_found" });
});

Deno.test("a call that lives, or ended just now, is not erased, nor is its contact", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const { office, clock } = setUp(database, staffed);
  const { number } = newContact();
  const call = newCall(staffed.agentId, { fromNumber: number });
  await office.read((sql) => insertCall(sql, tenantId, call));
  const eraseBoth = [
    () => erasureErrands.eraseCall.run(office, call.id),
    () => erasureErrands.eraseContact.run(office, { phone: number }),
  ];
  for (const erase of eraseBoth) await assert.rejects(erase(), /end it first/);
  const none = { reason: null, variables: {}, usage: null };
  const end = { outcome: "answered", ...none, endedAt: clock.date() } as const;
  await office.read((sql) => updateCallEnded(sql, tenantId, call.id, end));
  for (const erase of eraseBoth) {
    await assert.rejects(erase(), { code: "conflict", retryAfterS: 10 });
  }
  await clock.advance(10_000);
  assert.equal((await erasureErrands.eraseCall.run(office, call.id)).counts["calls"], 1);
});

Deno.test("another tenant's call is as one that is not there", async () => {
  await using database = await open();
  const [mine, theirs] = [await newStaffedTenant(database), await newStaffedTenant(database)];
  const { office } = setUp(database, mine);
  const contact = newContact();
  const callId = await plant(database, theirs, contact, setUp(database, theirs).office);
  for (const id of [callId, newId("call"), "call_1", ""]) {
    await assert.rejects(erasureErrands.eraseCall.run(office, id), { code: "not_found" });
  }
  const receipt = await erasureErrands.eraseContact.run(office, { phone: contact.number });
  assert.deepEqual(Object.values(receipt.counts).filter((count) => count > 0), []);
  assert.deepEqual(await placesOf(database, contact.number), PLACES_OF_NUMBER);
});

Deno.test("the functions that delete reach no other tenant's rows, and no call that lives", async () => {
  await using database = await open();
  const [mine, theirs] = [await newStaffedTenant(database), await newStaffedTenant(database)];
  const { office } = setUp(database, mine);
  const call = newCall(mine.agentId);
  await office.read((sql) => insertCall(sql, mine.tenantId, call));
  const contact = newContact();
  const callId = await plant(database, theirs, contact, setUp(database, theirs).office);
  const targets = [[theirs, callId], [mine, call.id], [mine, callId]] as const;
  for (const [{ tenantId }, id] of targets) {
    const counts = await office.read((sql) => eraseCalls(sql, tenantId, [id]));
    assert.deepEqual(Object.values(counts).filter((count) => count > 0), []);
  }
  await assert.rejects(office.read((sql) => sql`delete from call`), /permission denied/);
  await assert.rejects(
    office.read((sql) => sql`delete from conversation_event`),
    /permission denied/,
  );
  assert.equal((await placesOf(database, contact.sentence)).length, PLACES_OF_SENTENCE.length);
});

Deno.test("a contact of some hundred calls is erased whole, batch by batch", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const { tenantId, agentId } = staffed;
  const { office } = setUp(database, staffed);
  const { number } = newContact();
  await database.asOwner(DEADLINE_MS, (sql) =>
    sql`
    insert into call (tenant_id, id, agent_id, agent_version, direction, from_number, to_number,
      carrier, status, started_at, ended_at)
    select ${uuidOf("tenant", tenantId)}, gen_random_uuid(), ${uuidOf("agent", agentId)}, 1,
      'inbound', ${number}, '+15550100100', 'twilio', 'ended', '2026-01-01', '2026-01-01'
    from generate_series(1, 250)`);
  const receipt = await erasureErrands.eraseContact.run(office, { phone: number });
  assert.equal(receipt.counts["calls"], 250);
  assert.deepEqual(await placesOf(database, number), []);
});

Deno.test("receipts are listed newest first, tell the same subject by its hash, and name nobody", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const { office } = setUp(database, staffed);
  const [one, two] = [newContact().number, newContact().number];
  for (const phone of [one, two, one]) await erasureErrands.eraseContact.run(office, { phone });
  const first = await erasureErrands.erasures.run(office, { limit: 2 });
  const rest = await erasureErrands.erasures.run(office, { limit: 2, cursor: first.next ?? "" });
  const hashes = [...first.items, ...rest.items].map(({ subjectHash }) => subjectHash);
  assert.equal(hashes.length, 3);
  assert.equal(hashes[0], hashes[2]);
  assert.notEqual(hashes[0], hashes[1]);
  const actions = await office.read((sql) => listAuditEntries(sql, tenantId, {}, { limit: 10 }));
  assert.deepEqual(
    actions.map(({ action }) => action).sort(),
    ["contact.erased", "contact.erased", "contact.erased", ...Array(3).fill("contact.erasing")],
  );
  assert.deepEqual(await placesOf(database, one), []);
});
