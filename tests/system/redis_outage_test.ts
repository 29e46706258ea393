/** A whole server whose Redis goes away: it stays alive, calls go on, limits are local, and shared again after. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { TRIES } from "@/actors/gate/sign_in.ts";
import { HOUSE_LIMITS } from "@/lib/limits/plan.ts";
import { FROM } from "@/tests/load/dial.ts";
import { phone, type Phoned, type PhoneOptions } from "@/tests/load/phone.ts";
import { clientOf, PASSWORD, type SignedUp, signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type RedisServer, startRedis } from "@/tests/support/redis_server.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import { startUpstash, type UpstashServer } from "@/tests/support/upstash.ts";

const { open } = await testDatabase();

/** Each outage lasts so long, beside what its checks take. */
const OUTAGE_MS = Number(Deno.env.get("REDIS_OUTAGE_S") ?? 1.5) * 1_000;
const POLL_MS = 250;
/** Looking at a call's events costs ten reads: at this pace a machine's share is enough for it. */
const LOOK_MS = 2_000;
/** Of one person: half of what the tenant has. */
const OF_ONE = {
  capacity: HOUSE_LIMITS.rates.read.capacity / 2,
  perSecond: HOUSE_LIMITS.rates.read.perSecond / 2,
};
const CALLER: PhoneOptions = {
  lines: ["I have a toothache."],
  agentId: null,
  from: FROM,
  to: DEMO_NUMBER,
  bargeInAtMs: null,
  wavFile: null,
};
/** A breaker opens at the third failure and asks again every 2 s; the rest is for a machine under load. */
const WITHIN_MS = 20_000;
/** So many share each limit while it cannot be counted together. */
const MACHINES = 4;

interface Given {
  readonly kit: ServerKit;
  readonly redis: RedisServer;
  readonly rest: UpstashServer;
}

async function withServer(test: (given: Given) => Promise<void>): Promise<void> {
  const redis = await startRedis();
  const rest = startUpstash({ path: redis.path, clock: systemClock });
  const database = await open();
  const kit = await serverKit({
    database,
    env: {
      UPSTASH_REDIS_REST_URL: rest.url,
      UPSTASH_REDIS_REST_TOKEN: rest.token,
      MACHINES: `${MACHINES}`,
    },
  });
  try {
    await test({ kit, redis, rest });
  } finally {
    await kit.close();
    await database.close();
    await rest.close();
    await redis.stop();
  }
}

interface Seen {
  /** What `/alive` answered, asked each POLL_MS. */
  readonly alive: readonly number[];
  /** The same of a read with a key. */
  readonly reads: readonly number[];
  /** Of a caller who phones again and again. */
  readonly calls: readonly Phoned[];
}

/** Asks and phones all the while; the last call is had to its end. */
async function watched(kit: ServerKit, work: () => Promise<void>): Promise<Seen> {
  const over = new AbortController();
  const polls = ["/alive", "/api/v1/tenant"].map((path) => poll(kit, path, over.signal));
  const phoning = phoneAgainAndAgain(kit, over.signal);
  phoning.catch(() => {}); // told below, when the work has ended
  try {
    await work();
  } finally {
    over.abort();
    await Promise.allSettled([...polls, phoning]);
  }
  const [alive = [], reads = []] = await Promise.all(polls);
  return { alive, reads, calls: await phoning };
}

async function poll(kit: ServerKit, path: string, signal: AbortSignal): Promise<number[]> {
  const statuses: number[] = [];
  while (!signal.aborted) {
    statuses.push(await statusOf(kit.rest(path)));
    await sleep(systemClock, POLL_MS, signal).catch(() => {});
  }
  return statuses;
}

/** 0: no answer. */
async function statusOf(asked: Promise<Response>): Promise<number> {
  try {
    const response = await asked;
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

async function phoneAgainAndAgain(kit: ServerKit, signal: AbortSignal): Promise<Phoned[]> {
  const calls: Phoned[] = [];
  while (!signal.aborted) calls.push(await phone(kit, CALLER, () => {}, LOOK_MS));
  return calls;
}

async function metric(kit: ServerKit, line: string): Promise<number> {
  const text = await (await kit.operator("/metrics")).text();
  const at = text.split("\n").find((it) => it.startsWith(`${line} `));
  return Number(at?.slice(line.length + 1) ?? 0);
}

/** Asks something of the limiter, then looks at a metric, until it is so. */
async function until(kit: ServerKit, line: string, wanted: number): Promise<void> {
  const giveUpAt = systemClock.now() + WITHIN_MS;
  while (await metric(kit, line) !== wanted) {
    assert.ok(systemClock.now() < giveUpAt, `${line} is not ${wanted} within ${WITHIN_MS} ms`);
    await (await kit.rest("/api/v1/tenant")).body?.cancel();
    await sleep(systemClock, 50);
  }
}

/** Reads as fast as may be until it is refused: how many were served, and how many come back meanwhile. */
async function readUntilRefused({ ask }: SignedUp): Promise<{ served: number; cameBack: number }> {
  const beganAt = systemClock.now();
  for (let served = 0;;) {
    const batch = await Promise.all(Array.from({ length: 5 }, () => ask("GET", "/api/v1/tenant")));
    const statuses = batch.map(({ status }) => status);
    assert.ok(statuses.every((status) => status === 200 || status === 429), statuses.join(" "));
    served += statuses.filter((status) => status === 200).length;
    if (!statuses.includes(429)) continue;
    const seconds = (systemClock.now() - beganAt) / 1_000;
    return { served, cameBack: Math.ceil(seconds * OF_ONE.perSecond / MACHINES) };
  }
}

async function tryToLogIn(kit: ServerKit, times: number): Promise<number[]> {
  const login = { email: `${crypto.randomUUID()}@example.com`, password: PASSWORD };
  const statuses: number[] = [];
  for (let n = 0; n < times; n++) {
    statuses.push((await clientOf(kit.url, null)("POST", "/api/v1/auth/login", login)).status);
  }
  return statuses;
}

const OUTAGES: readonly {
  readonly name: string;
  begin(given: Given): Promise<void> | void;
  end(given: Given): Promise<void> | void;
}[] = [
  { name: "killed", begin: ({ redis }) => redis.kill(), end: ({ redis }) => redis.start() },
  {
    name: "slow",
    begin: ({ rest }) => rest.behave({ type: "slow", ms: 5_000 }),
    end: ({ rest }) => rest.behave({ type: "answer" }),
  },
  {
    name: "wrong",
    begin: ({ rest }) => rest.behave({ type: "wrong", body: '{"result":["a page"]}' }),
    end: ({ rest }) => rest.behave({ type: "answer" }),
  },
];

/** The limits of this machine are in force: of reads its share, and of what is strict no more than that. */
async function assertLocal(kit: ServerKit, tenant: SignedUp): Promise<void> {
  const share = Math.floor(OF_ONE.capacity / MACHINES);
  const { served, cameBack } = await readUntilRefused(tenant);
  assert.ok(served >= share && served <= share + cameBack, `${served} of ${share}`);
  const tries = Math.floor(TRIES.login.account.capacity / MACHINES);
  assert.deepEqual(await tryToLogIn(kit, tries + 1), [...Array(tries).fill(401), 429]);
}

Deno.test("with Redis killed, slow or wrong a server lives, its calls go on, and limits are local until it is back", async () => {
  await withServer(async (given) => {
    const { kit } = given;
    const tenants = [await signUp(kit.url), await signUp(kit.url), await signUp(kit.url)];
    await until(kit, "limits_shared", 1);
    const { alive, reads, calls } = await watched(kit, async () => {
      await until(kit, 'actors_live{kind="call"}', 1);
      for (const [n, { begin, end }] of OUTAGES.entries()) {
        const tenant = tenants[n];
        assert.ok(tenant);
        await begin(given);
        const over = sleep(systemClock, OUTAGE_MS);
        await until(kit, "limits_shared", 0);
        await assertLocal(kit, tenant);
        await over;
        assert.equal(await metric(kit, "limits_shared"), 0);
        await end(given);
        await until(kit, "limits_shared", 1);
      }
    });
    assert.deepEqual(new Set(alive), new Set([200]));
    assert.deepEqual(new Set(reads), new Set([200]));
    assert.ok(alive.length >= OUTAGES.length * OUTAGE_MS / POLL_MS / 2, "polls were held up");
    for (const { transcript, transcriptMatches, heard } of calls) {
      assert.equal(transcript?.reason, "caller_hung_up");
      assert.ok(transcriptMatches, JSON.stringify({ heard, stored: transcript.events }));
    }
    assert.ok(await metric(kit, "limits_store_failures_total") > 0);
    const metrics = await (await kit.operator("/metrics")).text();
    assert.doesNotMatch(metrics, /^actors_(crashes|restarts)_total\{.*\} [1-9]/m);
  });
});

Deno.test("a drain that begins while Redis is away waits for the call that lives, and ends", async () => {
  await withServer(async ({ kit, redis }) => {
    const phoned = await placeInbound({
      webhookUrl: `${kit.url}/twilio/voice`,
      publicUrl: kit.url,
      authToken: kit.carrierToken,
      from: FROM,
      to: DEMO_NUMBER,
      clock: systemClock,
      twilio: kit.twilio,
    });
    await redis.kill();
    await until(kit, "limits_shared", 0);
    const { promise: drained, resolve } = Promise.withResolvers<"drained">();
    void kit.server.drain().then(() => resolve("drained"));
    const over = new AbortController();
    const polls = poll(kit, "/alive", over.signal);
    const first = await Promise.race([drained, sleep(systemClock, OUTAGE_MS)]);
    assert.equal(first, undefined, "it did not wait for the call");
    over.abort();
    assert.deepEqual(new Set(await polls), new Set([200]));
    assert.equal(phoned.status, "in-progress");
    phoned.hangUp();
    assert.equal((await phoned.ended).by, "caller");
    assert.equal(await drained, "drained");
  });
});
