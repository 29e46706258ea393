/** A whole server whose lines are taken: callers wait, hear their place, and are put through in their order. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { lineOf } from "@/lib/workflow/phrases.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";

const { open } = await testDatabase();

/** What is known of a number may be so old while a machine is full. */
const KNOWN_MS = 1_000;
/** Longer than the waits between two asks. */
const WAITING_MS = 15_000;
/** The job waits for ten seconds, and is looked for every few. */
const CALLED_BACK_MS = 30_000;

/** Resolves when it is put through, or over. */
function dial(kit: ServerKit, from: string): Promise<FakeCall> {
  return placeInbound({
    webhookUrl: `${kit.url}/twilio/voice`,
    publicUrl: kit.url,
    authToken: kit.carrierToken,
    from,
    to: DEMO_NUMBER,
    clock: systemClock,
    twilio: kit.twilio,
    statusPath: "/twilio/status",
  });
}

async function offer(kit: ServerKit, whenFull: WhenFull): Promise<void> {
  const { items } = await (await kit.rest("/api/v1/phone-numbers")).json();
  const changed = await kit.rest(`/api/v1/phone-numbers/${items[0].id}`, {
    method: "PATCH",
    body: JSON.stringify({ whenFull }),
    headers: { "Content-Type": "application/json" },
  });
  assert.equal((await changed.json()).whenFull, whenFull);
}

async function waiting(kit: ServerKit, count: number): Promise<void> {
  const until = systemClock.now() + WAITING_MS;
  for (;;) {
    const { waiting } = await (await kit.operator("/pressure")).json();
    if (waiting === count) return;
    assert.ok(systemClock.now() < until, `${waiting} wait, not ${count}`);
    await sleep(systemClock, 20);
  }
}

/** Who phoned last, once they have been told to wait. */
async function whoWaits(kit: ServerKit): Promise<FakeCall> {
  const until = systemClock.now() + WAITING_MS;
  for (;;) {
    const last = kit.twilio.calls.at(-1);
    if (last !== undefined && said(last).length > 0) return last;
    assert.ok(systemClock.now() < until, "nobody has been told to wait");
    await sleep(systemClock, 20);
  }
}

function said({ log }: FakeCall): string[] {
  return log.flatMap((entry) => entry.type === "said" ? [entry.sentence] : []);
}

Deno.test("callers of a full machine wait where their number offers it, and go in by their coming", async () => {
  await using database = await open();
  const kit = await serverKit({ database, env: { MAX_CALLS: "1" } });
  try {
    const first = await dial(kit, "+15550199001");
    assert.ok(first.stream !== null);
    const refused = await dial(kit, "+15550199009");
    assert.deepEqual(await refused.ended, { by: "agent", reason: "rejected: busy" });

    await offer(kit, "wait");
    await sleep(systemClock, KNOWN_MS);
    await (await dial(kit, "+15550199008")).ended; // has it looked up for the next
    const second = dial(kit, "+15550199002");
    await waiting(kit, 1);
    const third = dial(kit, "+15550199003");
    await waiting(kit, 2);
    first.hangUp();
    const through = await second;
    assert.ok(through.stream !== null, "the line that came free is theirs");
    assert.deepEqual(said(through), [lineOf("en").next]);
    assert.deepEqual(
      await kit.operator("/pressure").then((it) => it.json()).then((it) => it.waiting),
      1,
    );

    through.hangUp();
    const last = await third;
    assert.ok(last.stream !== null);
    assert.deepEqual(said(last).slice(0, 1), [lineOf("en").place(2)]);
    last.hangUp();
    await last.ended;
    await waiting(kit, 0);
  } finally {
    await kit.close();
  }
});

Deno.test("a caller who hangs up while waiting keeps no place", async () => {
  await using database = await open();
  const kit = await serverKit({ database, env: { MAX_CALLS: "1" } });
  try {
    await offer(kit, "wait");
    const first = await dial(kit, "+15550199001");
    const second = dial(kit, "+15550199002");
    await waiting(kit, 1);
    (await whoWaits(kit)).hangUp();
    assert.equal((await (await second).ended).by, "caller");
    await waiting(kit, 0);
    first.hangUp();
    await first.ended;
  } finally {
    await kit.close();
  }
});

Deno.test("a caller who presses 1 is called back when the line is free, once", async () => {
  await using database = await open();
  const kit = await serverKit({ database, env: { MAX_CALLS: "1" } });
  const jobs = async () =>
    (await (await kit.rest("/api/v1/jobs?kind=callback")).json()).items as { status: string }[];
  try {
    await offer(kit, "callback");
    const first = await dial(kit, "+15550199001");
    const second = dial(kit, "+15550199002");
    await waiting(kit, 1);
    (await whoWaits(kit)).press("1");
    const gone = await second;
    await gone.ended;
    assert.deepEqual(said(gone), [
      `${lineOf("en").next} ${lineOf("en").callBackOffered}`,
      lineOf("en").callBackWanted,
    ]);
    await waiting(kit, 0);
    assert.deepEqual((await jobs()).map(({ status }) => status), ["queued"], "it is durable");
    first.hangUp();
    await first.ended;
    const until = systemClock.now() + CALLED_BACK_MS;
    while ((await jobs())[0]?.status !== "done") {
      assert.ok(systemClock.now() < until, "nobody is called back");
      await sleep(systemClock, 100);
    }
    const placed = kit.twilio.requests.filter(({ path }) => path.endsWith("/Calls.json"));
    const forms = placed.map(({ form }) => Object.fromEntries(form));
    assert.deepEqual(forms.map(({ To, From }) => [To, From]), [["+15550199002", DEMO_NUMBER]]);
  } finally {
    await kit.close();
  }
});
